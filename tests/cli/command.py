"""`dlcv` as users run it, in a process of its own, and what must hold whenever it refuses."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

from dlcvcli.cli import main

ROOT = Path(__file__).parents[2]

# A training run that is over at once.
SMALL = ("--model", "lraspp_mobilenet_v3_large", "--steps", 2, "--batch-size", 4)

# `dlcv` where torch cannot be imported.
_WITHOUT_TORCH = (
    "import sys\n"
    "sys.modules['torch'] = None\n"
    "from dlcvcli.cli import main\n"
    "sys.argv = ['dlcv', *sys.argv[1:]]\n"
    "main()\n"
)


def dlcv(
    *arguments: object, stdin: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `dlcv` as a user does, on one thread."""
    return _run("-m", "dlcvcli", *map(str, arguments), stdin=stdin, env=env)


def dlcv_without_torch(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `dlcv` as on a server that has no torch."""
    return _run("-c", _WITHOUT_TORCH, *map(str, arguments))


def _run(
    *arguments: str, stdin: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "NO_COLOR": "1"}
    environment |= env or {}
    environment.pop("DLCV_DEBUG", None)
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        input=stdin,
        env=environment,
        cwd=ROOT,
        check=False,
    )


def dlcv_here(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `dlcv` in this process: what torch takes to be loaded is paid once.

    For what does not depend on a fresh process, such as the words of a refusal.
    """
    words, code = ["dlcv", *map(str, arguments)], 0
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, words
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = before
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def refused_here(status: int, *arguments: object, says: str) -> str:
    """Do as `refused`, in this process."""
    return _require_refusal(dlcv_here(*arguments), status, says)


def refused(status: int, *arguments: object, says: str) -> str:
    """Run `dlcv`, and require one `error:` line that says something, and no traceback."""
    return _require_refusal(dlcv(*arguments), status, says)


def _require_refusal(done: subprocess.CompletedProcess[str], status: int, says: str) -> str:
    assert done.returncode == status, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert says in errors[0]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


class Code:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)
