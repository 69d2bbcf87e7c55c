"""Sets of images by class: recognised layouts, and refused folders."""

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
    layout = find_image_layout(tmp_path)
    assert (layout.name, layout.root) == ("class_folders", tmp_path / "set")
    assert {s: [c.name for c in classes] for s, classes in layout.splits.items()} == {
        "train": ["a", "b"], "val": ["a", "b"],
    }  # fmt: skip
    assert [p.name for p in layout.splits["train"][0].files] == ["0.png", "1.png", "2.png"]
    assert layout.describe() == (
        "layout class_folders: train 6 images of 2 classes, val 6 images of 2 classes"
    )
    unsplit = find_image_layout(tmp_path / "set" / "train")
    assert list(unsplit.splits) == ["all"]


def test_the_tree_of_omniglot_has_alphabets_as_groups(tmp_path: Path) -> None:
    for alphabet in ("Greek", "Latin"):
        for character in (1, 2):
            image(tmp_path / "images_background" / alphabet / f"character0{character}" / "1_01.png")
    layout = find_image_layout(tmp_path)
    assert layout.name == "omniglot"
    classes = layout.splits["all"]
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
    layout = find_image_layout(tmp_path)
    assert (layout.name, list(layout.splits)) == ("csv", ["train"])
    assert [(c.name, [p.name for p in c.files]) for c in layout.splits["train"]] == [
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


@pytest.mark.parametrize(
    "text", ["a.png;c0\nb.png;c1\n", "a.png,c0\n", "file;name\n", "filename\na.png\n", ""]
)
@pytest.mark.parametrize("name", ["labels", "train"])
def test_a_folder_of_images_is_no_class_beside_a_csv_that_cannot_be_used(
    tmp_path: Path, name: str, text: str
) -> None:
    image(tmp_path / "images" / "a.png")
    (tmp_path / f"{name}.csv").write_text(text)
    with pytest.raises(DataError, match=rf"{name}\.csv has no columns of images and labels") as no:
        find_image_layout(tmp_path)
    assert "expected the header filename,label" in no.value.hint
    image(tmp_path / "thumbs" / "a.png")
    with pytest.raises(DataError, match=rf"{name}\.csv has no columns"):
        find_image_layout(tmp_path)
    # It may be about something else.
    for label in ("cat", "dog"):
        image(tmp_path / "classes" / label / "a.png")
    (tmp_path / "classes" / "notes.csv").write_text(text)
    assert find_image_layout(tmp_path / "classes").name == "class_folders"


def test_folders_of_splits_are_no_classes(tmp_path: Path) -> None:
    for split in ("train", "val"):
        image(tmp_path / split / "a.png")
    with pytest.raises(DataError, match="holds no images by class"):
        find_image_layout(tmp_path)
    # A train is a vehicle, too.
    image(tmp_path / "bus" / "a.png")
    assert [one.name for one in find_image_layout(tmp_path).splits["all"]] == [
        "bus",
        "train",
        "val",
    ]


def test_two_folders_of_one_split_are_refused(tmp_path: Path) -> None:
    for split in ("val", "validation"):
        image(tmp_path / split / "cat" / "a.png")
    with pytest.raises(DataError, match=r"holds the split 'val' twice, in val and validation"):
        find_image_layout(tmp_path)


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    for name in ("train/cat/1.png", "train/dog/1.png", "train/stray.png", "train/dog/more/2.png"):
        image(tmp_path / name)
    (tmp_path / "train" / "cat" / "2.gif").touch()
    (tmp_path / "train" / "cat" / "README.md").touch()
    (tmp_path / "train" / "cow").mkdir()
    (tmp_path / "val").mkdir()
    description = find_image_layout(tmp_path).describe()
    assert description == (
        "layout class_folders: train 2 images of 2 classes; 2 images left out (train/stray.png, "
        "train/dog/more/2.png); 1 file left out, since dlcv does not read .gif (train/cat/2.gif); "
        "no images in train/cow, val"
    )
    flat = find_image_layout(tmp_path / "train").describe()
    assert "all 2 images of 2 classes; 2 images left out (stray.png, dog/more/2.png)" in flat


def test_a_csv_without_labels_is_reported_as_left_out(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.png")
    (tmp_path / "train.csv").write_text("filename,label\na.png,c0\n")
    (tmp_path / "test.csv").write_text("id,filename\n0,a.png\n")
    description = find_image_layout(tmp_path).describe()
    assert (
        description
        == "layout csv: train 1 images of 1 classes; test.csv left out, since it has no labels"
    )


def test_an_empty_part_of_omniglot_is_not_replaced_by_the_other(
    tmp_path: Path,
) -> None:
    image(tmp_path / "images_evaluation" / "Greek" / "character01" / "1_01.png")
    (tmp_path / "images_background").mkdir()
    assert list(find_image_layout(tmp_path).splits) == ["test"]


def test_images_outside_of_the_set_are_refused_unless_they_are_allowed(tmp_path: Path) -> None:
    root = tmp_path / "set"
    image(root / "train" / "a.png")
    image(tmp_path / "secret.png")
    image(tmp_path / "elsewhere" / "b.png")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    table = root / "train.csv"
    for name in ("../../secret.png", str(tmp_path / "secret.png")):
        table.write_text(f"filename,label\na.png,c0\n{name},c1\n")
        with pytest.raises(DataError, match=r"train\.csv, line 3 names .* lies outside of .*set"):
            find_image_layout(root)
        (classes,) = find_image_layout(root, allow_outside=True).splits.values()
        assert classes[1].files == (tmp_path / "secret.png",)
    table.write_text("filename,label\na.png,c0\n../linked/b.png,c1\n")
    assert find_image_layout(root).splits["train"][1].files == (root / "linked" / "b.png",)


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("train_50", "val_50"), {"train", "val"}),
        (("train", "validation", "test"), {"train", "val", "test"}),
        ((".",), {"all"}),
    ],
)
def test_labels_before_the_underscore(
    tmp_path: Path, folders: tuple[str, ...], splits: set[str]
) -> None:
    for folder in folders:
        for name in ("0_10.png", "0_2.png", "10_0.png", "10_1.png", "2_7.png", "2_9_b.png"):
            image(tmp_path / folder / name)
    layout = find_image_layout(tmp_path)
    assert (layout.name, set(layout.splits)) == ("flat", splits)
    for classes in layout.splits.values():
        assert [(one.name, [file.name for file in one.files]) for one in classes] == [
            ("0", ["0_10.png", "0_2.png"]),
            ("10", ["10_0.png", "10_1.png"]),
            ("2", ["2_7.png", "2_9_b.png"]),
        ]


