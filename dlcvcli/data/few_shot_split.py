"""Choose the classes that a few-shot model is tested on.

The model records the classes that it was trained on.
"""

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

# Split names that stand for all classes of a set without splits.
_SPLITS = frozenset({"train", "val", "test"})


@dataclass(frozen=True)
class OpenedSplit:
    """The classes that a model is tested on.

    Attributes:
        data: the images, before `FewShotSet.read`.
        ids: id of an image in the set's CSV -> its file.
        remarks: how the classes were chosen, line by line.
        trained_on: number of these classes that the model was trained on.
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
    """Open a split of a folder of images by class to test a model on.

    In the set that the model was trained on, a split has the classes that it had in training, also
    if the training held them out itself. Any other set without splits gives all classes.

    Args:
        folder: the set.
        split: name of the split, or `all`; None chooses `test` if there is one, else `val`, else
            all classes.
        size: (height, width) that images are stretched to.
        layout: as for `find_image_layout`.
        splits: as for `named_splits`.
        rotations: as for `FewShotSet`.
        known: split -> names of the classes that the model was trained, validated and tested on.
        allow_outside: as for `find_image_layout`.

    Raises:
        DataError: the folder holds no images by class, or there is no such split.
    """
    recognised = find_image_layout(folder, layout, allow_outside=allow_outside)
    known = known or {}
    splits_of_set = named_splits(recognised, splits)
    if split is None:
        split = next((name for name in ("test", "val") if name in {*splits_of_set, *known}), ALL)
    wanted = canonical_split(split)
    all_classes = pooled(recognised)
    trained = set(known.get("train", ()))
    # In the set that the model was trained on, or a copy of it, the splits of the training take
    # precedence over those of the folder.
    is_training_set = splits == AUTO and bool(trained) and trained <= all_classes.keys()
    remarks = [recognised.describe()]
    if wanted == ALL:
        classes = tuple(all_classes.values())
    elif is_training_set and wanted in known and all(name in all_classes for name in known[wanted]):
        classes = tuple(all_classes[name] for name in known[wanted])
        what = "used" if wanted == "train" else "held out"
        remarks.append(
            f"split '{wanted}': the {len(classes)} classes that the model's training {what}"
        )
    elif wanted in splits_of_set:
        classes = splits_of_set[wanted]
    elif set(splits_of_set) == {ALL} and wanted in _SPLITS and not is_training_set:
        classes, wanted = splits_of_set[ALL], ALL
    else:
        available = sorted({*splits_of_set, *(known if is_training_set else ())} - {ALL})
        raise DataError(
            f"{recognised.root} has no split '{split}'"
            + (", and the model's training held none out" if is_training_set else ""),
            f"choose one of {', '.join(available)}, or all" if available else "choose all",
        )
    seen = sum(one.name in trained for one in classes)
    if seen and wanted != "train":
        remarks.append(f"{seen} of the {len(classes)} classes were trained on")
    data = FewShotSet(classes, wanted, recognised.root, size, rotations=rotations)
    return OpenedSplit(data, _ids(recognised, wanted), tuple(remarks), seen)


def _ids(recognised: ImageLayout, split: str) -> dict[str, Path]:
    """Return id -> file of a split; of `all`, without ids that several splits use."""
    if split in recognised.ids:
        return recognised.ids[split]
    pairs = [pair for ids in recognised.ids.values() for pair in ids.items()]
    uses = Counter(name for name, _ in pairs)
    return {name: file for name, file in pairs if uses[name] == 1}
