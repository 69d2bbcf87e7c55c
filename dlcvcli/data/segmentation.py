"""Segmentation sets: images with their annotations, read one by one as uint8 arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dlcvcli.data.holdout import GroupRule, groups_of, hold_out_groups
from dlcvcli.data.layouts import Layout, Pair, find_layout, pairs_of
from dlcvcli.data.masks import decode_oriented_mask, match_orientation
from dlcvcli.data.reading import Pixels, decode_oriented_rgb, enough_memory, read_bytes, stretch
from dlcvcli.data.seen_images import image_digest
from dlcvcli.data.splits import ALL, canonical_split, require_two_splits
from dlcvcli.errors import DataError, UsageError
from dlcvcli.palette import PRESETS, ClassSet, Mask, load_class_set, with_ignore_index


@dataclass(frozen=True)
class Sample:
    """One annotated image.

    Attributes:
        name: the name that users see.
        image: uint8 [H, W, 3], RGB, stretched to the set's size where it has one.
        mask: uint8 [h, w], class ids at the annotation's own size.
        digest: SHA-256 over the bytes of both files.
        image_digest: identifies the image file; see `seen_images.digest_of`.
        orientation_unclear: the image was rotated by its EXIF orientation, and the sizes do not
            show whether its mask had to be rotated too; the mask was left as it is.
    """

    name: str
    image: Pixels
    mask: Mask
    digest: bytes
    image_digest: bytes
    orientation_unclear: bool = False


@dataclass(frozen=True)
class SegmentationSet:
    """One split of a segmentation set.

    Attributes:
        pairs: the files.
        classes: the classes of the ids.
        split: the split's name.
        root: the folder of the set.
        size: stretch every image to (height, width); None keeps the image's own size.
        binarise: round colours to 0 and 255 before looking them up; see `masks.decode_mask`.
    """

    pairs: tuple[Pair, ...]
    classes: ClassSet
    split: str
    root: Path
    size: tuple[int, int] | None = None
    binarise: bool = False

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def files(self) -> Sequence[Path]:
        """The image files."""
        return [pair.image for pair in self.pairs]

    def read(self, index: int) -> Sample:
        """Return one pair, decoded.

        Raises:
            DataError: a file cannot be read or decoded, the annotation holds an id or colour that
                is not in the class set, or the two differ in size.
        """
        pair = self.pairs[index]
        sample = read_pair(pair, self.classes, binarise=self.binarise)
        if self.size is None:
            return sample
        with enough_memory(pair.image):
            return replace(sample, image=stretch(sample.image, self.size))

    def digests(self, index: int) -> tuple[bytes, bytes]:
        """Return `digest` and `image_digest` (see `Sample`) of one pair without decoding it."""
        pair = self.pairs[index]
        return _digests(read_bytes(pair.image), read_bytes(pair.mask))


def read_pair(pair: Pair, classes: ClassSet, *, binarise: bool = False) -> Sample:
    """Return an image and its annotation, decoded and upright, at the image's own size.

    Raises:
        DataError: see `SegmentationSet.read`.
    """
    image_bytes, mask_bytes = read_bytes(pair.image), read_bytes(pair.mask)
    image, rotated = decode_oriented_rgb(image_bytes, pair.image)
    mask, mask_rotated = decode_oriented_mask(mask_bytes, pair.mask, classes, binarise=binarise)
    shape = image.shape[:2]
    upright, unclear = match_orientation(mask, mask_rotated, rotated, shape)
    if upright.shape != shape:
        raise DataError(
            f"{pair.image} is {_shape(image)} and its mask {pair.mask.name} is {_shape(mask)}",
            "an image and its annotation must have the same size",
        )
    return Sample(pair.name, image, upright, *_digests(image_bytes, mask_bytes), unclear)


def _digests(image_bytes: bytes, mask_bytes: bytes) -> tuple[bytes, bytes]:
    image = hashlib.sha256(image_bytes).digest()
    both = hashlib.sha256(image + hashlib.sha256(mask_bytes).digest()).digest()
    return both, image_digest(image)


def _shape(pixels: Pixels) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]} (width x height)"


def class_set_for(layout: Layout, classes: str, ignore_index: int | None) -> ClassSet:
    """Return the class set of a recognised set.

    Args:
        layout: the recognised set, whose layout may imply a preset.
        classes: preset or file; `auto` takes the preset that the layout implies.
        ignore_index: replaces that of the class set, if given.

    Raises:
        UsageError: the layout implies no classes and none were named.
    """
    if classes == "auto":
        if layout.preset is None:
            raise UsageError(
                f"layout {layout.name} does not say which classes its masks hold",
                f"name them with --classes PRESET|FILE (presets: {', '.join(sorted(PRESETS))})",
            )
        classes = layout.preset
    return with_ignore_index(load_class_set(classes), ignore_index)


def open_split(
    folder: Path,
    split: str,
    *,
    layout: str = "auto",
    classes: ClassSet | str = "auto",
    ignore_index: int | None = None,
    size: tuple[int, int] | None = None,
    binarise: bool = False,
) -> SegmentationSet:
    """Open one split of a folder; of a set without splits, all of it.

    Raises:
        DataError: the folder or the split does not exist, or files do not pair up.
        UsageError: the classes are unknown.
    """
    recognised = find_layout(folder, layout)
    if not isinstance(classes, ClassSet):
        classes = class_set_for(recognised, classes, ignore_index)
    return split_of(recognised, split, classes, size=size, binarise=binarise)


def split_of(
    layout: Layout,
    split: str,
    classes: ClassSet,
    *,
    size: tuple[int, int] | None = None,
    binarise: bool = False,
) -> SegmentationSet:
    """Return one split of a recognised set; of a set without splits, all of it.

    Raises:
        DataError: there is no such split.
    """
    pairs = pairs_of(layout, split)
    name = canonical_split(split) if canonical_split(split) in layout.splits else ALL
    return SegmentationSet(pairs, classes, name, layout.root, size, binarise)


def pooled_pairs(layout: Layout) -> tuple[Pair, ...]:
    """Return the pairs of the splits `train` and `val`; of a set without splits, all of them."""
    names = [ALL] if set(layout.splits) == {ALL} else ["train", "val"]
    return tuple(dict.fromkeys(pair for name in names for pair in layout.splits.get(name, ())))


@dataclass(frozen=True)
class TrainingSplits:
    """The pairs to train and to validate on, and how the set was split, where dlcv split it."""

    train: tuple[Pair, ...]
    val: tuple[Pair, ...]
    remark: str = ""


def training_splits(
    layout: Layout,
    train: str,
    val: str,
    *,
    holdout: float,
    seed: int,
    rule: GroupRule | None = None,
) -> TrainingSplits:
    """Return the pairs to train and to validate on.

    Of a set without splits, a random fraction is held out to validate on. With a rule, complete
    groups are held out, and a set with splits is split anew.

    Args:
        layout: the set.
        train, val: names of the two splits.
        holdout: fraction of the images to hold out, in (0, 1).
        seed: seed of the choice; the same seed holds out the same images.
        rule: how groups are held out.

    Raises:
        DataError: a split does not exist, or there are too few images to hold any out.
        UsageError: both names stand for the same split.
    """
    unsplit = set(layout.splits) == {ALL}
    if rule is not None:
        pairs = pooled_pairs(layout)
        groups = groups_of([pair.image for pair in pairs], rule.by, layout.root)
        chosen = hold_out_groups(groups, rule, fraction=holdout, seed=seed)
        held_pairs = tuple(p for p, out in zip(pairs, chosen.held, strict=True) if out)
        others = tuple(p for p, out in zip(pairs, chosen.held, strict=True) if not out)
        return TrainingSplits(others, held_pairs, chosen.describe())
    if not unsplit:
        require_two_splits(train, val, layout.splits)
        return TrainingSplits(pairs_of(layout, train), pairs_of(layout, val))
    pairs = layout.splits[ALL]
    count = round(len(pairs) * holdout)
    if not 1 <= count < len(pairs):
        raise DataError(
            f"{layout.root} has {len(pairs)} images and no splits; "
            f"holding out {holdout:.0%} leaves one side empty",
            "add images, or choose another fraction, as in --set data.holdout=0.2",
        )
    held = set(np.random.default_rng(seed).permutation(len(pairs))[:count].tolist())
    return TrainingSplits(
        tuple(pair for index, pair in enumerate(pairs) if index not in held),
        tuple(pair for index, pair in enumerate(pairs) if index in held),
    )
