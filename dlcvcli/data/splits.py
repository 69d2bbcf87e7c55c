"""The names of splits, and what every set with splits has in common, whatever its layout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from dlcvcli.errors import DataError, UsageError, nearest

T = TypeVar("T")

# The one split of a set without splits.
ALL = "all"
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


def canonical_split(name: str) -> str:
    """Return the name that a split is known by: `validation` -> `val`."""
    return ALL if name.lower() == ALL else SPLIT_NAMES.get(name.lower(), name)


def by_split(contents: Mapping[Path, T]) -> dict[str, T]:
    """Return split -> content, from the contents of folders or files that are named after splits.

    Raises:
        DataError: two are named after the same split, e.g. `val.csv` and `validation.csv`.
    """
    splits: dict[str, T] = {}
    owner: dict[str, Path] = {}
    for path, content in contents.items():
        name = canonical_split(path.name if path.is_dir() else path.stem)
        other = owner.setdefault(name, path)
        if other is not path:
            raise DataError(
                f"{path.parent} holds the split '{name}' twice, in {other.name} and {path.name}",
                "keep one of the two, or put the content of both into it",
            )
        splits[name] = content
    return splits


def chosen_split(splits: Mapping[str, T], split: str, root: Path) -> T:
    """Return the content of a split; of a set without splits, all of it.

    Raises:
        DataError: there is no such split.
    """
    name = canonical_split(split)
    if name in splits:
        return splits[name]
    if set(splits) == {ALL}:
        return splits[ALL]
    raise DataError(
        f"{root} has no split '{split}'{_without_images(root, name)}", nearest(name, splits)
    )


def require_two_splits(train: str, val: str, splits: Iterable[str]) -> None:
    """Refuse to train and to validate on the same split.

    Raises:
        UsageError: both names stand for it.
    """
    if canonical_split(train) == canonical_split(val):
        raise UsageError(
            f"data.train_split and data.val_split are the same split '{train}': a score on the "
            "training images means nothing",
            f"choose another one of {', '.join(splits)}",
        )


def folders_in(root: Path) -> list[Path]:
    """Return the folders in a folder by name, without hidden ones."""
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _without_images(root: Path, split: str) -> str:
    named = [path for path in folders_in(root) if canonical_split(path.name) == split]
    return f": no image in its folder {named[0].name} is part of the set" if named else ""
