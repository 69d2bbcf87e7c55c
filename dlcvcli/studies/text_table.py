"""A table for people, whoever prints it: the console, Markdown or a page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Texts in rows; the first `words` columns are words, set to the left, the rest numbers.

    Attributes:
        title: what it shows; may be empty.
        columns: their names.
        rows: a text for each column.
        words: how many columns are words.
        marked: the row to stand out, if any.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    marked: int | None = None

    def only(self, title: str, columns: Iterable[str], *, marked: bool = False) -> Table:
        """Return the table with its first column and these others alone, in their order.

        `marked` keeps the row that stands out.
        """
        places = [0, *(self.columns.index(name) for name in columns)]
        return Table(
            title,
            tuple(self.columns[place] for place in places),
            tuple(tuple(row[place] for place in places) for row in self.rows),
            words=sum(place < self.words for place in places),
            marked=self.marked if marked else None,
        )
