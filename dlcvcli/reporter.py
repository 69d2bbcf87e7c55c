"""How library code says what it does: lines and counts that its caller shows, or does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


class Reporter(Protocol):
    """Receives lines and progress."""

    def say(self, line: str) -> None:
        """Show one line."""
        ...

    def counting(self, what: str) -> AbstractContextManager[Progress]:
        """Show how far a count is, from entering to leaving the context."""
        ...


class Silent:
    """Shows nothing."""

    def say(self, line: str) -> None:
        """Ignore a line."""

    @contextmanager
    def counting(self, what: str) -> Iterator[Progress]:
        """Ignore a count."""
        yield lambda done, total: None


class Lines(Silent):
    """Passes lines to a function, and shows no counts."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show

    def say(self, line: str) -> None:
        """Pass a line on."""
        self._show(line)
