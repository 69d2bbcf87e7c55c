"""Reading a whole set once: is every file sound, which classes occur, what is its fingerprint?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.fingerprint import fingerprint
from dlcvcli.data.reading import Progress, read_ahead
from dlcvcli.data.segmentation import SegmentationSet
from dlcvcli.errors import DataError
from dlcvcli.machine import usable_cores


@dataclass(frozen=True)
class Audit:
    """What a split holds.

    Attributes:
        images: number of images.
        sha256: fingerprint of the split.
        pixels: int64 [C + 1], annotated pixels per class; the last entry counts ignored ones.
        images_with: int64 [C], images in which a class occurs.
        pixels_beside: int64 [C], labelled pixels, of whatever class, in those images.
        sizes: (height, width) -> number of images.
        problems: one error per unreadable or contradictory sample; empty where all is well.
        image_digests: name -> what identifies the image's file, of those that can be read.
        orientation_unclear: names of the images of which it is not known whether their masks are
            rotated as they are; see `Sample`.
    """

    images: int
    sha256: str
    pixels: NDArray[np.int64]
    images_with: NDArray[np.int64]
    pixels_beside: NDArray[np.int64]
    sizes: dict[tuple[int, int], int]
    problems: tuple[DataError, ...]
    image_digests: dict[str, bytes]
    orientation_unclear: tuple[str, ...] = ()

    def as_dict(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Return plain types for JSON."""
        labelled = int(self.pixels[:-1].sum())
        return {
            "images": self.images,
            "sha256": self.sha256,
            "sizes": {f"{h}x{w}": count for (h, w), count in sorted(self.sizes.items())},
            "orientation_unclear": list(self.orientation_unclear),
            "ignored_pixels": int(self.pixels[-1]),
            "classes": {
                name: {
                    "pixels": int(self.pixels[index]),
                    "share": int(self.pixels[index]) / labelled if labelled else 0.0,
                    "images": int(self.images_with[index]),
                }
                for index, name in enumerate(names)
            },
            "problems": [problem.message for problem in self.problems],
        }


class _Look(NamedTuple):
    """What the audit keeps of one sample; `counts` are the pixels of each id, int64 [256]."""

    name: str
    digest: bytes
    image_digest: bytes
    size: tuple[int, int]
    counts: NDArray[np.int64]


def audit(data: SegmentationSet, progress: Progress | None = None) -> Audit:
    """Read every sample of a split and gather what it holds.

    A sample that cannot be read becomes a problem; the audit goes on, so that one pass finds all.
    """
    count = len(data.classes)
    pixels = np.zeros(count + 1, dtype=np.int64)
    images_with = np.zeros(count, dtype=np.int64)
    pixels_beside = np.zeros(count, dtype=np.int64)
    sizes: Counter[tuple[int, int]] = Counter()
    digests: list[tuple[str, bytes]] = []
    image_digests: dict[str, bytes] = {}
    unclear: list[str] = []
    problems: list[DataError] = []

    def look(index: int) -> _Look | DataError:
        try:
            sample = data.read(index)
        except DataError as error:
            return error
        if sample.orientation_unclear:
            unclear.append(sample.name)
        counts = np.bincount(sample.mask.ravel(), minlength=256)
        return _Look(sample.name, sample.digest, sample.image_digest, sample.mask.shape, counts)

    threads = usable_cores()
    found = read_ahead(look, range(len(data)), threads=threads, ahead=4 * threads)
    for done, seen in enumerate(found, 1):
        if isinstance(seen, DataError):
            problems.append(seen)
        else:
            labelled = seen.counts[:count]
            digests.append((seen.name, seen.digest))
            image_digests[seen.name] = seen.image_digest
            sizes[seen.size] += 1
            pixels[:-1] += labelled
            pixels[-1] += seen.counts[data.classes.ignore_index]
            images_with += labelled > 0
            pixels_beside += (labelled > 0) * labelled.sum()
        if progress is not None:
            progress(done, len(data))
    return Audit(
        len(data),
        fingerprint(digests),
        pixels,
        images_with,
        pixels_beside,
        dict(sizes),
        tuple(problems),
        image_digests,
        tuple(sorted(unclear)),
    )


