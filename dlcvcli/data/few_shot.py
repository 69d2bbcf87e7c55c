"""The images of one split by class, decoded once and kept in memory within a limit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.fingerprint import fingerprint
from dlcvcli.data.image_classes import Split
from dlcvcli.data.reading import Pixels, Progress, decode_rgb, read_ahead, read_bytes, stretch
from dlcvcli.errors import DlcvError, UsageError
from dlcvcli.machine import free_memory, usable_cores

Ints = NDArray[np.int64]

QUARTERS = 4
_MIB = 1 << 20


class FewShotSet:
    """The images of a split, all of one size, class by class.

    With `rotations`, each class counts four times: unrotated and rotated by 90, 180 and 270
    degrees, each as a class of its own. Index i + r * n is image i of n, rotated r times by 90
    degrees counter-clockwise, so that the indices of the unrotated images do not change.

    Args:
        classes: classes of the split.
        split: name of the split.
        root: the set's folder, which names of images are relative to.
        size: (height, width) that images are stretched to.
        rotations: add rotated classes.

    Raises:
        UsageError: rotations of images that are not square.
    """

    def __init__(
        self,
        classes: Split,
        split: str,
        root: Path,
        size: tuple[int, int],
        *,
        rotations: bool = False,
    ) -> None:
        if rotations and size[0] != size[1]:
            raise UsageError(
                f"rotations need square images, and the size is {size[0]}x{size[1]}",
                "leave the rotations out, or choose a square --size in training",
            )
        self.classes = classes
        self.split = split
        self.root = root
        self.size = size
        self.rotations = rotations
        self.files = tuple(file for one in classes for file in one.files)
        self._names = [_name(file, root) for file in self.files]
        own = [len(one.files) for one in classes]
        self.sizes: tuple[int, ...] = tuple(own * (QUARTERS if rotations else 1))
        self.sha256 = ""
        self.digests: tuple[bytes, ...] = ()
        self._colour = np.zeros((3, 2), np.int64)
        self._kept: Pixels = np.empty((0, *size, 3), np.uint8)

    def __len__(self) -> int:
        """Return the number of images, including rotated ones."""
        return sum(self.sizes)

    @property
    def kept(self) -> int:
        """Number of files that are kept decoded."""
        return len(self._kept)

    @property
    def image_bytes(self) -> int:
        """Bytes of one decoded image."""
        return 3 * self.size[0] * self.size[1]

    def name_of(self, index: int) -> str:
        """Return the name of an image: its path below the folder, and `@90` if it is rotated."""
        rotation, own = divmod(index, len(self.files))
        name = self._names[own]
        return f"{name}@{90 * rotation}" if rotation else name

    def class_of(self, index: int) -> str:
        """Return the name of an image's class, and `@90` if it is rotated."""
        rotation, own = divmod(index, len(self.files))
        sizes = self.sizes[: len(self.classes)]
        name = self.classes[int(np.searchsorted(np.cumsum(sizes), own, side="right"))].name
        return f"{name}@{90 * rotation}" if rotation else name

    def read(self, limit: int, progress: Progress | None = None, *, as_fits: bool = False) -> None:
        """Read every file once: compute the fingerprint, and keep the first ones that fit decoded.

        Args:
            limit: bytes of decoded images, at most.
            progress: called with (files done, files in all).
            as_fits: keep fewer where less memory is free, instead of raising an error.

        Raises:
            DataError: a file cannot be read or decoded.
            DlcvError: less memory is free than needed, and `as_fits` is false.
        """
        count = min(len(self.files), limit // self.image_bytes)
        free = free_memory()
        if free is not None and count * self.image_bytes > free:
            if not as_fits:
                raise DlcvError(
                    f"the decoded images need {count * self.image_bytes // _MIB} MiB, and "
                    f"{free // _MIB} MiB of memory are free",
                    "choose a limit, as in --set data.cache=512MiB; images beyond it are decoded "
                    "whenever they are needed",
                )
            count = free // 2 // self.image_bytes
        self._kept = np.empty((count, *self.size, 3), np.uint8)
        self._colour = np.zeros((3, 2), np.int64)
        digests = []

        def decode_and_sum(index: int) -> tuple[bytes, Ints]:
            content = read_bytes(self.files[index])
            image = stretch(decode_rgb(content, self.files[index]), self.size)
            if index < count:
                self._kept[index] = image
            return hashlib.sha256(content).digest(), _sums(image)

        threads = min(8, usable_cores())
        results = read_ahead(decode_and_sum, range(len(self.files)), threads=threads, ahead=256)
        for name, (digest, sums) in zip(self._names, results, strict=True):
            digests.append((name, digest))
            # Sums of integers do not depend on their order, nor on which images are kept.
            self._colour += sums
            if progress is not None:
                progress(len(digests), len(self.files))
        self.sha256 = fingerprint(digests)
        self.digests = tuple(digest for _, digest in digests)

    def images(self, indices: Ints | Sequence[int]) -> Pixels:
        """Return images by their indices, uint8 ``[..., H, W, 3]`` for indices ``[...]``.

        Raises:
            DataError: a file that is not kept cannot be read any more.
        """
        places = np.asarray(indices, np.int64)
        rotations, own = np.divmod(places.ravel(), len(self.files))
        pixels = np.empty((own.size, *self.size, 3), np.uint8)
        is_kept = own < len(self._kept)
        if is_kept.all():
            # The default mode would buffer the output instead of writing to `out` directly.
            np.take(self._kept, own, axis=0, out=pixels, mode="clip")
        else:
            pixels[is_kept] = self._kept[own[is_kept]]
            missing = np.flatnonzero(~is_kept)
            decoded = read_ahead(self._decode, own[missing].tolist(), threads=4, ahead=64)
            for place, image in zip(missing, decoded, strict=True):
                pixels[place] = image
        for quarter in range(1, QUARTERS):
            rotated = np.flatnonzero(rotations == quarter)
            if rotated.size:
                pixels[rotated] = np.rot90(pixels[rotated], quarter, axes=(1, 2))
        return pixels.reshape(*places.shape, *self.size, 3)

    def colour(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and standard deviation of R, G, B in [0, 1] over all images; `read` first.

        The standard deviation is at least 0.01, so that images of one colour can be normalised.
        """
        pixels = len(self.files) * self.size[0] * self.size[1]
        mean, square = self._colour[:, 0] / pixels / 255, self._colour[:, 1] / pixels / 255**2
        std = np.sqrt(np.maximum(square - mean**2, 1e-4))
        return tuple(mean.round(4).tolist()), tuple(std.round(4).tolist())

    def describe(self) -> str:
        """Return one line: the number of images kept decoded, and their memory."""
        return (
            f"{self.split}: {self.kept} of {len(self.files)} images decoded in memory, "
            f"{-(-self._kept.nbytes // _MIB)} MiB"
        )

    def _decode(self, index: int) -> Pixels:
        return stretch(decode_rgb(read_bytes(self.files[index]), self.files[index]), self.size)


def duplicate_remarks(sets: Sequence[FewShotSet]) -> list[str]:
    """Return a line for each split with images that are in another class too, byte for byte.

    Such an image has two correct classes in an episode; if the other class is in another split,
    the image was seen in training.

    Args:
        sets: the splits, after `read`; the training split first.
    """
    first: dict[bytes, tuple[str, str, str]] = {}
    lines = []
    for data in sets:
        places = ((one.name, file) for one in data.classes for file in one.files)
        copies: dict[str, list[str]] = {}
        for (name, file), digest in zip(places, data.digests, strict=True):
            shown = _name(file, data.root)
            split, other, same = first.setdefault(digest, (data.split, name, shown))
            if (split, other) != (data.split, name):
                copies.setdefault(split, []).append(f"{shown} is {same}")
        lines += [
            f"duplicates: {len(names)} of the {len(data.digests)} images of {data.split} are in "
            f"another class {'' if split == data.split else f'of {split} '}too, e.g. {names[0]}"
            for split, names in copies.items()
        ]
    return lines


def _name(file: Path, root: Path) -> str:
    """Return a file's path relative to the folder; of a file elsewhere, the full path."""
    return (file.relative_to(root) if file.is_relative_to(root) else file).as_posix()


def _sums(image: Pixels) -> Ints:
    """Return the sums of the values of R, G and B and of their squares, int64 [3, 2]."""
    values = np.arange(256)
    counts = np.stack([np.bincount(image[..., c].ravel(), minlength=256) for c in range(3)])
    return np.stack([counts @ values, counts @ values**2], axis=1).astype(np.int64)
