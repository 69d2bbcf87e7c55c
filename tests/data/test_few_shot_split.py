"""Splits to test on: the classes that training held out, and remarks on those that it saw."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dlcvcli.data.few_shot_split import OpenedSplit, open_few_shot
from dlcvcli.errors import DataError

KNOWN = {"train": ["a", "b", "c"], "val": ["d", "e"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five classes without splits."""
    for name in "abcde":
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "set" / name / f"{number}.png").touch()
    return tmp_path / "set"


def opened(root: Path, split: str, known: dict[str, list[str]] | None = None) -> OpenedSplit:
    return open_few_shot(root, split, size=(4, 4), known=KNOWN if known is None else known)


def names(opened_split: OpenedSplit) -> list[str]:
    return [one.name for one in opened_split.data.classes]


def test_a_model_remembers_the_classes_that_it_held_out(root: Path) -> None:
    opened_split = opened(root, "val")
    assert names(opened_split) == ["d", "e"]
    assert opened_split.data.split == "val"
    assert opened_split.trained_on == 0
    everything = opened(root, "all")
    assert names(everything) == list("abcde")
    assert everything.trained_on == 3
    assert everything.remarks[-1] == "3 of the 5 classes were trained on"
    with pytest.raises(DataError, match="no split 'test', and the model's training held none out"):
        opened(root, "test")


def test_the_splits_of_the_training_precede_those_of_the_folder(root: Path) -> None:
    parts = root.parent / "parts"
    for split, classes in (("train", "ad"), ("test", "bce")):
        for name in classes:
            shutil.copytree(root / name, parts / split / name)
    known = {"train": ["a", "b", "c"], "val": ["d"], "test": ["e"]}
    opened_split = opened(parts, "test", known)
    assert names(opened_split) == ["e"]
    assert opened_split.trained_on == 0
    # Splits of a model with other classes do not apply; the classes that it saw are counted.
    other = opened(parts, "test", {"train": ["b", "x"]})
    assert names(other) == ["b", "c", "e"]
    assert other.trained_on == 1


def test_all_classes_of_another_set_are_tested_on_and_a_typo_is_refused(root: Path) -> None:
    other = {"train": ["x"], "val": ["y"]}
    for split in ("val", "test", "all"):
        opened_split = opened(root, split, other)
        assert names(opened_split) == list("abcde")
        assert opened_split.data.split == "all"
        assert len(opened_split.remarks) == 1
    with pytest.raises(DataError, match="no split 'tst'"):
        opened(root, "tst", other)


def test_an_id_that_two_tables_share_is_dropped(tmp_path: Path) -> None:
    for split, name in (("train", "a"), ("val", "b")):
        (tmp_path / split).mkdir()
        rows = ["id,filename,label"]
        for number in range(2):
            (tmp_path / split / f"{name}{number}.png").touch()
            own = 0 if number == 0 else name
            rows.append(f"{own},{name}{number}.png,{name}")
        (tmp_path / f"{split}.csv").write_text("\n".join(rows) + "\n")
    assert opened(tmp_path, "val", {}).ids.keys() == {"0", "b"}
    assert opened(tmp_path, "all", {}).ids.keys() == {"a", "b"}
