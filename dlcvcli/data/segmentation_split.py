"""Choose the images of a segmentation set that a model is scored on.

The model may have been trained on some of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlcvcli.data.layouts import find_layout
from dlcvcli.data.seen_images import SeenImages
from dlcvcli.data.seen_split import seen_part
from dlcvcli.data.segmentation import SegmentationSet, pooled_pairs, split_of
from dlcvcli.data.splits import ALL, canonical_split
from dlcvcli.palette import ClassSet


@dataclass(frozen=True)
class ScoredSplit:
    """The images that a model is scored on.

    Attributes:
        data: the images.
        remarks: how they were chosen and which are left out, line by line.
    """

    data: SegmentationSet
    remarks: tuple[str, ...] = ()


def open_for_model(
    folder: Path,
    split: str,
    *,
    seen: SeenImages | None,
    classes: ClassSet,
    layout: str = "auto",
    size: tuple[int, int] | None = None,
    binarise: bool = False,
    regrouped: bool = False,
) -> ScoredSplit:
    """Open a split of a folder to score a model on.

    A set with splits gives the split. Of a set without splits that the model's run was validated
    on, `val` are the images that the training held out, `train` those that the model was trained
    on, and `all` every image. Of any other set without splits, every image is scored.

    Args:
        folder: the set.
        split: name of the split.
        seen: the images that the model has seen; None where the model has no such record.
        classes, layout, size, binarise: as for `segmentation.open_split`.
        regrouped: the model's training held out groups of the images of `train` and `val`, so that
            in that set these names mean its own splits, and `all` the images of both.

    Raises:
        DataError: as for `open_split`; or the model's training held out no such split of the set.
    """
    recognised = find_layout(folder, layout)
    left_out = recognised.left_out().removeprefix("; ")
    remarks = (f"{folder}: {left_out}",) if left_out else ()
    wanted = canonical_split(split)
    unsplit = set(recognised.splits) == {ALL}
    if unsplit or (regrouped and wanted in {"train", "val", ALL}):
        pairs = pooled_pairs(recognised)
        what = "has no splits" if unsplit else "is split by group"
        part = seen_part([pair.image for pair in pairs], split, seen, folder, what)
        if part is not None:
            chosen = tuple(pairs[place] for place in part.places)
            data = SegmentationSet(chosen, classes, part.split, recognised.root, size, binarise)
            return ScoredSplit(data, (*remarks, part.remark) if part.remark else remarks)
    return ScoredSplit(split_of(recognised, split, classes, size=size, binarise=binarise), remarks)
