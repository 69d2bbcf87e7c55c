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

    def in_parts(self, width: int, *, apart: int) -> list[Table]:
        """Return tables of the first column and as many of the others as fit a width, at least one.

        The first one has the title.

        Args:
            width: in characters.
            apart: characters that a column needs beside its longest line.
        """
        first, *others = (
            apart + max(len(line) for text in texts for line in text.split("\n"))
            for texts in zip(self.columns, *self.rows, strict=True)
        )
        parts: list[list[str]] = []
        left = 0
        for name, needed in zip(self.columns[1:], others, strict=True):
            if not parts or needed > left:
                parts.append([])
                left = width - first
            parts[-1].append(name)
            left -= needed
        return [
            self.only("" if number else self.title, names, marked=True)
            for number, names in enumerate(parts)
        ]
