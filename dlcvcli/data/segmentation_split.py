"""Choose the images of a segmentation set that a model is scored on.

The model may have been trained on some of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dlcvcli.data.layouts import Pair, find_layout
from dlcvcli.data.reading import read_ahead, read_bytes
from dlcvcli.data.seen_images import SeenImages, digest_of
from dlcvcli.data.segmentation import SegmentationSet, split_of
from dlcvcli.data.splits import ALL, canonical_split
from dlcvcli.errors import DataError
from dlcvcli.machine import usable_cores
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

    Raises:
        DataError: as for `open_split`; or the model's training held out no such split of the set.
    """
    recognised = find_layout(folder, layout)
    data = split_of(recognised, split, classes, size=size, binarise=binarise)
    left_out = recognised.left_out().removeprefix("; ")
    remarks = (f"{folder}: {left_out}",) if left_out else ()
    if data.split != ALL:
        return ScoredSplit(data, remarks)
    if seen is None:
        remark = (
            f"{folder} has no splits, and the model does not record what it was trained on: "
            "every image is scored, those that it was trained on too"
        )
        return ScoredSplit(data, (*remarks, remark))
    digests = image_digests(data.pairs)
    held_out = set(seen.validated)
    wanted = canonical_split(split)
    if wanted == ALL or held_out.isdisjoint(digests):
        return ScoredSplit(data, remarks)
    parts = {"train": seen.trained - held_out, "val": held_out}
    if wanted not in parts:
        raise DataError(
            f"{folder} has no split '{split}': the model's training split it into train and val",
            "choose --split val, train or all",
        )
    pairs = [pair for pair, one in zip(data.pairs, digests, strict=True) if one in parts[wanted]]
    what = "held out" if wanted == "val" else "used"
    remark = (
        f"{folder} has no splits: scoring the {len(pairs)} of its {len(data)} images that the "
        f"model's training {what} (--split all scores every image)"
    )
    new = sum(digest not in held_out | seen.trained for digest in digests)
    if new:
        remark += f"; {new} that the training did not see are left out"
    return ScoredSplit(replace(data, pairs=tuple(pairs), split=wanted), (*remarks, remark))


def image_digests(pairs: Sequence[Pair]) -> list[bytes]:
    """Return the `digest_of` the image file of each pair.

    Raises:
        DataError: a file cannot be read.
    """
    threads = usable_cores()
    files = (pair.image for pair in pairs)
    return list(
        read_ahead(
            lambda file: digest_of(read_bytes(file)), files, threads=threads, ahead=4 * threads
        )
    )