@pytest.mark.parametrize(
    "names",
    [
        ["train/0001.png", "train/0002.png"],
        ["img_1.png", "img_2.png", "img_3.png"],
        ["0001_sat.png", "0001_mask.png", "0002_sat.png", "0002_mask.png"],
        [f"room{number}_{side}.png" for number in range(6) for side in ("left", "right")],
        ["a_1.png", "a_2.png", "b_1.png", "b_2.png", "photo.png"],
        ["1_1.png", "2_1.png", "3_1.png", "4_1.png", "4_2.png"],
    ],
)
def test_other_names_give_no_labels(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        image(tmp_path / name)
    with pytest.raises(DataError, match=f"its {len(names)} images have no labels"):
        find_image_layout(tmp_path)


def test_folders_of_classes_go_before_labels_in_names(tmp_path: Path) -> None:
    for name in ("0_1.png", "0_2.png", "1_1.png", "1_2.png"):
        image(tmp_path / "train" / name)
        image(tmp_path / "train" / "cat" / name)
        image(tmp_path / "classes" / "train" / name)
        image(tmp_path / "classes" / "bus" / name)
    assert find_image_layout(tmp_path / "classes").name == "class_folders"
    assert [one.name for one in find_image_layout(tmp_path / "train").splits["all"]] == ["cat"]
