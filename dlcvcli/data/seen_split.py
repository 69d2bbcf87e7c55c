"""The splits that a model's training made itself, recognised by the images that the model has seen.

A set without splits is split by the training, and so is one whose groups are held out. Needs no
torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dlcvcli.data.reading import read_ahead, read_bytes
from dlcvcli.data.seen_images import SeenImages, digest_of
from dlcvcli.data.splits import ALL, canonical_split
from dlcvcli.errors import DataError
from dlcvcli.machine import usable_cores


@dataclass(frozen=True)
class SeenPart:
    """The images of a set that belong to a split.

    Attributes:
        places: of the images in the set.
        split: name of the split.
        remark: how they were chosen; empty where there was no choice.
    """

    places: tuple[int, ...]
    split: str
    remark: str = ""


def seen_part(
    files: Sequence[Path], split: str, seen: SeenImages | None, folder: Path, what: str
) -> SeenPart | None:
    """Return the images of a split that a model's training made; None for a set of other images.

    `val` are the images that the training held out, and `train` those that it used.

    Args:
        files: the images that the training may have split.
        split: name of the split; `all` for every image.
        seen: the images that the model has seen; None where it has no such record.
        folder: the set, for messages.
        what: why the training made the splits, e.g. `has no splits`.

    Raises:
        DataError: the training made no such split.
    """
    everything = tuple(range(len(files)))
    if seen is None:
        return SeenPart(
            everything,
            ALL,
            f"{folder} {what}, and the model does not record what it was trained on: "
            "every image is scored, those that it was trained on too",
        )
    wanted = canonical_split(split)
    if wanted == ALL:
        return SeenPart(everything, ALL)
    digests = file_digests(files)
    held_out = set(seen.validated)
    if held_out.isdisjoint(digests):
        return None
    parts = {"train": seen.trained - held_out, "val": held_out}
    if wanted not in parts:
        raise DataError(
            f"{folder} has no split '{split}': the model's training split it into train and val",
            "choose --split val, train or all",
        )
    places = tuple(place for place, one in enumerate(digests) if one in parts[wanted])
    remark = (
        f"{folder} {what}: scoring the {len(places)} of its {len(files)} images that the "
        f"model's training {'held out' if wanted == 'val' else 'used'} "
        "(--split all scores every image)"
    )
    new = sum(digest not in held_out | seen.trained for digest in digests)
    if new:
        remark += f"; {new} that the training did not see are left out"
    return SeenPart(places, wanted, remark)


def file_digests(files: Sequence[Path]) -> list[bytes]:
    """Return the `digest_of` each file.

    Raises:
        DataError: a file cannot be read.
    """
    threads = usable_cores()
    return list(
        read_ahead(
            lambda file: digest_of(read_bytes(file)), files, threads=threads, ahead=4 * threads
        )
    )
