"""Reading a whole set once: is every file sound, which classes occur, what is its fingerprint?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.reading import Progress, read_ahead
from dlcvcli.data.segmentation import SegmentationSet, fingerprint
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
    unclear: list[str] = []
    problems: list[DataError] = []

    def look(index: int) -> tuple[str, bytes, tuple[int, int], NDArray[np.int64]] | DataError:
        try:
            sample = data.read(index)
        except DataError as error:
            return error
        if sample.orientation_unclear:
            unclear.append(sample.name)
        counts = np.bincount(sample.mask.ravel(), minlength=256)
        return sample.name, sample.digest, sample.mask.shape, counts

    threads = usable_cores()
    found = read_ahead(look, range(len(data)), threads=threads, ahead=4 * threads)
    for done, seen in enumerate(found, 1):
        if isinstance(seen, DataError):
            problems.append(seen)
        else:
            name, digest, size, counts = seen
            digests.append((name, digest))
            sizes[size] += 1
            pixels[:-1] += counts[:count]
            pixels[-1] += counts[data.classes.ignore_index]
            images_with += counts[:count] > 0
            pixels_beside += (counts[:count] > 0) * counts[:count].sum()
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
        tuple(sorted(unclear)),
    )


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


def fingerprint_of(data: SegmentationSet) -> str:
    """Return a split's fingerprint from its bytes alone, without decoding."""
    threads = usable_cores()
    digests = read_ahead(data.digest, range(len(data)), threads=threads, ahead=4 * threads)
    return fingerprint(
        (pair.name, digest) for pair, digest in zip(data.pairs, digests, strict=True)
    )


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
