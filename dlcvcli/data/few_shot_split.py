"""A split of images by class to test a model on, which remembers what it was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlcvcli.data.class_splits import AUTO, named_splits, pooled
from dlcvcli.data.few_shot import FewShotSet
from dlcvcli.data.image_classes import ImageLayout, find_image_layout
from dlcvcli.data.splits import ALL, canonical_split
from dlcvcli.errors import DataError

# What of a set without splits means all of it.
_WORDS = frozenset({"train", "val", "test"})


@dataclass(frozen=True)
class OpenedSplit:
    """A split to be tested on.

    Attributes:
        data: not read yet.
        ids: what the set's own CSV calls its images -> their files.
        remarks: what is worth saying of the choice of its classes, line by line.
        trained_on: how many of its classes the model was trained on.
    """

    data: FewShotSet
    ids: dict[str, Path]
    remarks: tuple[str, ...]
    trained_on: int


def open_few_shot(
    folder: Path,
    split: str | None,
    *,
    size: tuple[int, int],
    layout: str = "auto",
    splits: str = AUTO,
    rotations: bool = False,
    known: Mapping[str, Sequence[str]] | None = None,
    allow_outside: bool = False,
) -> OpenedSplit:
    """Open a split of a folder of images by class, for a model that was trained on some of them.

    Of the set that the model was trained on, a split is what it was in training, also where the
    training cut it. Of any other folder without splits all classes are taken.

    Args:
        folder: the set.
        split: what is wanted; `all` for everything, None for `test`, else `val`, else everything.
        size: (height, width) that images are stretched to.
        layout: see `find_image_layout`.
        splits: see `named_splits`.
        rotations: see `FewShotSet`.
        known: split -> names of the classes that the model was trained, chosen and tested on.
        allow_outside: see `find_image_layout`.

    Raises:
        DataError: the folder holds no images by class, or there is no such split.
    """
    found = find_image_layout(folder, layout, allow_outside=allow_outside)
    known = known or {}
    named = named_splits(found, splits)
    if split is None:
        split = next((name for name in ("test", "val") if name in {*named, *known}), ALL)
    wanted = canonical_split(split)
    pool = pooled(found)
    trained = set(known.get("train", ()))
    # The folder that the model was trained on, or a copy: its own cut counts, whatever the folder
    # calls its parts.
    same = splits == AUTO and bool(trained) and trained <= pool.keys()
    remarks = [found.describe()]
    if wanted == ALL:
        classes = tuple(pool.values())
    elif same and wanted in known and all(name in pool for name in known[wanted]):
        classes = tuple(pool[name] for name in known[wanted])
        what = "was of" if wanted == "train" else "held out"
        remarks.append(
            f"split '{wanted}': the {len(classes)} classes that the training of the model {what}"
        )
    elif wanted in named:
        classes = named[wanted]
    elif set(named) == {ALL} and wanted in _WORDS and not same:
        classes, wanted = named[ALL], ALL
    else:
        there = sorted({*named, *(known if same else ())} - {ALL})
        raise DataError(
            f"{found.root} has no split '{split}'"
            + (", and the model held none out" if same else ""),
            f"choose one of {', '.join(there)}, or all" if there else "choose all",
        )
    seen = sum(one.name in trained for one in classes)
    if seen and wanted != "train":
        remarks.append(f"{seen} of the {len(classes)} classes were trained on")
    data = FewShotSet(classes, wanted, found.root, size, rotations=rotations)
    return OpenedSplit(data, _ids(found, wanted), tuple(remarks), seen)


def _ids(found: ImageLayout, split: str) -> dict[str, Path]:
    """Return what CSVs call the images of a split; of several, what only one of them says."""
    if split in found.ids:
        return found.ids[split]
    pairs = [pair for ids in found.ids.values() for pair in ids.items()]
    often = Counter(name for name, _ in pairs)
    return {name: file for name, file in pairs if often[name] == 1}
