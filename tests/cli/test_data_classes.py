"""`dlcv data make shapes`, and `check` and `stats` of images by class, on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from dlcvcli.data.shapes import SHAPES, make_shapes
from tests.cli.command import dlcv, refused


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic set of 20 + 10 images; read only."""
    folder = tmp_path_factory.mktemp("shapes")
    make_shapes(folder, train=20, validation=10, size=(32, 40))
    return folder


def test_a_made_set_is_checked_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    make = ("data", "make", "shapes", folder, "--train", 20, "--validation", 10, "--size", "16x20")
    done = dlcv(*make)
    assert done.returncode == 0, done.stderr
    assert f"20 training and 10 validation images of shapes, 16x20, to {folder}" in done.stderr
    refused(2, *make, message="not empty")
    other = ("data", "make", "shapes", tmp_path / "other", "--drawers", 2)
    assert "--train, --validation" in refused(
        2, *other, message="--drawers does not apply to shapes"
    )
    assert "30 images are sound (train 20, val 10)" in dlcv("data", "check", folder).stdout
    stats = json.loads(dlcv("data", "stats", folder, "--json", "-").stdout)
    assert stats["kind"] == "classification"
    train = stats["splits"]["train"]
    assert (train["images"], train["sizes"], train["majority_baseline"]) == (20, {"16x20": 20}, 0.1)
    assert {name: one["images"] for name, one in train["classes"].items()} == dict.fromkeys(
        SHAPES, 2
    )
    assert "crescent" in dlcv("data", "stats", folder).stdout


def test_a_damaged_image_is_refused_and_named_in_the_json(shapes: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(shapes, tmp_path / "set")
    (folder / "val/star/00008.png").write_bytes(b"no image")
    stderr = refused(1, "data", "check", folder, message="1 problem in")
    assert "00008.png" in stderr
    done = dlcv("data", "check", folder, "--json", "-")
    assert done.returncode == 1
    assert "00008.png" in json.loads(done.stdout)["splits"]["val"]["problems"][0]


def test_copies_and_look_alikes_across_splits_are_told_apart(shapes: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(shapes, tmp_path / "set")
    shutil.copy(folder / "train/ring/00006.png", folder / "val/ring/copy.png")
    with Image.open(folder / "train/star/00008.png") as image:
        image.resize((48, 40)).save(folder / "val/star/export.png")
    done = dlcv("data", "check", folder, "--json", "-")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["duplicates"] == [{"splits": ["train", "val"], "images": ["val/ring/copy.png"]}]
    pair = ["val/star/export.png", "train/star/00008.png"]
    assert report["near_duplicates"] == [{"splits": ["train", "val"], "images": [pair]}]
    assert "1 of the 12 images of val look like images of train (e.g. val/star/exp" in done.stderr


def test_a_broken_segmentation_set_is_not_taken_for_images_by_class(tmp_path: Path) -> None:
    for name in ("images/a", "images/b", "masks/a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4)).save(tmp_path / f"{name}.png")
    refused(1, "data", "check", tmp_path, message="b.png has no mask")
    done = dlcv("data", "check", tmp_path, "--layout", "class_folders")
    assert "3 images are sound (all 3)" in done.stdout


def test_the_error_for_an_unknown_folder_or_layout_names_both_kinds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    stderr = refused(1, "data", "check", tmp_path, message="holds no layout that dlcv knows")
    assert "no images by class" in stderr
    assert "for images by class: expected folders named after their classes" in stderr
    stderr = refused(2, "data", "stats", tmp_path, "--layout", "clas_folders", message="unknown")
    assert "class_folders" in stderr


def test_stats_draws_the_number_of_images_of_each_class(shapes: Path, tmp_path: Path) -> None:
    figure = tmp_path / "balance.png"
    done = dlcv("data", "stats", shapes, "--figure", figure, "--json", "-")
    assert done.returncode == 0, done.stderr
    with Image.open(figure) as image:
        assert image.width > 800
