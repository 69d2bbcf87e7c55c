"""Write results to stdout, and progress and log lines to stderr, with bars only on a terminal."""

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
    """Return the console for results; tables in a file or pipe are wide, and do not wrap."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)


@cache
def stderr() -> Console:
    """Return the console for progress and log lines."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def on_terminal() -> bool:
    """Return whether stderr is a terminal."""
    return sys.stderr.isatty()


def say(line: str) -> None:
    """Write a log line to stderr, without markup or wrapping."""
    stderr().print(line, markup=False, soft_wrap=True)


def complain(message: str, hint: str) -> None:
    """Write an error and its hint to stderr; ranks other than 0 add their number, and no hint."""
    rank = this_rank()
    own = f"rank {rank}: " if rank else ""
    sys.stderr.write(f"{own}error: {message}\n")
    if hint and not rank:
        sys.stderr.write(f"hint: {hint}\n")


@contextmanager
def counting(what: str) -> Iterator[Progress]:
    """Show progress of a count: a bar on a terminal, elsewhere a line every 10 seconds."""
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
    """Progress as log lines, at most one every `EVERY` seconds."""

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
    """Write a result as JSON to the file `target`, or to stdout for `-`; do nothing for None."""
    if target is None:
        return
    if target == "-":
        sys.stdout.write(json.dumps(data, indent=2, allow_nan=False) + "\n")
        return
    from dlcvcli.files import write_json

    write_json(Path(target), data)


def facts(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    """Return a table of names and values, without interpreting markup in them."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), show_header=False, title_justify="left")
    for name, value in rows:
        table.add_row(name, Text(value))
    return table


def fraction(value: float | None, digits: int = 4) -> str:
    """Return a score as text for a table; a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}"
