"""Assign classes to splits: by the set's folders, as published, by a file, or by holding out.

The images of a class stay in one split. Where dlcv itself holds classes out, the classes of a group
(an alphabet) stay together too, so that tests use alphabets that training never saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

import numpy as np

from dlcvcli.data.csv_tables import read_csv
from dlcvcli.data.holdout import GroupRule, group_names, named_groups
from dlcvcli.data.image_classes import ImageClass, ImageLayout, Split
from dlcvcli.data.splits import ALL, canonical_split, require_two_splits
from dlcvcli.errors import DataError

AUTO, VINYALS = "auto", "vinyals"

# The split of Omniglot's 1623 characters that Vinyals et al. 2016 (arXiv:1606.04080) used and Snell
# et al. 2017 published (their repository, data/omniglot/splits/vinyals): 1028 to train on, 172 to
# validate on, 423 to test on. It splits between alphabets except in Gurmukhi, whose characters from
# 42 on are for testing.
_VINYALS_VAL = frozenset({"Armenian", "Bengali", "Early_Aramaic", "Hebrew", "Mkhedruli_(Georgian)"})
_VINYALS_TEST = frozenset(
    {
        *("Kannada", "Keble", "Malayalam", "Manipuri", "Mongolian"),
        *("Old_Church_Slavonic_(Cyrillic)", "Oriya", "Sylheti", "Syriac_(Serto)", "Tengwar"),
        *("Tibetan", "ULOG"),
    }
)
_VINYALS_FIRST_TEST_CHARACTER = ("Gurmukhi", 42)
_VINYALS_SIZE = 1623


def named_splits(layout: ImageLayout, splits: str) -> dict[str, Split]:
    """Return split -> classes of a set.

    Args:
        layout: the set.
        splits: `auto` for the splits of the folder, `vinyals`, or the path of a CSV with the
            columns `class` and `split`; classes that it does not name are left out.

    Raises:
        DataError: `vinyals` was asked for and the set is not Omniglot, or the file cannot be used.
    """
    if splits == AUTO:
        return layout.splits
    known = pooled(layout)
    if splits == VINYALS:
        if layout.name != "omniglot" or len(known) != _VINYALS_SIZE:
            raise DataError(
                f"the split vinyals needs the {_VINYALS_SIZE} characters of Omniglot, and "
                f"{layout.root} holds {len(known)} classes in layout {layout.name}",
                "put images_background and images_evaluation into one folder",
            )
        return _assigned(known, {name: _vinyals(one) for name, one in known.items()})
    wanted = _read(Path(splits))
    missing = [name for name in wanted if name not in known]
    if missing:
        raise DataError(
            f"{splits} names the class '{missing[0]}', which {layout.root} does not hold"
            + (f" (and {len(missing) - 1} more)" if len(missing) > 1 else "")
        )
    return _assigned(known, wanted)


def pooled(layout: ImageLayout) -> dict[str, ImageClass]:
    """Return all classes of a set by name; a class of several splits has the files of all."""
    return _by_name(one for classes in layout.splits.values() for one in classes)


def _by_name(classes: Iterable[ImageClass]) -> dict[str, ImageClass]:
    """Return name -> class; classes of one name are joined."""
    classes_by_name: dict[str, ImageClass] = {}
    for one in classes:
        before = classes_by_name.get(one.name)
        files = one.files if before is None else before.files + one.files
        classes_by_name[one.name] = replace(one, files=files)
    return classes_by_name


def _require_apart(splits: Mapping[str, Split], root: Path) -> None:
    owner: dict[str, str] = {}
    for split, classes in splits.items():
        for one in classes:
            if owner.setdefault(one.name, split) != split:
                raise DataError(
                    f"{root} has the class '{one.name}' in the splits '{owner[one.name]}' and "
                    f"'{split}': few-shot learning is tested on classes that were not trained on",
                    "put each class into one split, or assign classes with --splits FILE",
                )


def hold_out(
    layout: ImageLayout,
    splits: Mapping[str, Split],
    *,
    train: str,
    val: str,
    holdout: float,
    test_holdout: float,
    seed: int,
    rule: GroupRule | None = None,
) -> dict[str, Split]:
    """Return splits that include one to train and one to validate on.

    If the validation split is missing, a random fraction of the groups of the training split is
    held out for it; of a set without splits, `test_holdout` is held out for testing too. With a
    rule, the two splits are pooled and split anew by its groups of classes.

    Args:
        layout: the set, for messages.
        splits: split -> classes, from `named_splits`.
        train, val: names of the two splits.
        holdout, test_holdout: fractions of the groups, in [0, 1).
        seed: seed of the choice.
        rule: which classes belong together, by their names, and which groups are held out.

    Raises:
        UsageError: both names stand for the same split, or the rule names a group that does not
            exist.
        DataError: there is no split to train on, a class is in two splits, or there are too few
            groups to hold any out.
    """
    train, val = canonical_split(train), canonical_split(val)
    unsplit = set(splits) == {ALL}
    if not unsplit:
        require_two_splits(train, val, splits)
        if train not in splits:
            raise DataError(
                f"{layout.root} has no split '{train}' to train on; it has {', '.join(splits)}",
                "choose one with --set data.train_split=NAME",
            )
    if rule is not None:
        splits = _regrouped(splits, rule.by, train, val)
    _require_apart({k: v for k, v in splits.items() if k in {train, val, "test"}}, layout.root)
    if val in splits:
        return dict(splits)
    classes = splits[ALL] if unsplit else splits[train]
    groups = list(dict.fromkeys(one.group for one in classes))
    named = named_groups(rule, groups)
    fractions = {val: holdout, "test": test_holdout if unsplit else 0.0}
    counts = {
        k: max(1, round(len(groups) * fraction)) if fraction else 0
        for k, fraction in fractions.items()
    }
    counts[val] = len(named) or counts[val]
    if sum(counts.values()) >= len(groups):
        raise DataError(
            f"{layout.root} has {len(groups)} {_kind(classes)} to train and to validate on; "
            f"holding out {sum(counts.values())} leaves none",
            "add classes, or hold out less, as in --set data.holdout=0.1",
        )
    owner = _draw_owners(groups, counts, named, seed)
    assigned = _assigned(
        {one.name: one for one in classes},
        {one.name: owner.get(one.group, train) for one in classes},
    )
    return assigned if unsplit else {**splits, **assigned}


def _draw_owners(
    groups: Sequence[str], counts: Mapping[str, int], named: Set[str], seed: int
) -> dict[str, str]:
    """Return group -> split for as many random groups as each split needs, the named ones first."""
    order = np.random.default_rng(seed).permutation(len(groups)).tolist()
    order.sort(key=lambda index: groups[index] not in named)
    owner: dict[str, str] = {}
    for split, count in counts.items():
        taken, order = order[:count], order[count:]
        owner |= {groups[index]: split for index in taken}
    return owner


def _regrouped(splits: Mapping[str, Split], by: str, train: str, val: str) -> dict[str, Split]:
    """Return splits with `val` moved into `train`, and the classes of both in groups by name."""
    target = ALL if set(splits) == {ALL} else train
    classes = _by_name(one for name in (target, val) for one in splits.get(name, ()))
    groups = group_names(tuple(classes), by)
    pool = tuple(
        replace(one, group=group) for one, group in zip(classes.values(), groups, strict=True)
    )
    return {target: pool, **{k: v for k, v in splits.items() if k not in {target, val}}}


def describe_splits(splits: Mapping[str, Split]) -> str:
    """Return one line: the numbers of classes and groups of each split."""
    parts = []
    for name, classes in splits.items():
        groups = {one.group for one in classes}
        grouped = f" of {len(groups)} groups" if len(groups) < len(classes) else ""
        parts.append(f"{name} {len(classes)} classes{grouped}")
    return ", ".join(parts)


def _kind(classes: Split) -> str:
    return "groups of classes" if any(one.group != one.name for one in classes) else "classes"


def _vinyals(one: ImageClass) -> str:
    if one.group in _VINYALS_VAL:
        return "val"
    group, first = _VINYALS_FIRST_TEST_CHARACTER
    late = one.group == group and int(one.name.rpartition("character")[2]) >= first
    return "test" if late or one.group in _VINYALS_TEST else "train"


def _assigned(known: Mapping[str, ImageClass], owner: Mapping[str, str]) -> dict[str, Split]:
    names = [name for name in ("train", "val", "test") if name in owner.values()]
    names += sorted(set(owner.values()) - set(names))
    return {
        split: tuple(one for name, one in known.items() if owner.get(name) == split)
        for split in names
    }


def _read(path: Path) -> dict[str, str]:
    """Return class -> split of a CSV."""
    table = read_csv(path, what="the splits in")
    name, split = table.column(("class",)), table.column(("split",))
    if name is None or split is None or not table.lines:
        raise DataError(
            f"{path} does not assign classes to splits; its first line is "
            f"{table.describe_columns()}",
            "expected the header class,split, then a line for each class",
        )
    split_of_class: dict[str, str] = {}
    rows = zip(table.lines, table.fields(name), table.fields(split), strict=True)
    for (line, _), one, owner in rows:
        if not one or not owner:
            raise DataError(
                f"{path}, line {line} lacks {'the split' if one else 'the class'}",
                "fill in both columns, or remove the line",
            )
        if one in split_of_class:
            raise DataError(
                f"{path}, line {line} names the class '{one}' a second time", "remove the line"
            )
        split_of_class[one] = canonical_split(owner)
    return split_of_class
