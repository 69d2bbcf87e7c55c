"""The images of one split by class, decoded once and kept in memory as far as a limit allows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.class_splits import AUTO, named_splits
from dlcvcli.data.image_classes import Split, find_image_layout
from dlcvcli.data.layouts import ALL, canonical_split, chosen_split
from dlcvcli.data.reading import Pixels, Progress, decode_rgb, read_ahead, read_bytes, stretch
from dlcvcli.data.segmentation import fingerprint
from dlcvcli.errors import DlcvError
from dlcvcli.machine import free_memory, usable_cores

Ints = NDArray[np.int64]

QUARTERS = 4
_MIB = 1 << 20


class FewShotSet:
    """The images of a split, of one size, class by class.

    With `rotations`, each class stands four times: as it is and turned by 90, 180 and 270 degrees,
    each a class of its own. Index i + r * n is image i of n, turned r times counter-clockwise; so
    what a set without rotations calls its images holds for one with them.

    Args:
        classes: of the split.
        split: its name.
        root: the folder that names of images are below.
        size: (height, width) that images are stretched to.
        rotations: see above; images have to be square for it.
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
        self.classes = classes
        self.split = split
        self.root = root
        self.size = size
        self.rotations = rotations
        self.files = tuple(file for one in classes for file in one.files)
        self._names = [file.relative_to(root).as_posix() for file in self.files]
        own = [len(one.files) for one in classes]
        self.sizes: tuple[int, ...] = tuple(own * (QUARTERS if rotations else 1))
        self.sha256 = ""
        self._kept: Pixels = np.empty((0, *size, 3), np.uint8)

    def __len__(self) -> int:
        """Count the images, turned ones too."""
        return sum(self.sizes)

    @property
    def kept(self) -> int:
        """How many files are kept decoded."""
        return len(self._kept)

    @property
    def image_bytes(self) -> int:
        """Bytes of one decoded image."""
        return 3 * self.size[0] * self.size[1]

    def name_of(self, index: int) -> str:
        """Return what users call an image: its path below the folder, and how far it is turned."""
        turns, own = divmod(index, len(self.files))
        name = self._names[own]
        return f"{name}@{90 * turns}" if turns else name

    def class_of(self, index: int) -> str:
        """Return the name of an image's class, and how far it is turned."""
        turns, own = divmod(index, len(self.files))
        sizes = self.sizes[: len(self.classes)]
        name = self.classes[int(np.searchsorted(np.cumsum(sizes), own, side="right"))].name
        return f"{name}@{90 * turns}" if turns else name

    def read(self, limit: int, progress: Progress | None = None) -> None:
        """Read every file once: fingerprint all, and keep as many as fit, in their order.

        Args:
            limit: bytes, at most.
            progress: called with (files done, files in all).

        Raises:
            DataError: a file cannot be read or decoded.
            DlcvError: there is not so much memory free.
        """
        count = min(len(self.files), limit // self.image_bytes)
        _require_memory(count * self.image_bytes)
        self._kept = np.empty((count, *self.size, 3), np.uint8)
        digests = []

        def take(index: int) -> bytes:
            content = read_bytes(self.files[index])
            image = stretch(decode_rgb(content, self.files[index]), self.size)
            if index < count:
                self._kept[index] = image
            return hashlib.sha256(content).digest()

        places = range(len(self.files))
        for index, digest in enumerate(
            read_ahead(take, places, threads=min(8, usable_cores()), ahead=256)
        ):
            digests.append((self._names[index], digest))
            if progress is not None:
                progress(index + 1, len(self.files))
        self.sha256 = fingerprint(digests)

    def images(self, indices: Ints | Sequence[int]) -> Pixels:
        """Return images by their indices, uint8 ``[..., H, W, 3]`` for indices ``[...]``.

        Raises:
            DataError: a file that is not kept cannot be read any more.
        """
        wanted = np.asarray(indices, np.int64)
        turns, own = np.divmod(wanted.ravel(), len(self.files))
        found = np.empty((own.size, *self.size, 3), np.uint8)
        here = own < len(self._kept)
        if here.all():
            np.take(self._kept, own, axis=0, out=found)
        else:
            found[here] = self._kept[own[here]]
            away = np.flatnonzero(~here)
            decoded = read_ahead(self._decode, own[away].tolist(), threads=4, ahead=64)
            for place, image in zip(away, decoded, strict=True):
                found[place] = image
        for quarter in range(1, QUARTERS):
            turned = np.flatnonzero(turns == quarter)
            if turned.size:
                found[turned] = np.rot90(found[turned], quarter, axes=(1, 2))
        return found.reshape(*wanted.shape, *self.size, 3)

    def colour(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and standard deviation of R, G, B in [0, 1] over the images in memory.

        The deviation is at least 0.01, so that images of one colour can be normalised. Of a set
        that does not fit into memory, those that do stand for all.
        """
        total, square, pixels = np.zeros(3), np.zeros(3), 0
        sample = self._kept if len(self._kept) else self.images(range(min(64, len(self.files))))
        for start in range(0, len(sample), 1024):
            part = sample[start : start + 1024].reshape(-1, 3).astype(np.float32) / 255
            total += part.sum(0, dtype=np.float64)
            square += np.square(part).sum(0, dtype=np.float64)
            pixels += len(part)
        mean = total / pixels
        std = np.sqrt(np.maximum(square / pixels - mean**2, 1e-4))
        return tuple(mean.round(4).tolist()), tuple(std.round(4).tolist())

    def describe(self) -> str:
        """Return one line: how many images are kept, and in how much memory."""
        return (
            f"{self.split}: {self.kept} of {len(self.files)} images decoded in memory, "
            f"{-(-self._kept.nbytes // _MIB)} MiB"
        )

    def _decode(self, index: int) -> Pixels:
        return stretch(decode_rgb(read_bytes(self.files[index]), self.files[index]), self.size)


@dataclass(frozen=True)
class OpenedSplit:
    """A split to be tested on.

    Attributes:
        data: not read yet.
        ids: what the set's own CSV calls its images -> their files.
        remarks: what is worth saying of the choice of its classes, line by line.
    """

    data: FewShotSet
    ids: dict[str, Path]
    remarks: tuple[str, ...]


def open_few_shot(
    folder: Path,
    split: str,
    *,
    size: tuple[int, int],
    layout: str = "auto",
    splits: str = AUTO,
    rotations: bool = False,
    known: Mapping[str, Sequence[str]] | None = None,
) -> OpenedSplit:
    """Open a split of a folder of images by class, for a model that was trained on some of them.

    Where the folder has no such split and the model remembers which classes it cut for it, those
    are taken. Of any other folder without splits all classes are.

    Args:
        folder: the set.
        split: what is wanted; `all` for everything.
        size: (height, width) that images are stretched to.
        layout: see `find_image_layout`.
        splits: see `named_splits`.
        rotations: see `FewShotSet`.
        known: split -> names of the classes that the model was trained, chosen and tested on.

    Raises:
        DataError: the folder holds no images by class, or no such split.
    """
    found = find_image_layout(folder, layout)
    named, wanted = named_splits(found, splits), canonical_split(split)
    pool = {one.name: one for classes in named.values() for one in classes}
    cut = (known or {}).get(wanted, ())
    remarks = [found.describe()]
    if wanted == ALL:
        classes = tuple(pool.values())
    elif wanted not in named and cut and all(name in pool for name in cut):
        classes = tuple(pool[name] for name in cut)
        remarks.append(
            f"split '{wanted}': the {len(cut)} classes that the training of the model held out"
        )
    else:
        classes = chosen_split(named, split, found.root)
        wanted = wanted if wanted in named else ALL
    trained = set((known or {}).get("train", ())) & {one.name for one in classes}
    if trained and len(trained) * 2 > len(classes):
        remarks.append(f"{len(trained)} of the {len(classes)} classes were trained on")
    ids = found.ids.get(wanted) or {k: v for each in found.ids.values() for k, v in each.items()}
    data = FewShotSet(classes, wanted, found.root, size, rotations=rotations)
    return OpenedSplit(data, ids, tuple(remarks))


def _require_memory(needed: int) -> None:
    free = free_memory()
    if free is not None and needed > free:
        raise DlcvError(
            f"the decoded images take {needed // _MIB} MiB, and {free // _MIB} MiB of memory are "
            "free",
            "choose a limit, as in --set data.cache=512MiB; the others are decoded when needed",
        )
