"""Supervision of the other ranks on this machine, so that none waits for ever for a dead one."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

# Seconds between two checks.
_INTERVAL = 0.5
# Seconds after which a failure counts: ranks that all stop for the same reason end one by one.
_GRACE = 3.0


class Peers:
    """The processes that this rank depends on.

    With neither argument there is nothing to supervise: the run has one rank, or torchrun
    supervises its ranks.

    Args:
        children: the ranks that this process starts, rank 1 first; the list may still grow.
        parent: process id of the rank that started this one.
    """

    def __init__(
        self,
        children: Sequence[subprocess.Popen[bytes]] | None = None,
        parent: int | None = None,
    ) -> None:
        self.alone = children is None and parent is None
        self.children = () if children is None else children
        self.parent = parent

    def find_failed(self, wait: float = 0.0) -> str | None:
        """Return which rank has failed and how, as text; None if all ranks are running.

        Args:
            wait: seconds to keep checking.
        """
        if self.alone:
            return None
        until = time.monotonic() + wait
        while True:
            failure = self._check()
            if failure is not None or time.monotonic() >= until:
                return failure
            time.sleep(0.05)

    def _check(self) -> str | None:
        for rank, child in enumerate(self.children, 1):
            status = child.poll()
            if status is not None and status < 0:
                return f"rank {rank} was killed by {signal.Signals(-status).name}"
            if status:
                return f"rank {rank} ended with exit status {status}"
        if self.parent is not None and os.getppid() != self.parent:
            return "rank 0 has ended"
        return None

    @contextmanager
    def watched(self, on_failure: Callable[[str], None]) -> Iterator[None]:
        """Watch the other ranks inside the `with` block, and stop them all if one fails.

        This rank may hang in a collective call that waits for the failed one, where no exception
        can reach it. `on_failure` is therefore called on a separate thread, with the text of
        `find_failed`, and must end the process.
        """
        over = threading.Event()

        def watch() -> None:
            while not over.wait(_INTERVAL):
                failure = self.find_failed()
                if failure is not None and not over.wait(_GRACE):
                    self.stop()
                    on_failure(failure)
                    return

        if self.alone:
            yield
            return
        thread = threading.Thread(target=watch, name="peers", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()

    def stop(self) -> None:
        """Kill the ranks that this process started."""
        for child in self.children:
            if child.poll() is None:
                child.kill()
