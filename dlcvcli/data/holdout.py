"""Choose the images to hold out for validation: class by class, or complete groups of images.

Frames of one drive, tiles of one scene or photographs of one patient are alike: with some of them
on each side of a random split, the score says how well a model remembers them. Needs no torch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.csv_tables import csv_files, read_csv
from dlcvcli.data.image_table import FILES, image_rows
from dlcvcli.errors import DataError, UsageError, nearest

Ints = NDArray[np.int64]


def hold_out_by_class(labels: Ints, fraction: float, seed: int) -> Ints:
    """Return the places of a random fraction of each class, int64 [n], in ascending order.

    At least one image of each class is held out, and one stays; a single one stays.

    Args:
        labels: class of each image, int64 [N].
        fraction: in (0, 1).
        seed: the same seed chooses the same images.

    Raises:
        DataError: no class has two images.
    """
    chosen = []
    for order in _shuffled_by_class(labels, seed):
        count = min(max(1, round(len(order) * fraction)), len(order) - 1)
        chosen.append(order[:count])
    held = np.sort(np.concatenate(chosen))
    if not len(held):
        raise DataError(
            f"no image can be held out for validation: each of the {len(labels)} classes has one "
            "image only",
            "add images of the classes, or give a set with the splits train and val",
        )
    return held


def keep_fraction(labels: Ints, fraction: float, seed: int) -> Ints:
    """Return the places of a random fraction of each class, int64 [n], in ascending order.

    At least one image of each class is kept, and a smaller fraction is a part of a larger one.

    Args:
        labels: class of each image, int64 [N].
        fraction: in (0, 1].
        seed: the same seed chooses the same images.
    """
    chosen = [
        order[: max(1, round(len(order) * fraction))] for order in _shuffled_by_class(labels, seed)
    ]
    return np.sort(np.concatenate(chosen))


def _shuffled_by_class(labels: Ints, seed: int) -> list[Ints]:
    """Return the places of each class in a random order of its own."""
    return [
        np.random.default_rng((seed, int(label))).permutation(np.flatnonzero(labels == label))
        for label in np.unique(labels)
    ]


@dataclass(frozen=True)
class GroupRule:
    """How complete groups of images are held out.

    Attributes:
        by: a regular expression for file names, whose first group, or else the match, names an
            image's group; or the name of a column of the set's CSV files.
        groups: names of the groups to hold out; empty to draw them.
    """

    by: str
    groups: tuple[str, ...] = ()


def group_rule(by: str | None, groups: tuple[str, ...]) -> GroupRule | None:
    """Return the rule of the settings `data.holdout_by` and `data.holdout_groups`; None for none.

    Raises:
        UsageError: groups are named, and no rule says which images they have.
    """
    if by is None and groups:
        raise UsageError(
            "data.holdout_groups needs data.holdout_by, which says which images a group has",
            "e.g. --set 'data.holdout_by=^[^_]+' for what stands before the first underscore",
        )
    return None if by is None else GroupRule(by, groups)


@dataclass(frozen=True)
class HeldGroups:
    """Groups that are held out.

    Attributes:
        held: whether each image is held out, bool [N].
        names: of the groups.
        total: number of groups.
    """

    held: NDArray[np.bool_]
    names: tuple[str, ...]
    total: int

    def describe(self) -> str:
        """Return one line: which groups, and how many images."""
        return (
            f"hold-out by group: {len(self.names)} of {self.total} groups "
            f"({some_names(self.names)}), {int(self.held.sum())} of {len(self.held)} images"
        )


def hold_out_groups(
    names: Sequence[str], rule: GroupRule, *, fraction: float, seed: int
) -> HeldGroups:
    """Return the groups to hold out: those of the rule, or random ones.

    Random ones are taken until they have the fraction of the images; the last one is left if the
    images are nearer to the fraction without it. At least one is held out, and one stays.

    Args:
        names: the group of each image, from `groups_of`.
        rule: the rule.
        fraction: of the images, in (0, 1).
        seed: the same seed chooses the same groups.

    Raises:
        UsageError: the rule names a group that does not exist, or all of them.
        DataError: there are fewer than two groups.
    """
    sizes = Counter(names)
    if len(sizes) < 2:
        raise DataError(
            f"data.holdout_by '{rule.by}' puts all {len(names)} images into one group, "
            f"'{next(iter(sizes), '')}'",
            "choose a rule that makes at least two groups",
        )
    chosen = set(named_groups(rule, sizes))
    if not chosen:
        order = np.random.default_rng(seed).permutation(sorted(sizes)).tolist()
        done, wanted = 0, fraction * len(names)
        for name in order[:-1]:
            if chosen and abs(done + sizes[name] - wanted) >= abs(done - wanted):
                break
            chosen.add(name)
            done += sizes[name]
    if len(chosen) == len(sizes):
        raise UsageError(
            f"data.holdout_groups holds out all {len(sizes)} groups", "leave one to train on"
        )
    held = np.array([name in chosen for name in names])
    return HeldGroups(held, tuple(sorted(chosen)), len(sizes))


def named_groups(rule: GroupRule | None, groups: Iterable[str]) -> frozenset[str]:
    """Return the groups that a rule names; none without a rule.

    Raises:
        UsageError: one of them is not among the groups.
    """
    named = frozenset(() if rule is None else rule.groups)
    for name in sorted(named.difference(groups)):
        raise UsageError(f"data.holdout_groups: there is no group '{name}'", nearest(name, groups))
    return named


def groups_of(
    files: Sequence[Path], by: str, root: Path, *, allow_outside: bool = False
) -> list[str]:
    """Return the group of each image.

    Args:
        files: the images.
        by: as in `GroupRule`; a column of a CSV goes before a regular expression.
        root: folder of the set, where its CSV files are.
        allow_outside: accept CSV files that name images outside of the folder.

    Raises:
        DataError: the expression does not match the name of an image, or the CSV gives it no group.
        UsageError: it is no regular expression.
    """
    column = _column(by, root, allow_outside=allow_outside)
    if column:
        missing = next((file for file in files if not column.get(file)), None)
        if missing is not None:
            raise DataError(
                f"no CSV in {root} has a '{by}' for {missing}, so its group is not known",
                "fill in that column for every image that is trained or validated on",
            )
        return [column[file] for file in files]
    return group_names([file.name for file in files], by)


def group_names(names: Sequence[str], by: str) -> list[str]:
    """Return the group of each name by a regular expression; see `groups_of`.

    Args:
        names: of files, or of the classes of few-shot learning.
        by: the regular expression.

    Raises:
        DataError: it does not match a name, or matches nothing of it.
        UsageError: it is no regular expression.
    """
    try:
        pattern = re.compile(by)
    except re.error as error:
        raise UsageError(
            f"data.holdout_by '{by}' is no regular expression: {error}",
            "e.g. '^[^_]+' for what stands before the first underscore",
        ) from error
    groups = []
    for name in names:
        match = pattern.search(name)
        group = match and (match[1] if pattern.groups else match[0])
        if not group:
            raise DataError(
                f"data.holdout_by '{by}' does not match '{name}', so its group is not known",
                "choose an expression that matches every name, or a column of the CSV",
            )
        groups.append(group)
    return groups


def _column(by: str, root: Path, *, allow_outside: bool) -> Mapping[Path, str]:
    """Return image -> value of a column of the CSV files in a folder; empty if none has it."""
    values: dict[Path, str] = {}
    for path in csv_files(root):
        try:
            table = read_csv(path, (FILES,))
        except DataError:
            continue
        if table.column(FILES) is None or table.column((by.lower(),)) is None:
            continue
        rows = image_rows(table, root, allow_outside=allow_outside)
        fields = table.fields(table.column((by.lower(),)))
        values |= {row.file: value for row, value in zip(rows, fields, strict=True)}
    return values


def some_names(names: Sequence[str], most: int = 4) -> str:
    """Return the first names, with dots where there are more."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
