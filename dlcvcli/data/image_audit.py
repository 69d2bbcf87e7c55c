"""Read a complete set of images by class once: damaged files, copies, balance. Needs no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlcvcli.data.fingerprint import fingerprint
from dlcvcli.data.image_classes import ImageLayout
from dlcvcli.data.near_duplicates import perceptual_hash
from dlcvcli.data.reading import Progress, decode_rgb, is_image, read_ahead, read_bytes
from dlcvcli.data.seen_images import digest_of
from dlcvcli.data.splits import folders_in
from dlcvcli.errors import DataError
from dlcvcli.machine import usable_cores


@dataclass(frozen=True)
class ImageAudit:
    """The content of a split.

    Attributes:
        sha256: fingerprint of the split.
        classes: class -> number of images that can be read.
        sizes: (height, width) -> number of images.
        problems: one error for each image that cannot be used.
        digests: name -> digest of the file.
        hashes: name -> perceptual hash.
        class_of: name -> class.
    """

    sha256: str
    classes: dict[str, int]
    sizes: dict[tuple[int, int], int]
    problems: tuple[DataError, ...]
    digests: dict[str, bytes]
    hashes: dict[str, int]
    class_of: dict[str, str]

    @property
    def images(self) -> int:
        """Number of images that can be read."""
        return len(self.digests)

    @property
    def majority(self) -> float:
        """Accuracy of always naming the most frequent class of the split."""
        return max(self.classes.values(), default=0) / max(1, self.images)

    def as_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        return {
            "images": self.images,
            "sha256": self.sha256,
            "sizes": {f"{h}x{w}": count for (h, w), count in sorted(self.sizes.items())},
            "majority_baseline": self.majority,
            "classes": {
                name: {"images": count, "share": count / max(1, self.images)}
                for name, count in self.classes.items()
            },
            "problems": [problem.message for problem in self.problems],
        }


def audit_images(layout: ImageLayout, split: str, progress: Progress | None = None) -> ImageAudit:
    """Read every image of a split.

    Args:
        layout: the set.
        split: one of its splits.
        progress: called with (images done, images in all).
    """
    jobs = [(one.name, file) for one in layout.splits[split] for file in one.files]

    def check(job: tuple[str, Path]) -> tuple[bytes, int, tuple[int, int]] | DataError:
        try:
            content = read_bytes(job[1])
            image = decode_rgb(content, job[1])
        except DataError as error:
            return error
        return digest_of(content), perceptual_hash(image), (image.shape[0], image.shape[1])

    classes: Counter[str] = Counter({one.name: 0 for one in layout.splits[split]})
    sizes: Counter[tuple[int, int]] = Counter()
    problems: list[DataError] = []
    digests, hashes, class_of = {}, {}, {}
    threads = usable_cores()
    results = read_ahead(check, jobs, threads=threads, ahead=4 * threads)
    for done, ((name, file), result) in enumerate(zip(jobs, results, strict=True), 1):
        if isinstance(result, DataError):
            problems.append(result)
        else:
            shown = _name(file, layout.root)
            digests[shown], hashes[shown], size = result
            class_of[shown] = name
            classes[name] += 1
            sizes[size] += 1
        if progress is not None:
            progress(done, len(jobs))
    sha256 = fingerprint((name, digest) for name, digest in digests.items())
    return ImageAudit(
        sha256, dict(classes), dict(sizes), tuple(problems), digests, hashes, class_of
    )


def image_remarks(audits: Mapping[str, ImageAudit], layout: ImageLayout) -> list[str]:
    """Return what is doubtful about a set whose images can be read, a line each."""
    lines = []
    for split, audit in audits.items():
        lines += _copies(split, audit)
        tiny = sum(count for (h, w), count in audit.sizes.items() if min(h, w) < 2)
        if tiny:
            lines.append(f"{split}: {tiny} images are one pixel high or wide")
        if len(audit.classes) == 1:
            lines.append(f"{split}: one class only, '{next(iter(audit.classes))}'")
    if "train" in audits:
        for split in ("val", "test"):
            new = (
                sorted(audits[split].classes.keys() - audits["train"].classes)
                if split in audits
                else []
            )
            if new:
                lines.append(f"{split}: {len(new)} classes do not occur in train, e.g. '{new[0]}'")
    if layout.name == "class_folders":
        lines += [f"{path} is a class folder without images" for path in _empty_folders(layout)]
    return lines


def _copies(split: str, audit: ImageAudit) -> list[str]:
    """Return lines on images of a split that are equal, byte for byte."""
    first: dict[bytes, str] = {}
    same = 0
    conflicts: list[tuple[str, str]] = []
    for name, digest in audit.digests.items():
        other = first.setdefault(digest, name)
        if other == name:
            continue
        same += 1
        if audit.class_of[other] != audit.class_of[name]:
            conflicts.append((name, other))
    lines = []
    if same:
        lines.append(f"{split}: {same} of {audit.images} images are copies of others in the split")
    if conflicts:
        lines.append(
            f"{split}: {len(conflicts)} images are in two classes, e.g. {conflicts[0][0]} is "
            f"{conflicts[0][1]}"
        )
    return lines


def _empty_folders(layout: ImageLayout) -> Iterable[Path]:
    used = {file.parent for split in layout.splits.values() for one in split for file in one.files}
    for path in sorted({folder.parent for folder in used}):
        yield from (one for one in folders_in(path) if not any(map(is_image, one.rglob("*"))))


def _name(file: Path, root: Path) -> str:
    return (file.relative_to(root) if file.is_relative_to(root) else file).as_posix()
