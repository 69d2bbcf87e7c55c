"""The data of a study: recognised, opened and fingerprinted, whatever its task. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dlcvcli.data.audit import fingerprints_of
from dlcvcli.data.image_classes import find_image_layout
from dlcvcli.data.layouts import find_layout
from dlcvcli.studies.kinds import StudySettings
from dlcvcli.tasks.fewshot.data import check_fewshot_data, open_fewshot_data
from dlcvcli.tasks.fewshot.settings import TrainFewshotSettings
from dlcvcli.tasks.segmentation.data import open_training_data
from dlcvcli.tasks.segmentation.settings import TrainSegSettings


@dataclass(frozen=True)
class OpenedData:
    """What is known of a study's data before any image is read.

    Attributes:
        layout: what the folder was recognised as, in one line.
        classes: the class set, as plain types; empty where there is none.
        images: what the validation images that can be shown are called.
    """

    layout: str
    classes: dict[str, Any]
    images: tuple[str, ...] = ()


class StudyData(Protocol):
    """How the data of a task is opened; settings are those of one training, its path included."""

    def recognise(self, folder: Path) -> None:
        """Raise DataError for a folder that is none of the task's layouts."""

    def open(self, settings: StudySettings) -> OpenedData:
        """Open what a run trains and validates on; raises DataError, UsageError."""

    def fingerprints(self, settings: StudySettings) -> dict[str, str]:
        """Return split -> SHA-256, as a run's environment.json has them; raises DataError."""


class SegmentationData:
    """Images with masks."""

    def recognise(self, folder: Path) -> None:
        """See `StudyData`."""
        find_layout(folder)

    def open(self, settings: StudySettings) -> OpenedData:
        """See `StudyData`."""
        assert isinstance(settings, TrainSegSettings)
        train, val, layout = open_training_data(settings.data, settings.train.seed)
        names = tuple(pair.name for pair in val.pairs)
        return OpenedData(layout, train.classes.as_dict(), names)

    def fingerprints(self, settings: StudySettings) -> dict[str, str]:
        """See `StudyData`."""
        assert isinstance(settings, TrainSegSettings)
        train, val, _ = open_training_data(settings.data, settings.train.seed)
        return {part.split: fingerprints_of(part)[0] for part in (train, val)}


class FewshotStudyData:
    """Images by class."""

    def recognise(self, folder: Path) -> None:
        """See `StudyData`."""
        # Whether files outside of the set are accepted, the settings say, in `open`.
        find_image_layout(folder, allow_outside=True)

    def open(self, settings: StudySettings) -> OpenedData:
        """See `StudyData`."""
        assert isinstance(settings, TrainFewshotSettings)
        return OpenedData(open_fewshot_data(settings).layout.describe(), {})

    def fingerprints(self, settings: StudySettings) -> dict[str, str]:
        """See `StudyData`."""
        assert isinstance(settings, TrainFewshotSettings)
        return check_fewshot_data(settings).sha256


DATA: dict[str, StudyData] = {"seg": SegmentationData(), "fewshot": FewshotStudyData()}


def placed(settings: StudySettings, data: Path | str, seed: int) -> StudySettings:
    """Return the settings of a training: on this data, with this seed."""
    tree = settings.model_dump()
    tree["data"]["path"], tree["train"]["seed"] = str(data), seed
    return type(settings).model_validate(tree)
