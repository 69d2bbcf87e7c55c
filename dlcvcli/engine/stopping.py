"""Requests to stop a run: a signal, or the end of its maximum time."""

from __future__ import annotations

import signal
import time
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name)
)


class StopRequest:
    """Catches signals inside the `with` block, so that training can complete its step and save.

    A second SIGINT raises KeyboardInterrupt at once.

    Args:
        max_time: seconds after which to stop; None: no limit.
    """

    def __init__(self, max_time: float | None = None) -> None:
        self.signal: int | None = None
        self._deadline = None if max_time is None else time.monotonic() + max_time
        self._before: dict[int, Any] = {}

    @property
    def out_of_time(self) -> bool:
        """Whether `max_time` has passed."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    @property
    def requested(self) -> bool:
        """Whether to stop after this step."""
        return self.signal is not None or self.out_of_time

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            try:
                self._before[number] = signal.signal(number, self._remember)
            except ValueError:
                # Handlers can be set in the main thread only; elsewhere only max_time applies.
                break
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.signal == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
