"""Studies of segmentation models: their data, the IoU of classes, their page. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlcvcli.config.values import Size
from dlcvcli.data.audit import fingerprints_of
from dlcvcli.data.layouts import find_layout
from dlcvcli.data.synthetic import make_landcover
from dlcvcli.metrics import RULES
from dlcvcli.outcomes.curves import curves_section
from dlcvcli.outcomes.page import Picture, Pictures, Section
from dlcvcli.outcomes.runs import Comparison, RunOutcome
from dlcvcli.outcomes.spec import Count, OpenedData, Seed, StudySpec, SyntheticSet
from dlcvcli.palette import Colour
from dlcvcli.tasks.segmentation.class_scores import class_set, class_table, iou_of, scored_classes
from dlcvcli.tasks.segmentation.data import open_training_data
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
    _, val, layout, _ = open_training_data(settings.data, settings.train.seed)
    return OpenedData(layout.describe(), tuple(pair.name for pair in val.pairs))


def fingerprints(settings: TrainSegSettings) -> dict[str, str]:
    """Return the fingerprints of both splits; see `StudySpec.fingerprints`."""
    train, val, *_ = open_training_data(settings.data, settings.train.seed)
    return {part.split: fingerprints_of(part)[0] for part in (train, val)}


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
    rule=RULES["voc"],
    recognise=find_layout,
    open=open_data,
    fingerprints=fingerprints,
    synthetic=SyntheticTiles,
    complete_tables=(class_table,),
    figures=("curves", "classes", "side_by_side", "snapshots"),
    draw=_draw,
    sections=sections,
    image_figures=("side_by_side", "snapshots"),
    results=_results,
)
