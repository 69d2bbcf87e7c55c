"""Hold-out by class and by group: sizes, seeds, nesting, and which groups are taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcvcli.data.holdout import (
    GroupRule,
    group_names,
    group_rule,
    groups_of,
    hold_out_by_class,
    hold_out_groups,
    keep_fraction,
)
from dlcvcli.errors import DataError, UsageError

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array)
FRACTIONS = st.floats(0.01, 0.99)
SEEDS = st.integers(0, 1000)


@given(LABELS, FRACTIONS, SEEDS)
def test_every_class_is_on_both_sides_unless_it_has_one_image(
    labels: np.ndarray, fraction: float, seed: int
) -> None:
    if np.unique(labels).size == labels.size:
        with pytest.raises(DataError, match="one image only"):
            hold_out_by_class(labels, fraction, seed)
        return
    held = hold_out_by_class(labels, fraction, seed)
    assert held.tolist() == hold_out_by_class(labels, fraction, seed).tolist()
    for label in np.unique(labels):
        total, out = int((labels == label).sum()), int((labels[held] == label).sum())
        assert abs(out - fraction * total) <= 1
        assert (out == 0) if total == 1 else (1 <= out < total)


@given(LABELS, FRACTIONS, FRACTIONS, SEEDS)
def test_a_smaller_fraction_is_a_part_of_a_larger_one(
    labels: np.ndarray, one: float, other: float, seed: int
) -> None:
    small, large = (
        set(keep_fraction(labels, fraction, seed).tolist()) for fraction in sorted((one, other))
    )
    assert small <= large
    assert set(labels[list(small)].tolist()) == set(labels.tolist())


@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=60), FRACTIONS, SEEDS)
def test_complete_groups_are_held_out(names: list[str], fraction: float, seed: int) -> None:
    rule = GroupRule("x")
    if len(set(names)) < 2:
        with pytest.raises(DataError, match="into one group"):
            hold_out_groups(names, rule, fraction=fraction, seed=seed)
        return
    chosen = hold_out_groups(names, rule, fraction=fraction, seed=seed)
    held = {name for name, out in zip(names, chosen.held, strict=True) if out}
    kept = {name for name, out in zip(names, chosen.held, strict=True) if not out}
    assert held == set(chosen.names)
    assert held
    assert kept
    assert held.isdisjoint(kept)


def test_groups_are_named_by_the_first_group_of_the_expression_or_its_match() -> None:
    files = [Path("x/0001TP_006690.jpg"), Path("x/0016E5_00001.jpg")]
    assert groups_of(files, "^[^_]+", Path()) == ["0001TP", "0016E5"]
    assert groups_of(files, "^(....)", Path()) == ["0001", "0016"]


@pytest.mark.parametrize(("fraction", "count"), [(0.01, 1), (0.2, 2), (0.34, 3), (0.99, 9)])
def test_as_many_groups_are_held_out_as_come_nearest_to_the_fraction(
    fraction: float, count: int
) -> None:
    names = [f"{index % 10}" for index in range(50)]
    drawn = [
        hold_out_groups(names, GroupRule("x"), fraction=fraction, seed=seed) for seed in range(20)
    ]
    assert {len(one.names) for one in drawn} == {count}
    assert len({one.names for one in drawn}) > 5
    again = hold_out_groups(names, GroupRule("x"), fraction=fraction, seed=0)
    assert again.names == drawn[0].names


def test_the_named_groups_are_held_out() -> None:
    names = ["0001TP"] * 3 + ["0006R0"] * 2 + ["0016E5"] * 5
    rule = GroupRule("^[^_]+", ("0016E5",))
    chosen = hold_out_groups(names, rule, fraction=0.1, seed=3)
    assert chosen.held.tolist() == [False] * 5 + [True] * 5
    assert chosen.describe() == "hold-out by group: 1 of 3 groups (0016E5), 5 of 10 images"
    with pytest.raises(UsageError, match="no group '0016E'") as caught:
        hold_out_groups(names, GroupRule("^[^_]+", ("0016E",)), fraction=0.1, seed=3)
    assert caught.value.hint == "did you mean '0016E5'?"


@pytest.mark.parametrize(
    ("by", "error", "message"),
    [
        ("(", UsageError, r"'\(' is no regular expression"),
        ("^b", DataError, r"'\^b' does not match 'a_1.png'"),
        # These match, but say nothing about the group.
        ("x*", DataError, "does not match 'a_1.png'"),
        ("^a|(b)", DataError, "does not match 'a_1.png'"),
    ],
)
def test_an_expression_that_gives_no_group_is_refused(
    by: str, error: type[DataError], message: str
) -> None:
    with pytest.raises(error, match=message):
        group_names(["a_1.png"], by)


def test_a_column_of_a_csv_names_the_groups_of_its_images(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    files = [tmp_path / "images" / f"{name}.png" for name in "abc"]
    for file in files:
        file.touch()
    (tmp_path / "notes.csv").write_text("Patient,age\n1,2\n")
    (tmp_path / "train.csv").write_text(
        "filename,label,Patient\na.png,0,p 1\nb.png,1,p2\nc.png,0,\n"
    )
    assert groups_of(files[:2], "patient", tmp_path) == ["p 1", "p2"]
    with pytest.raises(DataError, match=r"no CSV in .* has a 'patient' for .*c\.png"):
        groups_of(files, "patient", tmp_path)


def test_groups_without_a_rule_are_refused() -> None:
    assert group_rule(None, ()) is None
    assert group_rule("^.", ("a",)) == GroupRule("^.", ("a",))
    with pytest.raises(UsageError, match=r"needs data\.holdout_by"):
        group_rule(None, ("a",))


def test_all_groups_cannot_be_held_out() -> None:
    with pytest.raises(UsageError, match="holds out all 2 groups"):
        hold_out_groups(["a", "b"], GroupRule("x", ("a", "b")), fraction=0.5, seed=0)
