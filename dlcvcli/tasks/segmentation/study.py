"""Studies of segmentation models: their data, tables and page. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlcvcli.config.values import Size
from dlcvcli.data.audit import fingerprints_of
from dlcvcli.data.layouts import find_layout
from dlcvcli.data.synthetic import make_landcover
from dlcvcli.metrics import RULES
from dlcvcli.outcomes.cells import (
    NONE,
    best_epochs,
    four_digits,
    seeds_done,
    throughput,
    with_spread,
)
from dlcvcli.outcomes.curves import curves_section
from dlcvcli.outcomes.runs import Comparison, RunOutcome
from dlcvcli.outcomes.spec import (
    Count,
    OpenedData,
    Picture,
    Pictures,
    Section,
    Seed,
    StudySpec,
    SyntheticSet,
)
from dlcvcli.outcomes.spread import Spread, spread
from dlcvcli.outcomes.table import Table
from dlcvcli.palette import ClassSet, Colour
from dlcvcli.tasks.segmentation.data import open_training_data
from dlcvcli.tasks.segmentation.scores import SCORES
from dlcvcli.tasks.segmentation.settings import TrainSegSettings
from dlcvcli.tasks.segmentation.worked_example import explain_miou, worked_example


class SyntheticTiles(SyntheticSet):
    """Synthetic land cover: `train` and `validation` tiles of a size."""

    train: Count
    validation: Count
    size: Size
    seed: Seed = 0

    def describe(self) -> str:
        height, width = self.size
        return f"{self.train} + {self.validation} tiles of {height}x{width}"

    def make(self, folder: Path) -> None:
        make_landcover(
            folder, train=self.train, validation=self.validation, size=self.size, seed=self.seed
        )


def open_data(settings: TrainSegSettings) -> OpenedData:
    """Open both splits; see `StudySpec.open`."""
    _, val, layout = open_training_data(settings.data, settings.train.seed)
    return OpenedData(layout, tuple(pair.name for pair in val.pairs))


def fingerprints(settings: TrainSegSettings) -> dict[str, str]:
    """Return the fingerprints of both splits; see `StudySpec.fingerprints`."""
    train, val, _ = open_training_data(settings.data, settings.train.seed)
    return {part.split: fingerprints_of(part)[0] for part in (train, val)}


def main_table(comparison: Comparison) -> Table:
    """Return a row a run, in their order; the best one is marked."""
    columns = (
        *("run", "model", "parameters", "reported mIoU", "measured mIoU", "seeds", "best epoch"),
        *(score.name for score in SCORES[1:]),
        *("images/s", "peak MiB"),
    )
    rows = tuple(_row(run) for run in comparison.runs)
    return Table(comparison.title, columns, rows, words=2, marked=comparison.marked)


def _row(run: RunOutcome) -> tuple[str, ...]:
    memory = run.peak_memory_mb
    return (
        *(run.label, run.model),
        NONE if run.parameters is None else f"{run.parameters / 1e6:.1f} M",
        four_digits(run.reported.get("miou")),
        with_spread(run.over_seeds("miou")),
        seeds_done(run),
        best_epochs(run),
        *(four_digits(run.over_seeds(score.key).mean) for score in SCORES[1:]),
        throughput(run),
        NONE if memory is None else str(memory),
    )


def difference_table(comparison: Comparison) -> Table:
    """Return how far the mIoU of each run differs from that of the first, seed by seed."""
    rows = []
    for run in comparison.runs[1:]:
        differences = list(comparison.difference(run).values())
        if differences:
            over_seeds = spread(differences)
            each = ", ".join(f"{value:+.4f}" for value in differences)
            rows.append((run.label, with_spread(over_seeds, sign="+"), str(over_seeds.count), each))
    title = f"mIoU minus that of {comparison.runs[0].label}, paired by seed"
    return Table(title, ("run", "difference", "seeds", "seed by seed"), tuple(rows))


def reported_table(comparison: Comparison) -> Table:
    """Return the reported scores other than the mIoU beside the measured ones."""
    rows = tuple(
        (
            *(run.label, score.name, f"{run.reported[score.key]:.4f}"),
            with_spread(run.over_seeds(score.key)),
        )
        for run in comparison.runs
        for score in SCORES[1:]
        if score.key in run.reported
    )
    return Table("Other reported scores", ("run", "score", "reported", "measured"), rows, words=2)


def class_table(comparison: Comparison) -> Table:
    """Return the IoU of every class, a column a run."""
    return Table(
        "IoU of every class",
        ("class", *(run.label for run in comparison.runs)),
        tuple(
            (name, *(with_spread(iou_of(run, name)) for run in comparison.runs))
            for name in scored_classes(comparison)
        ),
    )


def page_tables(comparison: Comparison) -> list[Table]:
    """Return the tables, except that of the classes, narrow enough for a page."""
    main = main_table(comparison)
    scores = ("reported mIoU", "measured mIoU", "seeds", "best epoch")
    cost = ("model", "parameters", "images/s", "peak MiB")
    return [
        main.only("", scores, marked=True),
        difference_table(comparison),
        main.only("Other scores, means over seeds", [score.name for score in SCORES[1:]]),
        reported_table(comparison),
        main.only("Size, speed of training and memory", cost),
    ]


def notes(comparison: Comparison) -> list[str]:
    """Return what the measured numbers are."""
    return [
        "Measured: the best checkpoint of each seed, evaluated in float32; mean ± standard "
        "deviation over seeds (ddof 1), a dash with one seed. Images/s are those of training.",
    ]


def iou_of(run: RunOutcome, name: str) -> Spread:
    """Return the IoU of a class over the seeds in which it is scored."""
    per_class = [results["metrics"]["iou_per_class"] for results in run.finished.values()]
    return spread([one[name] for one in per_class if one.get(name) is not None])


def scored_classes(comparison: Comparison) -> list[str]:
    """Return the classes that a finished run scores, in the order of their ids."""
    per_class = [
        results["metrics"]["iou_per_class"]
        for run in comparison.runs
        for results in run.finished.values()
    ]
    names = dict.fromkeys(name for one in per_class for name in one)
    return [name for name in names if any(one.get(name) is not None for one in per_class)]


def class_set(comparison: Comparison) -> ClassSet | None:
    """Return the class set of the first run that was begun."""
    for run in comparison.runs:
        for one in run.seeds:
            if one.environment is not None:
                return ClassSet.from_dict(one.environment["data"]["classes"])
    return None


def sections(comparison: Comparison, pictures: Pictures) -> list[Section]:
    """Return what the page shows below the tables."""
    classes = class_table(comparison)
    return [
        curves_section(pictures),
        Section(
            "Every class",
            pictures["classes"],
            table=classes.only("", classes.columns[1:]),
            colours=_colours(comparison),
        ),
        Section("Image, ground truth, and each run", pictures["side_by_side"]),
        Section("Masks during training", pictures["snapshots"], grid=True),
        Section(
            "Why the mIoU says more than pixel accuracy", paragraphs=_worked_example(comparison)
        ),
    ]


def _colours(comparison: Comparison) -> dict[str, Colour]:
    classes = class_set(comparison)
    return {} if classes is None else dict(zip(classes.names, classes.colours, strict=True))


def _worked_example(comparison: Comparison) -> list[str]:
    run = comparison.best or next((run for run in comparison.runs if run.finished), None)
    if run is None:
        return []
    seed = min(run.finished)
    example = worked_example(run.finished[seed]["metrics"])
    return [] if example is None else [explain_miou(example, f"With seed {seed}, {run.label}")]


def _draw(name: str, comparison: Comparison, folder: Path) -> list[Picture]:
    from dlcvcli.tasks.segmentation.study_figures import FIGURES

    return FIGURES[name](comparison, folder)


def _results(comparison: Comparison, run: RunOutcome) -> dict[str, Any]:
    names = scored_classes(comparison)
    return {"iou_per_class": {name: iou_of(run, name).as_dict() for name in names}}


STUDY = StudySpec(
    synthetic=SyntheticTiles,
    rule=RULES["voc"],
    recognise=find_layout,
    open=open_data,
    fingerprints=fingerprints,
    main_table=main_table,
    further_tables=(difference_table, reported_table),
    page_tables=page_tables,
    notes=notes,
    figures=("curves", "classes", "side_by_side", "snapshots"),
    draw=_draw,
    sections=sections,
    complete_tables=(class_table,),
    image_figures=("side_by_side", "snapshots"),
    results=_results,
)
