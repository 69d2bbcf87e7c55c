"""Choose the images of a classification set that a model is scored on.

The model may have been trained on some of them. Needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dlcvcli.data.image_classes import ImageLayout, Split, find_image_layout, image_split
from dlcvcli.data.labelled_images import LabelledImages, split_images
from dlcvcli.data.seen_images import SeenImages
from dlcvcli.data.seen_split import seen_part
from dlcvcli.data.splits import ALL, canonical_split


@dataclass(frozen=True)
class LabelledSplit:
    """The images that a model is scored on, and how they were chosen, line by line."""

    data: LabelledImages
    remarks: tuple[str, ...] = ()


def open_for_model(
    folder: Path,
    split: str,
    *,
    seen: SeenImages | None,
    classes: tuple[str, ...],
    layout: str = "auto",
    size: tuple[int, int] | None = None,
    regrouped: bool = False,
    allow_outside: bool = False,
) -> LabelledSplit:
    """Open a split of a folder to score a model on, whose training may have split it.

    Args:
        folder: the set.
        split: name of the split.
        seen: the images that the model has seen; None where the model has no such record.
        classes: those of the model.
        layout, allow_outside: as for `find_image_layout`.
        size: (height, width) that images are stretched to.
        regrouped: the model's training split the set anew, by groups of images.

    Raises:
        DataError: the folder holds no such split, or a class that the model does not have.
    """
    recognised = find_image_layout(folder, layout, allow_outside=allow_outside)
    wanted = canonical_split(split)
    unsplit = set(recognised.splits) == {ALL}
    if unsplit or (regrouped and wanted in {"train", "val"}):
        data = split_images(pooled(recognised), classes, ALL, recognised.root, size)
        what = "has no splits" if unsplit else "is split by group"
        part = seen_part(data.files, split, seen, folder, what)
        if part is not None:
            chosen = replace(data.part(part.places), split=part.split)
            return LabelledSplit(chosen, (part.remark,) if part.remark else ())
    if wanted == ALL:
        return LabelledSplit(split_images(pooled(recognised), classes, ALL, recognised.root, size))
    return LabelledSplit(
        split_images(
            image_split(recognised, split),
            classes,
            ALL if unsplit else wanted,
            recognised.root,
            size,
        )
    )


def pooled(layout: ImageLayout) -> Split:
    """Return the classes of the splits `train` and `val`; of a set without splits, all of them."""
    names = [ALL] if set(layout.splits) == {ALL} else ["train", "val"]
    return tuple(one for name in names for one in layout.splits.get(name, ()))
