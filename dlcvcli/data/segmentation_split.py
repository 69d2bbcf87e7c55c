"""A split of an annotated set to score a model on, which the model may have been trained on."""

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
    """A split that a model is scored on.

    Attributes:
        data: its images.
        remarks: how they were chosen and what of the set is left out, line by line.
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
    """Open a split of a folder for a model, which may have been trained on some of its images.

    A set with splits is opened as it says. Of a set without splits that the model's run was
    validated on, `val` is what the training held out, `train` what the model was trained on, and
    `all` everything. Of any other set without splits every image is taken.

    Args:
        folder: the set.
        split: the split wanted.
        seen: the model's record; None where it has none.
        classes, layout, size, binarise: see `segmentation.open_split`.

    Raises:
        DataError: see `open_split`; or the set is the model's own and has no such part.
    """
    whole = find_layout(folder, layout)
    found = split_of(whole, split, classes, size=size, binarise=binarise)
    missing = whole.left_out().removeprefix("; ")
    remarks = (f"{folder}: {missing}",) if missing else ()
    if found.split != ALL:
        return ScoredSplit(found, remarks)
    if seen is None:
        remark = (
            f"{folder} has no splits, and the model does not record what it was trained on: "
            "every image is taken, those that it was trained on too"
        )
        return ScoredSplit(found, (*remarks, remark))
    digests = image_digests(found.pairs)
    held_out = set(seen.validated)
    wanted = canonical_split(split)
    if wanted == ALL or held_out.isdisjoint(digests):
        return ScoredSplit(found, remarks)
    parts = {"train": seen.trained - held_out, "val": held_out}
    if wanted not in parts:
        raise DataError(
            f"{folder} has no splits, and the model's training split it into train and val only: "
            f"there is no '{split}'",
            "choose --split val, train or all",
        )
    pairs = [pair for pair, one in zip(found.pairs, digests, strict=True) if one in parts[wanted]]
    what = "held out" if wanted == "val" else "used"
    remark = (
        f"{folder} has no splits: taking the {len(pairs)} of its {len(found)} images that the "
        f"model's training {what} (--split all takes every image)"
    )
    new = sum(digest not in held_out | seen.trained for digest in digests)
    if new:
        remark += f"; {new} that it did not have are left out"
    return ScoredSplit(replace(found, pairs=tuple(pairs), split=wanted), (*remarks, remark))


def image_digests(pairs: Sequence[Pair]) -> list[bytes]:
    """Return what identifies the image of each pair.

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
