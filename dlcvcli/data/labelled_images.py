"""The images of one split with a class each, for classification. Needs no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.fingerprint import fingerprint
from dlcvcli.data.image_classes import ImageLayout, Split
from dlcvcli.data.reading import (
    Pixels,
    Progress,
    decode_rgb,
    enough_memory,
    image_size,
    read_ahead,
    read_bytes,
    stretch,
)
from dlcvcli.data.seen_images import image_digest
from dlcvcli.errors import DataError, nearest
from dlcvcli.machine import usable_cores

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class LabelledImage:
    """One image.

    Attributes:
        image: uint8 [H, W, 3], RGB, stretched to the set's size where it has one.
        label: the place of its class among the classes of the set.
        digest: SHA-256 of the file.
        mask: None; images of other sets have one.
    """

    image: Pixels
    label: int
    digest: bytes
    mask: None = None


@dataclass(frozen=True)
class LabelledBatch:
    """Images of one size: places in the set int64 [N], uint8 [N, H, W, 3], classes int64 [N]."""

    indices: Ints
    images: Pixels
    labels: Ints


@dataclass(frozen=True)
class LabelledImages:
    """One split of a classification set.

    Attributes:
        files: the images.
        labels: the place of each image's class in `classes`, int64 [N].
        classes: names of the classes.
        split: name of the split.
        root: folder of the set, which names of images are relative to.
        size: stretch every image to (height, width); None keeps the image's own size.
        memory: bytes of decoded images that `batches` keeps, at most.
    """

    files: tuple[Path, ...]
    labels: Ints
    classes: tuple[str, ...]
    split: str
    root: Path
    size: tuple[int, int] | None = None
    memory: int = 0
    # Not an argument, so that a copy at another size has images of its own.
    _kept: dict[int, Pixels] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.files)

    def name_of(self, index: int) -> str:
        """Return an image's path below the folder of the set; of a file elsewhere, all of it."""
        file = self.files[index]
        return (file.relative_to(self.root) if file.is_relative_to(self.root) else file).as_posix()

    def read(self, index: int) -> LabelledImage:
        """Return one image, decoded and upright.

        Raises:
            DataError: the file cannot be read or decoded.
        """
        file = self.files[index]
        content = read_bytes(file)
        image = decode_rgb(content, file)
        if self.size is not None:
            with enough_memory(file):
                image = stretch(image, self.size)
        return LabelledImage(image, int(self.labels[index]), hashlib.sha256(content).digest())

    def part(self, indices: Sequence[int] | Ints) -> LabelledImages:
        """Return the images at some places, in that order."""
        places = np.asarray(indices, np.int64)
        files = tuple(self.files[place] for place in places.tolist())
        return replace(self, files=files, labels=self.labels[places])

    def batches(
        self, batch_size: int, *, threads: int = 1, rank: int = 0, world_size: int = 1
    ) -> Generator[LabelledBatch]:
        """Yield the images of a rank in batches, and read the next ones in threads meanwhile.

        Args:
            batch_size: images in a batch; the last one may be smaller.
            threads: that read ahead.
            rank, world_size: this rank, which gets every `world_size`-th image.

        Raises:
            DataError: an image cannot be read, or has another size than those before it.
        """
        mine = np.arange(rank, len(self), world_size)
        images = read_ahead(self._decoded, mine.tolist(), threads=threads, ahead=2 * batch_size)
        size = self.size
        for start in range(0, len(mine), batch_size):
            indices = mine[start : start + batch_size]
            pixels = [next(images) for _ in indices]
            size = size or pixels[0].shape[:2]
            for index, image in zip(indices.tolist(), pixels, strict=True):
                if image.shape[:2] != size:
                    raise DataError(
                        f"{self.files[index]} is {image.shape[1]} x {image.shape[0]} (width x "
                        f"height), and the images before it are {size[1]} x {size[0]}",
                        "choose one size for all, as in --size 224x224",
                    )
            yield LabelledBatch(indices, np.stack(pixels), self.labels[indices])

    def _decoded(self, index: int) -> Pixels:
        kept = self._kept.get(index)
        if kept is None:
            kept = self.read(index).image
            if (len(self._kept) + 1) * kept.nbytes <= self.memory:
                self._kept[index] = kept
        return kept


def class_names(layout: ImageLayout) -> tuple[str, ...]:
    """Return the names of all classes of a set: whole numbers by value, else by name."""
    names = {one.name for classes in layout.splits.values() for one in classes}
    if all(name.isascii() and name.isdigit() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def split_images(
    classes: Split,
    names: tuple[str, ...],
    split: str,
    root: Path,
    size: tuple[int, int] | None = None,
) -> LabelledImages:
    """Return the images of a split, class by class.

    Args:
        classes: of the split.
        names: of the classes that a model knows, in the order of its logits.
        split: name of the split.
        root: folder of the set.
        size: (height, width) that images are stretched to.

    Raises:
        DataError: a class of the split is not among the names.
    """
    places = {name: place for place, name in enumerate(names)}
    unknown = [one.name for one in classes if one.name not in places]
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise DataError(
            f"split '{split}' of {root} has the class '{unknown[0]}'{more}, which is not among "
            f"the {len(names)} classes that are trained on",
            nearest(unknown[0], names),
        )
    ordered = sorted(classes, key=lambda one: places[one.name])
    files = tuple(file for one in ordered for file in one.files)
    labels = [places[one.name] for one in ordered for _ in one.files]
    return LabelledImages(files, np.array(labels, np.int64), names, split, root, size)


def image_sizes(data: LabelledImages) -> list[tuple[int, int]]:
    """Return the (height, width) of each image from its header.

    Raises:
        DataError: the header of an image cannot be read.
    """
    return list(read_ahead(image_size, data.files, threads=4, ahead=64))


def check_labelled(
    data: LabelledImages, progress: Progress | None = None, *, decode: bool = True
) -> tuple[str, tuple[bytes, ...]]:
    """Read every file once.

    Args:
        data: the split.
        progress: called with (files done, files in all).
        decode: decode the images too, so that a damaged one is found.

    Returns:
        The fingerprint of files and classes, and the `image_digest` of each file.

    Raises:
        DataError: a file cannot be read or decoded.
    """

    def digest(index: int) -> bytes:
        content = read_bytes(data.files[index])
        if decode:
            decode_rgb(content, data.files[index])
        return hashlib.sha256(content).digest()

    threads = min(8, usable_cores())
    digests = []
    for done in read_ahead(digest, range(len(data)), threads=threads, ahead=4 * threads):
        digests.append(done)
        if progress is not None:
            progress(len(digests), len(data))
    named = (
        (data.name_of(index), one + data.classes[data.labels[index]].encode())
        for index, one in enumerate(digests)
    )
    return fingerprint(named), tuple(map(image_digest, digests))
