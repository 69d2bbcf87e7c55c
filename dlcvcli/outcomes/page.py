"""Parts of a study's page: pictures, tables and paragraphs under headings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dlcvcli.outcomes.table import Table
from dlcvcli.palette import Colour


@dataclass(frozen=True)
class Picture:
    """A figure of a study.

    Attributes:
        path: the file.
        alt: what it shows, for readers who do not see it.
        caption: shown below it.
    """

    path: Path
    alt: str
    caption: str


Pictures = Mapping[str, Sequence[Picture]]
"""Name of a figure -> its pictures; none where there was nothing to draw."""


@dataclass(frozen=True)
class Section:
    """A part of a study's page; left out where it is empty.

    Attributes:
        title: its heading; empty where it continues what is above it.
        pictures: first.
        grid: whether they are small, and shown side by side.
        table: below the pictures.
        colours: text of a row's first cell -> the colour shown beside it.
        paragraphs: last.
    """

    title: str
    pictures: Sequence[Picture] = ()
    grid: bool = False
    table: Table | None = None
    colours: Mapping[str, Colour] = field(default_factory=dict)
    paragraphs: Sequence[str] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.pictures or self.paragraphs or (self.table and self.table.rows))
