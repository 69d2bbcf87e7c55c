"""Studies of classifiers: their data, and the images that a run predicts right. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from dlcvcli.config.values import Size
from dlcvcli.data.image_classes import ImageLayout, find_image_layout
from dlcvcli.data.shapes import make_shapes
from dlcvcli.outcomes.correct import read_correct
from dlcvcli.outcomes.spec import Count, OpenedData, Seed, StudySpec, SyntheticSet
from dlcvcli.reporter import Silent
from dlcvcli.tasks.classification.data import check_data, open_data
from dlcvcli.tasks.classification.settings import TrainClsSettings


class SyntheticShapes(SyntheticSet):
    """Synthetic shapes: `train` and `validation` images of a size."""

    train: Count
    validation: Count
    size: Size
    seed: Seed = 0

    def describe(self) -> str:
        height, width = self.size
        return f"{self.train} + {self.validation} images of shapes, {height}x{width}"

    def make(self, folder: Path) -> None:
        make_shapes(
            folder, train=self.train, validation=self.validation, size=self.size, seed=self.seed
        )


def recognise(folder: Path) -> ImageLayout:
    """Return the layout of a folder; see `StudySpec.recognise`."""
    # The settings say whether files outside of the set are accepted; `open_data` checks it.
    return find_image_layout(folder, allow_outside=True)


def opened(settings: TrainClsSettings) -> OpenedData:
    """Open both splits; see `StudySpec.open`."""
    return OpenedData(open_data(settings).layout)


def fingerprints(settings: TrainClsSettings) -> dict[str, str]:
    """Return the fingerprints of the splits; see `StudySpec.fingerprints`."""
    return check_data(settings, Silent(), known=True).sha256


STUDY = StudySpec(
    rule="top-1 accuracy: the fraction of images whose most probable class is right; balanced "
    "accuracy: the mean of that over the classes",
    recognise=recognise,
    open=opened,
    fingerprints=fingerprints,
    synthetic=SyntheticShapes,
    by_seed=("ece", "majority_baseline"),
    correct=read_correct,
)
