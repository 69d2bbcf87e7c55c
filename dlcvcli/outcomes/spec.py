"""What a study needs from the task of its runs. Needs no torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from dlcvcli.config.values import Settings
from dlcvcli.outcomes.curves import curves_section, draw_curves
from dlcvcli.outcomes.page import Picture, Pictures, Section
from dlcvcli.outcomes.ranking import ranking_table
from dlcvcli.outcomes.runs import Comparison, RunOutcome
from dlcvcli.outcomes.score_tables import (
    difference_table,
    main_table,
    page_tables,
    reported_table,
    seed_notes,
)
from dlcvcli.outcomes.table import Table
from dlcvcli.runs import RunFolder
from dlcvcli.scores import Score

# A file each, and all of a set are written before the first run.
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class SyntheticSet(Settings):
    """A set that a study makes for itself, so that it needs no data."""

    @abstractmethod
    def describe(self) -> str:
        """Return its size and content in one line."""

    @abstractmethod
    def make(self, folder: Path) -> None:
        """Write it into a new folder."""


@dataclass(frozen=True)
class OpenedData:
    """What is known of a run's data before any image is read.

    Attributes:
        layout: the layout that the folder was recognised as, in one line.
        images: names of the validation images that can be shown.
    """

    layout: str
    images: tuple[str, ...] = ()


def _only_curves(name: str, comparison: Comparison, folder: Path) -> list[Picture]:
    return draw_curves(comparison, folder)


def _curves_section(comparison: Comparison, pictures: Pictures) -> list[Section]:
    return [curves_section(pictures)]


def _nothing(comparison: Comparison, run: RunOutcome) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class StudySpec:
    """What a study needs from a task. Tables without rows and empty sections are left out.

    Attributes:
        rule: how the scores are computed.
        recognise: raises DataError for a folder that has none of the task's layouts.
        open: opens what a run of these settings is trained and validated on; raises DataError,
            UsageError.
        fingerprints: returns split -> SHA-256 of the data of these settings, as `environment.json`
            has them; raises DataError.
        synthetic: the set that a study may make for itself, if there is one.
        main_table: returns a row a run, in their order.
        further_tables: shown below it.
        complete_tables: for Markdown only, as they are long.
        page_tables: returns all of them in tables narrow enough for a page.
        notes: returns what the measured numbers are.
        figures: names of the figures, each a switch under `figures` of a definition.
        draw: draws one of them into a folder, where there is something to draw.
        sections: returns what the page shows below the tables.
        image_figures: those that show validation images, for which runs save snapshots.
        by_seed: metrics that `results.json` has seed by seed, beside the scores.
        columns: returns further columns of `table.csv`.
        results: returns further keys of a run in `results.json`.
        correct: returns image -> whether the best checkpoint of a run predicts it right, of the
            set that the main score is of, so that one seed is compared by image.
    """

    rule: str
    recognise: Callable[[Path], object]
    open: Callable[[Any], OpenedData]
    fingerprints: Callable[[Any], dict[str, str]]
    synthetic: type[SyntheticSet] | None = None
    main_table: Callable[[Comparison], Table] = main_table
    further_tables: tuple[Callable[[Comparison], Table], ...] = (
        ranking_table,
        difference_table,
        reported_table,
    )
    complete_tables: tuple[Callable[[Comparison], Table], ...] = ()
    page_tables: Callable[[Comparison], list[Table]] = page_tables
    notes: Callable[[Comparison], list[str]] = seed_notes
    figures: tuple[str, ...] = ("curves",)
    draw: Callable[[str, Comparison, Path], list[Picture]] = _only_curves
    sections: Callable[[Comparison, Pictures], list[Section]] = _curves_section
    image_figures: tuple[str, ...] = ()
    by_seed: tuple[str, ...] = ()
    columns: Callable[[Comparison, RunOutcome], dict[str, Any]] = _nothing
    results: Callable[[Comparison, RunOutcome], dict[str, Any]] = _nothing
    correct: Callable[[RunFolder], Mapping[str, bool]] | None = None


def reported_keys(scores: Sequence[Score]) -> tuple[str, ...]:
    """Return what a report may say of a run: its scores, and half of their 95 % intervals."""
    return tuple(key for score in scores for key in (score.key, score.interval) if key is not None)
