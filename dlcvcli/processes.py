"""Run `dlcv` in a process of its own, and pass on signals that ask this process to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from dlcvcli.errors import AlreadySaid, Interrupted

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name)
)


def run_dlcv(arguments: Sequence[str]) -> None:
    """Run `dlcv` in a child process, whose progress and errors go to this process's stderr.

    A signal that asks this process to stop is passed to the child, which may then save its work and
    end. A second signal kills the child.

    Args:
        arguments: the command line after `dlcv`.

    Raises:
        Interrupted: this process received a signal; the child has ended.
        AlreadySaid: the child failed; carries its exit status.
    """
    command = [sys.executable, "-m", "dlcvcli", *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child, _handing_on(child) as seen:
        status = child.wait()
    if seen:
        name = signal.Signals(seen[0]).name
        raise Interrupted(seen[0], f"stopped by {name}")
    if status:
        raise AlreadySaid(status if status > 0 else 128 - status)


@contextmanager
def _handing_on(child: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Pass signals to a child during a block; yields the list of the signals received."""
    seen: list[int] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        # Never as SIGINT: Ctrl-C in a terminal reaches the child too, and a second SIGINT would
        # make it stop without saving. Windows can only terminate without warning.
        if len(seen) > 1:
            child.kill()
        elif os.name != "nt":
            child.terminate()

    before: dict[int, Any] = {}
    try:
        for number in _SIGNALS:
            before[number] = signal.signal(number, hand_on)
    except ValueError:
        # Signal handlers can be set in the main thread only.
        pass
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
