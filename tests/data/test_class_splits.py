"""Splits of classes: published, in a file, or held out; never through a class or a group."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcvcli.data.class_splits import describe_splits, hold_out, named_splits, pooled
from dlcvcli.data.holdout import GroupRule
from dlcvcli.data.image_classes import ImageClass, ImageLayout
from dlcvcli.errors import DataError, UsageError


def layout_of(splits: dict[str, list[str]], name: str = "class_folders") -> ImageLayout:
    classes = {
        split: tuple(ImageClass(one, (Path(one),), one.partition("/")[0]) for one in names)
        for split, names in splits.items()
    }
    return ImageLayout(name, Path("set"), classes)  # type: ignore[arg-type]


def held_out(layout: ImageLayout, **more: object) -> dict[str, list[str]]:
    arguments = {"train": "train", "val": "val", "holdout": 0.2, "test_holdout": 0.0, "seed": 0}
    splits = hold_out(layout, layout.splits, **{**arguments, **more})  # type: ignore[arg-type]
    return {split: [one.name for one in classes] for split, classes in splits.items()}


@given(st.integers(4, 20), st.integers(1, 4), st.floats(0.05, 0.3), st.integers(0, 99))
def test_no_group_is_in_two_splits(groups: int, each: int, fraction: float, seed: int) -> None:
    names = [f"g{group}/c{one}" for group in range(groups) for one in range(each)]
    splits = held_out(layout_of({"all": names}), holdout=fraction, test_holdout=fraction, seed=seed)
    owners = [{name.partition("/")[0] for name in part} for part in splits.values()]
    assert set(splits) == {"train", "val", "test"}
    assert not (owners[0] & owners[1])
    assert not (owners[0] & owners[2])
    assert not (owners[1] & owners[2])
    assert sorted(name for part in splits.values() for name in part) == sorted(names)
    assert len(owners[1]) == len(owners[2]) == max(1, round(groups * fraction))
    again = held_out(layout_of({"all": names}), holdout=fraction, test_holdout=fraction, seed=seed)
    assert again == splits


def test_splits_that_are_there_are_kept() -> None:
    declared = {"train": ["a", "b"], "val": ["c"], "test": ["d"]}
    assert held_out(layout_of(declared)) == declared
    # A set with a test split, but none to validate on, loses a part of what it trains on alone.
    splits = held_out(layout_of({"train": list("abcde"), "test": ["z"]}), test_holdout=0.5)
    assert splits["test"] == ["z"]
    assert len(splits["train"]) == 4
    assert len(splits["val"]) == 1


def test_too_few_classes_to_hold_out_are_refused() -> None:
    with pytest.raises(DataError, match="no split 'train'"):
        held_out(layout_of({"val": ["a"], "test": ["b"]}))
    with pytest.raises(DataError, match="leaves none"):
        held_out(layout_of({"all": ["a"]}))
    with pytest.raises(DataError, match="2 groups of classes"):
        held_out(layout_of({"all": ["a/1", "a/2", "b/1"]}), test_holdout=0.5)


@given(st.integers(0, 99), st.booleans())
def test_a_rule_holds_out_groups_of_classes_by_their_names(seed: int, with_splits: bool) -> None:
    names = [f"{maker}_{model}" for maker in "abcd" for model in range(3)]
    declared = {"train": names[::2], "val": names[1::2], "test": ["z_0"]}
    layout = layout_of(declared if with_splits else {"all": names})
    splits = held_out(layout, rule=GroupRule("^[^_]+"), holdout=0.25, seed=seed)
    makers = {split: {name[0] for name in part} for split, part in splits.items()}
    assert makers["train"].isdisjoint(makers["val"])
    assert len(makers["val"]) == 1
    assert sorted(splits["train"] + splits["val"]) == names
    assert splits.get("test") == (["z_0"] if with_splits else None)


def test_the_groups_of_a_rule_are_held_out_for_validation() -> None:
    layout = layout_of({"all": [f"{maker}_{model}" for maker in "abcd" for model in range(3)]})
    rule = GroupRule("^[^_]+", ("b", "d"))
    splits = held_out(layout, rule=rule, test_holdout=0.25)
    assert {name[0] for name in splits["val"]} == {"b", "d"}
    assert sorted({name[0] for name in splits["train"] + splits["test"]}) == ["a", "c"]
    with pytest.raises(UsageError, match="no group 'e'"):
        held_out(layout, rule=GroupRule("^[^_]+", ("e",)))
    with pytest.raises(DataError, match="holding out 4 leaves none"):
        held_out(layout, rule=GroupRule("^[^_]+", tuple("abcd")))
    with pytest.raises(DataError, match="no split 'train'"):
        held_out(layout_of({"val": ["a_0", "b_0"]}), rule=rule)


def test_training_and_validating_on_one_split_is_refused() -> None:
    with pytest.raises(UsageError, match="the same split 'val'"):
        held_out(layout_of({"train": ["a", "b"], "val": ["c", "d"]}), train="validation")


def test_a_class_in_two_splits_is_refused_and_pooled_completely() -> None:
    shared = layout_of({"train": ["a", "b"], "val": ["b", "c"]})
    with pytest.raises(DataError, match="the class 'b' in the splits 'train' and 'val'"):
        held_out(shared)
    splits = pooled(shared)
    assert list(splits) == ["a", "b", "c"]
    assert len(splits["b"].files) == 2


def test_the_published_split_of_omniglot_is_complete() -> None:
    sizes = {"Armenian": 41, "Bengali": 46, "Early_Aramaic": 22, "Hebrew": 22}
    sizes |= {"Mkhedruli_(Georgian)": 41, "Kannada": 41, "Keble": 26, "Malayalam": 47}
    sizes |= {"Manipuri": 40, "Mongolian": 30, "Old_Church_Slavonic_(Cyrillic)": 45, "Oriya": 46}
    sizes |= {"Sylheti": 28, "Syriac_(Serto)": 23, "Tengwar": 25, "Tibetan": 42, "ULOG": 26}
    sizes |= {"Gurmukhi": 45}
    sizes["Others"] = 1623 - sum(sizes.values())
    names = [f"{a}/character{n:02d}" for a, count in sizes.items() for n in range(1, count + 1)]
    splits = named_splits(layout_of({"all": names}, "omniglot"), "vinyals")
    assert {split: len(part) for split, part in splits.items()} == {
        "train": 1028, "val": 172, "test": 423
    }  # fmt: skip
    owner = {one.name: split for split, part in splits.items() for one in part}
    assert owner["Gurmukhi/character41"] == "train"
    assert owner["Gurmukhi/character42"] == "test"
    with pytest.raises(DataError, match="1623 characters"):
        named_splits(layout_of({"all": names[:-1]}, "omniglot"), "vinyals")


def test_a_file_of_splits_names_classes(tmp_path: Path) -> None:
    layout = layout_of({"train": ["a", "b"], "test": ["c"]})
    file = tmp_path / "splits.csv"
    file.write_text("class,split\na,test\nc,validation\n")
    splits = named_splits(layout, str(file))
    assert {k: [one.name for one in v] for k, v in splits.items()} == {"test": ["a"], "val": ["c"]}
    assert describe_splits(splits) == "val 1 classes, test 1 classes"
    file.write_text("class,split\nz,test\n")
    with pytest.raises(DataError, match="the class 'z'"):
        named_splits(layout, str(file))
    file.write_text("class,split\na,test\na,val\n")
    with pytest.raises(DataError, match="line 3 names the class 'a' a second time"):
        named_splits(layout, str(file))
    file.write_text("class,split\na\n")
    with pytest.raises(DataError, match="line 2 lacks the split"):
        named_splits(layout, str(file))
    file.write_text("name\nz\n")
    with pytest.raises(DataError, match="does not assign classes"):
        named_splits(layout, str(file))
    with pytest.raises(DataError, match="cannot read"):
        named_splits(layout, str(tmp_path / "none.csv"))
