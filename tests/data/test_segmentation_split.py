"""In a set without splits, a model is scored on the images that its training held out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcvcli.data.holdout import GroupRule
from dlcvcli.data.layouts import find_layout
from dlcvcli.data.seen_images import SeenImages
from dlcvcli.data.seen_split import file_digests
from dlcvcli.data.segmentation import training_splits
from dlcvcli.data.segmentation_split import ScoredSplit, open_for_model
from dlcvcli.errors import DataError
from dlcvcli.palette import PRESETS
from tests.conftest import write_camvid

CLASSES = PRESETS["camvid11"]


def write_flat(folder: Path, names: list[str], seed: int = 0) -> Path:
    """Write a set without splits, of images of noise."""
    rng = np.random.default_rng(seed)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for name in names:
        image = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(image).save(folder / "images" / f"{name}.png")
        Image.fromarray(image[..., 0] % 11).save(folder / "masks" / f"{name}.png")
    return folder


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    return write_flat(tmp_path / "flat", [f"{index:02d}" for index in range(10)])


@pytest.fixture
def seen(flat: Path) -> SeenImages:
    """What a training on the set records: 7 images trained on, 3 held out."""
    splits = training_splits(find_layout(flat), "train", "val", holdout=0.3, seed=0)
    train, val = (
        file_digests([pair.image for pair in pairs]) for pairs in (splits.train, splits.val)
    )
    return SeenImages(frozenset(train), tuple(val))


def opened(folder: Path, seen: SeenImages | None, split: str = "val") -> ScoredSplit:
    return open_for_model(folder, split, seen=seen, classes=CLASSES)


def held_out(flat: Path) -> set[str]:
    pairs = training_splits(find_layout(flat), "train", "val", holdout=0.3, seed=0).val
    return {pair.name for pair in pairs}


def test_only_held_out_images_are_scored_at_any_path_of_the_set(
    flat: Path, seen: SeenImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, copy = tmp_path / "link", tmp_path / "copy" / "wrapped"
    link.symlink_to(flat)
    shutil.copytree(flat, copy)
    monkeypatch.chdir(tmp_path)
    for path in (flat, Path("flat"), Path("copy/../flat"), link, copy, copy.parent):
        data = opened(path, seen)
        assert {pair.name for pair in data.data.pairs} == held_out(flat)
        assert data.data.split == "val"
        assert "3 of its 10 images that the model's training held out" in data.remarks[0]


def test_files_may_have_other_names(flat: Path, seen: SeenImages) -> None:
    for kind in ("images", "masks"):
        for file in sorted((flat / kind).iterdir()):
            file.rename(file.with_name(f"x{file.name}"))
    assert len(opened(flat, seen).data) == 3


def test_the_training_part_and_the_complete_set_can_be_requested(
    flat: Path, seen: SeenImages
) -> None:
    train = opened(flat, seen, "train")
    assert {pair.name for pair in train.data.pairs}.isdisjoint(held_out(flat))
    assert (len(train.data), train.data.split) == (7, "train")
    everything = opened(flat, seen, "all")
    assert (len(everything.data), everything.data.split) == (10, "all")
    with pytest.raises(DataError, match="has no split 'test'"):
        opened(flat, seen, "test")


def test_new_images_of_the_set_are_counted(flat: Path, seen: SeenImages, tmp_path: Path) -> None:
    more = write_flat(tmp_path / "more", ["90", "91"], seed=1)
    for kind in ("images", "masks"):
        for file in (more / kind).iterdir():
            shutil.copy(file, flat / kind)
    data = opened(flat, seen)
    assert len(data.data) == 3
    assert data.remarks[0].endswith("2 that the training did not see are left out")


def test_of_another_set_everything_is_scored(seen: SeenImages, tmp_path: Path) -> None:
    data = opened(write_flat(tmp_path / "other", ["a", "b"], seed=1), seen)
    assert (len(data.data), data.data.split, data.remarks) == (2, "all", ())


def test_images_that_the_set_leaves_out_are_counted(flat: Path, seen: SeenImages) -> None:
    (flat / "images" / "more.gif").touch()
    remarks = opened(flat, seen).remarks
    assert remarks[0] == f"{flat}: 1 file left out, since dlcv does not read .gif (images/more.gif)"
    assert len(remarks) == 2


def test_a_model_without_a_record_is_reported(flat: Path) -> None:
    data = opened(flat, None)
    assert len(data.data) == 10
    assert "does not record what it was trained on" in data.remarks[0]


def test_a_set_with_splits_keeps_its_splits(tmp_path: Path) -> None:
    folder = write_camvid(tmp_path / "set", {"train": [(8, 8)] * 3, "val": [(8, 8)] * 2})
    digests = file_digests([pair.image for pair in find_layout(folder).splits["val"]])
    data = opened(folder, SeenImages(frozenset(digests), ()))
    assert (len(data.data), data.data.split, data.remarks) == (2, "val", ())


def test_groups_that_the_training_held_out_go_before_the_splits_of_the_folder(
    tmp_path: Path,
) -> None:
    sizes = {"train": [(8, 8)] * 4, "val": [(8, 8)] * 2, "test": [(8, 8)]}
    folder = write_camvid(tmp_path / "set", sizes)
    layout = find_layout(folder)
    rule = GroupRule(r"(\d)\.png", ("1",))
    splits = training_splits(layout, "train", "val", holdout=0.2, seed=0, rule=rule)
    train, val = (
        file_digests([pair.image for pair in pairs]) for pairs in (splits.train, splits.val)
    )
    seen = SeenImages(frozenset(train), tuple(val))

    def scored(split: str, folder: Path = folder) -> tuple[list[str], str]:
        data = open_for_model(folder, split, seen=seen, classes=CLASSES, regrouped=True).data
        return [file.relative_to(folder).as_posix() for file in data.files], data.split

    assert scored("val") == (["train/001.png", "val/001.png"], "val")
    assert scored("train")[0] == ["train/000.png", "train/002.png", "train/003.png", "val/000.png"]
    assert len(scored("all")[0]) == 6
    assert scored("test") == (["test/000.png"], "test")
    other = write_camvid(tmp_path / "other", sizes, seed=1)
    assert scored("val", other) == (["val/000.png", "val/001.png"], "val")
