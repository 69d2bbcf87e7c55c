"""Predicted masks of chosen images during training: early, middle and final."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from dlcvcli.data.layouts import find_image
from dlcvcli.data.masks import write_mask
from dlcvcli.data.reading import Pixels, read_rgb, stretch
from dlcvcli.data.segmentation import SegmentationSet, read_pair
from dlcvcli.data.writing import write_image
from dlcvcli.engine.hooks import Hooks, Plan
from dlcvcli.engine.task import Task
from dlcvcli.errors import UsageError
from dlcvcli.files import make_folder
from dlcvcli.palette import ClassSet, Mask
from dlcvcli.runs import RunFolder
from dlcvcli.tasks.segmentation.settings import SnapshotSettings
from dlcvcli.tasks.segmentation.task import SegmentationTask

_EARLY = 0.05


@dataclass(frozen=True)
class SnapshotImage:
    """An image whose masks are saved during training.

    Attributes:
        name: of its folder.
        image: uint8 [H, W, 3], RGB.
        ground_truth: its annotation, uint8 [H, W], where it has one.
    """

    name: str
    image: Pixels
    ground_truth: Mask | None


def find_snapshot_images(names: tuple[str, ...], val: SegmentationSet) -> list[SnapshotImage]:
    """Read the images that `--snapshot` names: files, or names in the validation split.

    Raises:
        UsageError: neither, or two of them have one name.
        DataError: one cannot be read.
    """
    subjects: dict[str, SnapshotImage] = {}
    sources: dict[str, Path] = {}
    for name in names:
        path = Path(name)
        if path.is_file():
            pair = next((p for p in val.pairs if p.image.resolve() == path.resolve()), None)
        else:
            pair = find_image(val.pairs, name)
        known = path.stem if pair is None else pair.name
        source = path.resolve() if pair is None else pair.image.resolve()
        if sources.setdefault(known, source) != source:
            raise UsageError(
                f"--snapshot {name}: another image is called {known} too", "rename one of them"
            )
        if pair is None:
            subjects[known] = SnapshotImage(known, read_rgb(source), None)
        else:
            sample = read_pair(pair, val.classes, binarise=val.binarise)
            subjects[known] = SnapshotImage(known, sample.image, sample.mask)
    return list(subjects.values())


def snapshot_steps(settings: SnapshotSettings, total: int, steps_per_epoch: int) -> set[int]:
    """Return the steps at which to look; by default at 5 %, half and the end of the run."""
    if settings.epochs is not None:
        return {min(epoch * steps_per_epoch, total) for epoch in settings.epochs}
    return {max(1, round(total * _EARLY)), max(1, total // 2), total}


class SnapshotHook(Hooks):
    """Keeps `snapshots/NAME/step-NNNNNNN.png` beside the image and its annotation.

    Args:
        run: the run folder.
        subjects: the images.
        settings: when to look.
        size: (height, width) that images are stretched to; None leaves their own.
        classes: the class set.
    """

    def __init__(
        self,
        run: RunFolder,
        subjects: list[SnapshotImage],
        settings: SnapshotSettings,
        *,
        size: tuple[int, int] | None,
        classes: ClassSet,
    ) -> None:
        self.run = run
        self.subjects = subjects
        self.settings = settings
        self.size = size
        self.classes = classes
        self.steps: set[int] = set()

    def on_start(self, plan: Plan) -> None:
        self.steps = snapshot_steps(self.settings, plan.total_steps, plan.steps_per_epoch)
        for subject in self.subjects:
            folder = self.run.snapshots / subject.name
            make_folder(folder)
            write_image(folder / "image.png", subject.image, "PNG")
            if subject.ground_truth is not None:
                write_mask(folder / "truth.png", subject.ground_truth, self.classes)

    def wants_snapshot(self, step: int) -> bool:
        return bool(self.subjects) and step in self.steps

    def on_snapshot(self, step: int, task: Task) -> None:
        assert isinstance(task, SegmentationTask)
        for subject in self.subjects:
            mask = self._mask(task, subject.image)
            folder = self.run.snapshots / subject.name
            write_mask(folder / f"step-{step:07d}.png", mask, self.classes)

    def _mask(self, task: SegmentationTask, image: Pixels) -> Pixels:
        own = image.shape[0], image.shape[1]
        sized = image if self.size is None else stretch(image, self.size)
        device = task.evaluated.normalise.shift.device
        batch = torch.from_numpy(sized.copy())[None].to(device)
        mask: Pixels = task.evaluated(batch, own)[0].cpu().numpy()
        return mask
