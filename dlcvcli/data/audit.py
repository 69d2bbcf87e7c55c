"""Read a complete set once: check every file, count pixels per class, compute the fingerprint."""

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
    """The content of a split.

    Attributes:
        images: number of images.
        sha256: fingerprint of the split.
        pixels: int64 [C + 1], annotated pixels per class; the last entry counts ignored pixels.
        images_with: int64 [C], number of images in which a class occurs.
        pixels_beside: int64 [C], labelled pixels of any class in those images.
        sizes: (height, width) -> number of images.
        problems: one error per sample that cannot be used.
        image_digests: name -> digest of the image file, for those that can be read.
        orientation_unclear: names of the images whose masks may or may not be rotated as the
            images are; see `Sample`.
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


class _Examined(NamedTuple):
    """One sample for the audit; `counts` are the pixels of each id, int64 [256]."""

    name: str
    digest: bytes
    image_digest: bytes
    size: tuple[int, int]
    counts: NDArray[np.int64]


def audit(data: SegmentationSet, progress: Progress | None = None) -> Audit:
    """Read every sample of a split and return what the split holds.

    A sample that cannot be read becomes one of the `problems`, and the audit goes on, so that one
    pass finds them all.
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

    def examine(index: int) -> _Examined | DataError:
        try:
            sample = data.read(index)
        except DataError as error:
            return error
        if sample.orientation_unclear:
            unclear.append(sample.name)
        counts = np.bincount(sample.mask.ravel(), minlength=256)
        return _Examined(sample.name, sample.digest, sample.image_digest, sample.mask.shape, counts)

    threads = usable_cores()
    results = read_ahead(examine, range(len(data)), threads=threads, ahead=4 * threads)
    for done, result in enumerate(results, 1):
        if isinstance(result, DataError):
            problems.append(result)
        else:
            labelled = result.counts[:count]
            digests.append((result.name, result.digest))
            image_digests[result.name] = result.image_digest
            sizes[result.size] += 1
            pixels[:-1] += labelled
            pixels[-1] += result.counts[data.classes.ignore_index]
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
    """Return the names of the images in `other` whose files are in `one` too, byte for byte.

    Args:
        one, other: name -> digest of the image file.
    """
    known = set(one.values())
    return [name for name, digest in other.items() if digest in known]


def describe_shared(shared: Sequence[str], of: int, other: str, one: str) -> str:
    """Return a line on the images of the split `other` that are in the split `one` too."""
    named = ", ".join(shared[:3]) + (", ..." if len(shared) > 3 else "")
    return f"{len(shared)} of the {of} images of {other} are in {one} too ({named})"


def shared_between(
    digests: Mapping[str, Mapping[str, bytes]],
) -> dict[tuple[str, str], list[str]]:
    """Return the images that two of the splits train, val and test share.

    Such images make scores too high. Other splits, such as VOC's `trainval`, share images with
    these by design.

    Args:
        digests: split -> name of an image -> digest of its file.

    Returns:
        (split, later split) -> names in the later split, for those that share some.
    """
    splits = [split for split in ("train", "val", "test") if split in digests]
    shared = {
        (one, other): shared_images(digests[one], digests[other])
        for one, other in combinations(splits, 2)
    }
    return {pair: names for pair, names in shared.items() if names}


def remarks(result: Audit, data: SegmentationSet) -> list[str]:
    """Return notes on a sound split: absent classes, rotations, copies, ignored pixels."""
    classes = data.classes
    labelled, ignored = result.pixels[:-1], int(result.pixels[-1])
    lines = []
    absent = [name for name, pixels in zip(classes.names, labelled, strict=True) if not pixels]
    if absent:
        lines.append(
            f"{data.split}: {len(absent)} of {len(classes)} classes have no pixel: "
            f"{', '.join(absent)}"
        )
    if result.orientation_unclear:
        unclear = result.orientation_unclear
        lines.append(
            f"{data.split}: {len(unclear)} of {result.images} images (e.g. {unclear[0]}) have an "
            "EXIF orientation and their masks have none; the sizes do not show whether the masks "
            "were drawn on the displayed or on the stored image: displayed is assumed"
        )
    copies = len(result.image_digests) - len(set(result.image_digests.values()))
    if copies:
        lines.append(
            f"{data.split}: {copies} of {result.images} images are copies of others in the split, "
            "byte for byte"
        )
    if ignored:
        fraction = ignored / int(result.pixels.sum())
        lines.append(f"{data.split}: {fraction:.1%} of the pixels are ignored")
    if ignored and len(classes) - len(absent) == 1:
        lines.append(
            f"{data.split}: all pixels that are not ignored are of one class; if id "
            f"{classes.ignore_index} is a class too, give the colours of both in a class file and "
            "read the masks with --set data.binarise=true"
        )
    return lines


def fingerprints_of(data: SegmentationSet) -> tuple[str, dict[str, bytes]]:
    """Return `sha256` and `image_digests` of a split, as `Audit` has them, without decoding."""
    threads = usable_cores()
    pairs = list(read_ahead(data.digests, range(len(data)), threads=threads, ahead=4 * threads))
    names = [pair.name for pair in data.pairs]
    digests, images = zip(*pairs, strict=True) if pairs else ((), ())
    return fingerprint(zip(names, digests, strict=True)), dict(zip(names, images, strict=True))


def require_sound(result: Audit, data: SegmentationSet) -> None:
    """Refuse a split with problems, or without labels.

    Raises:
        DataError: a sample cannot be used (names the first and their number), or no pixel has a
            label.
    """
    if result.problems:
        first = result.problems[0]
        more = len(result.problems) - 1
        suffix = f" (and {more} more; `dlcv data check` lists them)" if more else ""
        raise DataError(first.message + suffix, first.hint)
    if not result.pixels[:-1].any():
        raise DataError(
            f"split '{data.split}' of {data.root} has no labelled pixel: every pixel has the "
            f"ignore id {data.classes.ignore_index}",
            "if that id is a class, choose another id to ignore: --set data.ignore_index=255",
        )