def shared_images(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> list[str]:
    """Return the names of the images in `other` whose files `one` holds too, byte by byte.

    Args:
        one, other: name -> what identifies the image's file.
    """
    known = set(one.values())
    return [name for name, digest in other.items() if digest in known]


def describe_shared(shared: Sequence[str], of: int, other: str, one: str) -> str:
    """Return a line on images of the split `other` that the split `one` holds too."""
    named = ", ".join(shared[:3]) + (", ..." if len(shared) > 3 else "")
    return f"{len(shared)} of the {of} images of {other} are in {one} too ({named})"


def shared_between(found: Mapping[str, Audit]) -> dict[tuple[str, str], list[str]]:
    """Return which images two splits share, those that lead to too high a score.

    Other splits, such as VOC's `trainval`, hold images of these by design.

    Args:
        found: split -> its audit.

    Returns:
        (split, later split) -> names in the later one, for those that share some.
    """
    splits = [split for split in ("train", "val", "test") if split in found]
    shared = {
        (one, other): shared_images(found[one].image_digests, found[other].image_digests)
        for one, other in combinations(splits, 2)
    }
    return {pair: names for pair, names in shared.items() if names}


def remarks(found: Audit, data: SegmentationSet) -> list[str]:
    """Return what is sound and yet worth knowing: absent classes, rotations, ignored pixels."""
    classes = data.classes
    labelled, ignored = found.pixels[:-1], int(found.pixels[-1])
    lines = []
    absent = [name for name, pixels in zip(classes.names, labelled, strict=True) if not pixels]
    if absent:
        lines.append(
            f"{data.split}: {len(absent)} of {len(classes)} classes have no pixel: "
            f"{', '.join(absent)}"
        )
    if found.orientation_unclear:
        unclear = found.orientation_unclear
        lines.append(
            f"{data.split}: {len(unclear)} of {found.images} images ({unclear[0]} for one) have an "
            "EXIF orientation and their masks have none: the sizes do not show whether these were "
            "drawn on the displayed or on the stored image; displayed is assumed"
        )
    copies = len(found.image_digests) - len(set(found.image_digests.values()))
    if copies:
        lines.append(
            f"{data.split}: {copies} of {found.images} images are copies of others in it, byte by "
            "byte"
        )
    if ignored:
        share = ignored / int(found.pixels.sum())
        lines.append(f"{data.split}: {share:.1%} of the pixels are ignored")
    if ignored and len(classes) - len(absent) == 1:
        lines.append(
            f"{data.split}: what is not ignored is all one class; if id {classes.ignore_index} "
            "is a class, give both their colours in a class file and read the masks with "
            "data.binarise=true"
        )
    return lines


def fingerprints_of(data: SegmentationSet) -> tuple[str, dict[str, bytes]]:
    """Return `sha256` and `image_digests` of a split (see `Audit`) without decoding anything."""
    threads = usable_cores()
    found = list(read_ahead(data.digests, range(len(data)), threads=threads, ahead=4 * threads))
    names = [pair.name for pair in data.pairs]
    digests, images = zip(*found, strict=True) if found else ((), ())
    return fingerprint(zip(names, digests, strict=True)), dict(zip(names, images, strict=True))


def require_sound(found: Audit, data: SegmentationSet) -> None:
    """Raise the first problem of an audit, saying how many there are.

    Raises:
        DataError: some sample cannot be used, or no pixel carries a label.
    """
    if found.problems:
        first = found.problems[0]
        more = len(found.problems) - 1
        suffix = f" (and {more} more; `dlcv data check` lists them)" if more else ""
        raise DataError(first.message + suffix, first.hint)
    if not found.pixels[:-1].any():
        raise DataError(
            f"split '{data.split}' of {data.root} has no labelled pixel: every one has the "
            f"ignore id {data.classes.ignore_index}",
            "if that id is a class, say which id to leave out: --set data.ignore_index=ID",
        )
