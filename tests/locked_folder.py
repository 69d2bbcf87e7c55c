"""Have another process lock a folder."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Has a child that outlives it, like the loader processes of a training run.
_LOCK_AND_WAIT = """
import multiprocessing, sys, time
from pathlib import Path
from dlcvcli.locks import locked

if __name__ == "__main__":
    with locked(Path(sys.argv[1])):
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(20,))
        child.start()
        print(child.pid, flush=True)
        time.sleep(60)
"""


@contextmanager
def locked_by_another_process(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Lock a folder in another process that has the arguments in its command line."""
    command = [sys.executable, "-c", _LOCK_AND_WAIT, str(folder), *arguments]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            yield process
        finally:
            process.kill()
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
