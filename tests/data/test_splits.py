"""Names of splits, and what a set with splits and one without have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcvcli.data.splits import ALL, by_split, canonical_split, chosen_split, require_two_splits
from dlcvcli.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        *(("val", "val"), ("valid", "val"), ("Validation", "val"), ("VAL", "val")),
        *(("training", "train"), ("Train", "train"), ("test", "test"), ("All", ALL)),
        ("Night", "Night"),
    ],
)
def test_every_spelling_of_a_split_has_one_name(name: str, canonical: str) -> None:
    assert canonical_split(name) == canonical


def test_files_and_folders_are_named_after_their_splits(tmp_path: Path) -> None:
    (tmp_path / "training.v2").mkdir()
    (tmp_path / "training").mkdir()
    contents = {tmp_path / "training": 1, tmp_path / "valid.csv": 2, tmp_path / "training.v2": 3}
    assert by_split(contents) == {"train": 1, "val": 2, "training.v2": 3}


def test_two_files_of_one_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'val' twice, in val\.csv and valid\.csv"):
        by_split({tmp_path / "val.csv": 1, tmp_path / "valid.csv": 2})


def test_a_set_without_splits_gives_everything_for_any_split(tmp_path: Path) -> None:
    assert chosen_split({ALL: 1}, "val", tmp_path) == 1
    assert chosen_split({"train": 1, "val": 2}, "validation", tmp_path) == 2


def test_a_missing_split_hints_at_the_nearest_and_names_its_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no split 'tain'$") as caught:
        chosen_split({"train": 1, "val": 2}, "tain", tmp_path)
    assert caught.value.hint == "did you mean 'train'?"
    (tmp_path / "testing").mkdir()
    (tmp_path / "test").mkdir()
    with pytest.raises(DataError, match="'test': no image in its folder test is part of the set"):
        chosen_split({"train": 1, "val": 2}, "test", tmp_path)


def test_training_and_validating_on_one_split_is_refused() -> None:
    require_two_splits("train", "val", ["train", "val"])
    with pytest.raises(UsageError, match="the same split 'val'") as caught:
        require_two_splits("val", "validation", ["train", "val"])
    assert caught.value.hint == "choose another one of train, val"
