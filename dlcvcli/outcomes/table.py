"""A table of texts, for the console, Markdown or a page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Texts in rows: the first columns are words, aligned to the left, the others numbers.

    Attributes:
        title: what it shows; may be empty.
        columns: their names.
        rows: a text for each column.
        words: number of columns with words.
        marked: the row to highlight, if any.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    marked: int | None = None

    def only(self, title: str, columns: Iterable[str], *, marked: bool = False) -> Table:
        """Return a table of the first column and some others.

        Args:
            title: of the new table.
            columns: names of the others, in their new order.
            marked: keep the highlighted row.
        """
        places = [0, *(self.columns.index(name) for name in columns)]
        return Table(
            title,
            tuple(self.columns[place] for place in places),
            tuple(tuple(row[place] for place in places) for row in self.rows),
            words=sum(place < self.words for place in places),
            marked=self.marked if marked else None,
        )
