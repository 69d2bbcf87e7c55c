"""What a study of each task is about: its settings, its scores, their rule, its figures.

Needs no torch. How its data is opened stands in `study_data`, how it is told in `table`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from dlcvcli.metrics import RULES
from dlcvcli.studies.made import MadeGlyphs, MadeTiles
from dlcvcli.tasks.fewshot.settings import TrainFewshotSettings
from dlcvcli.tasks.segmentation.settings import TrainSegSettings

TaskName = Literal["seg", "fewshot"]
StudySettings = Annotated[TrainSegSettings | TrainFewshotSettings, Field(discriminator="task")]


@dataclass(frozen=True)
class StudyKind:
    """What studies of one task have in common.

    Attributes:
        task: as in `dlcv train TASK`.
        schema: the settings of a run.
        made: the set that a study may make for itself.
        scores: key in a run's metrics -> its name; the first is what runs are compared by.
        rule: how the scores are counted.
        reported: what may be reported of a run, apart from when.
        told: keys of a run's metrics that are told of each seed.
        figures: which of `StudyFigures` there are.
        shows_images: whether validation images are shown, so that a run keeps snapshots of them.
    """

    task: TaskName
    schema: type[TrainSegSettings] | type[TrainFewshotSettings]
    made: type[MadeTiles] | type[MadeGlyphs]
    scores: dict[str, str]
    rule: str
    reported: tuple[str, ...]
    told: tuple[str, ...]
    figures: tuple[str, ...]
    shows_images: bool

    @property
    def main(self) -> str:
        """The key of the score that runs are compared by."""
        return next(iter(self.scores))

    @property
    def main_name(self) -> str:
        """What people call it."""
        return self.scores[self.main]


_SEG_SCORES = {
    "miou": "mIoU",
    "overall_acc": "overall accuracy",
    "mean_acc": "mean accuracy",
    "freqw_acc": "frequency-weighted IoU",
}

KINDS: dict[str, StudyKind] = {
    "seg": StudyKind(
        task="seg",
        schema=TrainSegSettings,
        made=MadeTiles,
        scores=_SEG_SCORES,
        rule=RULES["voc"],
        reported=tuple(_SEG_SCORES),
        told=tuple(_SEG_SCORES),
        figures=("curves", "classes", "side_by_side", "snapshots"),
        shows_images=True,
    ),
    "fewshot": StudyKind(
        task="fewshot",
        schema=TrainFewshotSettings,
        made=MadeGlyphs,
        scores={"accuracy": "accuracy"},
        rule=(
            "share of an episode's queries that are given their class, averaged over the "
            "episodes; ci95 is half of its 95 % interval, 1.96 s / sqrt(episodes) with s of ddof 1"
        ),
        reported=("accuracy", "ci95"),
        told=("accuracy", "ci95", "episodes", "split", "scale", "episodes_sha256"),
        figures=("curves", "points"),
        shows_images=False,
    ),
}
