"""Run `dlcv` in this process or in a process of its own, and check its error messages."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from dlcvcli import processes
from dlcvcli.cli import console, main

ROOT = Path(__file__).parents[2]

# The options of a training run of seconds.
SMALL = ("--model", "lraspp_mobilenet_v3_large", "--steps", 2, "--batch-size", 4, "--workers", 0)

# Lines of help and tables are wide enough to be searched, and hold no escape sequences.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "NO_COLOR": "1"}

# `dlcv` where torch cannot be imported.
_WITHOUT_TORCH = (
    "import sys\n"
    "sys.modules['torch'] = None\n"
    "from dlcvcli.cli import main\n"
    "sys.argv = ['dlcv', *sys.argv[1:]]\n"
    "main()\n"
)


def dlcv(
    *arguments: object,
    stdin: str | bytes = "",
    env: dict[str, str] | None = None,
    cwd: Path = ROOT,
) -> subprocess.CompletedProcess[str]:
    """Run `dlcv` in this process, which saves the seconds that importing torch takes.

    It gets streams, arguments and an environment of its own. What it changes in the process
    (environment, torch's settings and random numbers, consoles) is undone afterwards.
    """
    words, status = ["dlcv", *map(str, arguments)], 0
    stdin = stdin.encode() if isinstance(stdin, str) else stdin
    streams = {
        "stdin": io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"),
        "stdout": io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True),
        "stderr": io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True),
    }
    with (
        _same_torch(),
        _same_stdout(),
        _new_consoles(),
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, _ENVIRONMENT | (env or {})),
        mock.patch.multiple(sys, argv=words, **streams),
    ):
        os.environ.pop("DLCV_DEBUG", None)
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
    out, err = (streams[name].buffer.getvalue().decode() for name in ("stdout", "stderr"))
    return subprocess.CompletedProcess(words, status, out, err)


def dlcv_process(
    *arguments: object, stdin: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `dlcv` in a process of its own, for tests of signals, streams and the like."""
    return _run("-m", "dlcvcli", *map(str, arguments), stdin=stdin, env=env)


def dlcv_without_torch(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `dlcv` in a process of its own that cannot import torch."""
    return _run("-c", _WITHOUT_TORCH, *map(str, arguments))


def refused(status: int, *arguments: object, message: str) -> str:
    """Run `dlcv`, and require one `error:` line with `message` in it, and no traceback."""
    done = dlcv(*arguments)
    assert done.returncode == status, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert message in errors[0]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


class ChildHere:
    """A `subprocess.Popen` of `python -m dlcvcli ...` that runs in this process instead."""

    def __init__(self, command: list[str], **_: object) -> None:
        done = dlcv(*command[command.index("dlcvcli") + 1 :])
        sys.stderr.write(done.stderr)
        self.status = done.returncode

    def __enter__(self) -> ChildHere:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self) -> int:
        return self.status


def run_children_here(patch: pytest.MonkeyPatch) -> None:
    """Let `dlcvcli.processes` start its processes as `ChildHere`."""
    instead = SimpleNamespace(Popen=ChildHere, DEVNULL=subprocess.DEVNULL)
    patch.setattr(processes, "subprocess", instead)


def _run(
    *arguments: str, stdin: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **_ENVIRONMENT, **(env or {})}
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


@contextlib.contextmanager
def _same_torch() -> Iterator[None]:
    """Set torch's global settings and random numbers back afterwards."""
    import torch

    flags = [(torch.backends.cuda.matmul, "allow_tf32"), (torch.backends.cudnn, "allow_tf32")]
    before: list[tuple[Any, str, bool]] = [(of, name, getattr(of, name)) for of, name in flags]
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            for of, name, value in before:
                setattr(of, name, value)
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
            torch.set_num_threads(threads)


@contextlib.contextmanager
def _same_stdout() -> Iterator[None]:
    """Keep file descriptor 1, which `dlcv` closes when its output cannot be written."""
    kept = os.dup(1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@contextlib.contextmanager
def _new_consoles() -> Iterator[None]:
    """Recreate the consoles, since each keeps the width and colours of its creation."""
    for cached in (console.stdout, console.stderr):
        cached.cache_clear()
    try:
        yield
    finally:
        for cached in (console.stdout, console.stderr):
            cached.cache_clear()


class Code:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)
