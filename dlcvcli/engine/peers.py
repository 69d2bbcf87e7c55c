"""The other ranks of this machine: a rank that dies must not leave the others waiting for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

_EVERY = 0.5
# Ranks that end together, each for the same reason, do not end in the same instant.
_GRACE = 3.0


class Peers:
    """The processes that this rank's fate hangs on.

    Args:
        children: the ranks that this process starts, rank 1 first; may still be growing.
        parent: process id of the rank that started this one.

    Without either there are none to look after: a run of one rank, and torchrun, which looks after
    its ranks itself.
    """

    def __init__(
        self,
        children: Sequence[subprocess.Popen[bytes]] | None = None,
        parent: int | None = None,
    ) -> None:
        self.alone = children is None and parent is None
        self.children = () if children is None else children
        self.parent = parent

    def fallen(self, wait: float = 0.0) -> str | None:
        """Return which rank has ended before its time, and how; None where all are well.

        Args:
            wait: seconds in which one may still be found to have ended.
        """
        if self.alone:
            return None
        until = time.monotonic() + wait
        while True:
            found = self._look()
            if found is not None or time.monotonic() >= until:
                return found
            time.sleep(0.05)

    def _look(self) -> str | None:
        for rank, child in enumerate(self.children, 1):
            status = child.poll()
            if status is not None and status < 0:
                return f"rank {rank} was killed by {signal.Signals(-status).name}"
            if status:
                return f"rank {rank} ended with exit status {status}"
        if self.parent is not None and os.getppid() != self.parent:
            return "rank 0 is gone"
        return None

    @contextmanager
    def watched(self, lost: Callable[[str], None]) -> Iterator[None]:
        """Look after the other ranks inside the `with`.

        This rank may hang in an exchange with one that is gone, where no exception reaches it: so
        `lost` is called on a thread of its own, with what `fallen` says, and has to end the
        process.
        """
        over = threading.Event()

        def look() -> None:
            while not over.wait(_EVERY):
                found = self.fallen()
                if found is not None and not over.wait(_GRACE):
                    self.stop()
                    lost(found)
                    return

        if self.alone:
            yield
            return
        thread = threading.Thread(target=look, name="peers", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()

    def stop(self) -> None:
        """End the ranks that this process started."""
        for child in self.children:
            if child.poll() is None:
                child.kill()
