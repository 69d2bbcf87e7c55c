"""Another process that works in a folder."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Has a child of its own, as a training has loader processes, which outlives it.
_HOLD = """
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
    """Have another process work in a folder, with some command line."""
    command = [sys.executable, "-c", _HOLD, str(folder), *arguments]
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
