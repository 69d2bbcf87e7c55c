"""Images by class: what a folder is recognised as, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcvcli.data.image_classes import find_image_layout
from dlcvcli.errors import DataError, UsageError


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)


def test_class_folders_with_and_without_splits(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        for name in ("b", "a"):
            for number in range(3):
                image(tmp_path / "set" / split / name / f"{number}.png")
    found = find_image_layout(tmp_path)
    assert (found.name, found.root) == ("class_folders", tmp_path / "set")
    assert {s: [c.name for c in classes] for s, classes in found.splits.items()} == {
        "train": ["a", "b"], "val": ["a", "b"],
    }  # fmt: skip
    assert [p.name for p in found.splits["train"][0].files] == ["0.png", "1.png", "2.png"]
    assert found.describe() == (
        "layout class_folders: train 6 images of 2 classes, val 6 images of 2 classes"
    )
    whole = find_image_layout(tmp_path / "set" / "train")
    assert list(whole.splits) == ["all"]


def test_the_tree_of_omniglot_has_alphabets_as_groups(tmp_path: Path) -> None:
    for alphabet in ("Greek", "Latin"):
        for character in (1, 2):
            image(tmp_path / "images_background" / alphabet / f"character0{character}" / "1_01.png")
    found = find_image_layout(tmp_path)
    assert found.name == "omniglot"
    classes = found.splits["all"]
    assert [c.name for c in classes][:2] == ["Greek/character01", "Greek/character02"]
    assert [c.group for c in classes] == ["Greek", "Greek", "Latin", "Latin"]
    image(tmp_path / "images_evaluation" / "Atlantean" / "character01" / "9_01.png")
    assert list(find_image_layout(tmp_path).splits) == ["train", "test"]


@pytest.mark.parametrize("folder", ["train", "images", "."])
def test_a_table_beside_its_images(tmp_path: Path, folder: str) -> None:
    for name in ("x.jpg", "y.jpg", "z.jpg"):
        image(tmp_path / folder / name)
    text = "id,filename,label\n0,x.jpg,n02\n1,y.jpg,n01\n2,z.jpg,n02\n"
    (tmp_path / "train.csv").write_text(text)
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    found = find_image_layout(tmp_path)
    assert (found.name, list(found.splits)) == ("csv", ["train"])
    assert [(c.name, [p.name for p in c.files]) for c in found.splits["train"]] == [
        ("n01", ["y.jpg"]), ("n02", ["x.jpg", "z.jpg"]),
    ]  # fmt: skip
    (tmp_path / "train.csv").write_text("filename,label\nx.jpg,a\nnone.jpg,b\n")
    with pytest.raises(DataError, match=r"train\.csv names none\.jpg"):
        find_image_layout(tmp_path)


def test_what_is_no_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        find_image_layout(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no images by class"):
        find_image_layout(tmp_path)
    with pytest.raises(UsageError, match="unknown layout 'omni'"):
        find_image_layout(tmp_path, "omni")
