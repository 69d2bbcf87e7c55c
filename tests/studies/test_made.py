"""What a study makes for itself is what its definition says."""

from __future__ import annotations

from pathlib import Path

from dlcvcli.data.image_classes import find_image_layout
from dlcvcli.data.layouts import find_layout
from dlcvcli.studies.made import MadeGlyphs, MadeTiles


def test_tiles(tmp_path: Path) -> None:
    made = MadeTiles(train=2, validation=1, size=(64, 80))
    assert made.describe() == "2 + 1 tiles of 64x80"
    made.make(tmp_path / "set")
    splits = find_layout(tmp_path / "set").splits
    assert {split: len(pairs) for split, pairs in splits.items()} == {"train": 2, "val": 1}


def test_characters(tmp_path: Path) -> None:
    made = MadeGlyphs(alphabets=2, characters=3, drawers=4, size=(16, 20))
    assert made.describe() == "2 alphabets of 3 characters by 4 drawers, 16x20"
    made.make(tmp_path / "set")
    (classes,) = find_image_layout(tmp_path / "set").splits.values()
    assert [len(one.files) for one in classes] == [4] * 6
