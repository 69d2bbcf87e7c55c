"""stdout for results, stderr for progress; bars only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcvcli.machine import this_rank
from dlcvcli.reporter import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDE = 160


@cache
def stdout() -> Console:
    """Return the console that carries results; in a file or pipe no line of a table is broken."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)


@cache
def stderr() -> Console:
    """Return the console that carries progress and log lines."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def on_terminal() -> bool:
    """Whether a person watches stderr."""
    return sys.stderr.isatty()


def say(line: str) -> None:
    """Write one line of the log to stderr, as it is."""
    stderr().print(line, markup=False, soft_wrap=True)


def complain(message: str, hint: str) -> None:
    """Write an error and its hint to stderr; a rank other than 0 says which it is."""
    rank = this_rank()
    own = f"rank {rank}: " if rank else ""
    sys.stderr.write(f"{own}error: {message}\n")
    if hint and not rank:
        sys.stderr.write(f"hint: {hint}\n")


@contextmanager
def counting(what: str) -> Iterator[Progress]:
    """Show how far a count has come: a bar on a terminal, elsewhere a line now and then."""
    if on_terminal():
        from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*columns, console=stderr(), transient=True) as bar:
            task = bar.add_task(what, total=None)

            def move(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            yield move
        return
    yield _Lines(what)


class _Lines:
    """A line at most every few seconds."""

    EVERY = 10.0

    def __init__(self, what: str) -> None:
        import time

        self.what = what
        self.clock = time.monotonic
        self.next = self.clock() + self.EVERY

    def __call__(self, done: int, total: int) -> None:
        if self.clock() >= self.next and done < total:
            say(f"{self.what}: {done}/{total}")
            self.next = self.clock() + self.EVERY


class Shown:
    """A `Reporter` whose lines and counts go to stderr; ranks other than 0 show nothing."""

    def say(self, line: str) -> None:
        """Show one line."""
        if not this_rank():
            say(line)

    def counting(self, what: str) -> AbstractContextManager[Progress]:
        """Show how far a count is."""
        return nullcontext(_ignore) if this_rank() else counting(what)


SHOWN = Shown()


def _ignore(done: int, total: int) -> None:
    """Show nothing."""


def write_result(data: dict[str, Any], target: str | None) -> None:
    """Write a result as JSON to a file, or to stdout for `-`; nothing for None."""
    if target is None:
        return
    if target == "-":
        sys.stdout.write(json.dumps(data, indent=2, allow_nan=False) + "\n")
        return
    from dlcvcli.files import write_json

    write_json(Path(target), data)


def facts(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    """Return a table of names and values; text is shown as it is, brackets too."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), show_header=False, title_justify="left")
    for name, value in rows:
        table.add_row(name, Text(value))
    return table


def fraction(value: float | None, digits: int = 4) -> str:
    """Return a score for a table; a dash for one that does not exist."""
    return "–" if value is None else f"{value:.{digits}f}"
