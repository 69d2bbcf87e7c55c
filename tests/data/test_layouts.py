"""The layout of a folder is recognised, or its mistake is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcvcli.data.layouts import Layout, Pair, find_image, find_layout, pairs_of
from dlcvcli.data.splits import ALL
from dlcvcli.errors import DataError, UsageError


def _files(folder: Path, *names: str) -> Path:
    """Write empty files: recognising a layout looks at names alone."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def _sat(split: str, *numbers: str) -> list[str]:
    return [f"{split}{n}{end}" for n in numbers for end in ("_sat.jpg", "_mask.png")]


def _names_of(layout: Layout) -> dict[str, list[str]]:
    return {split: [pair.name for pair in pairs] for split, pairs in layout.splits.items()}


def _voc(folder: Path, **splits: str) -> Path:
    """Write a devkit whose split files hold these names; `test` comes without annotations."""
    for split, names in splits.items():
        file = folder / "ImageSets" / "Segmentation" / f"{split}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(names.replace(" ", "\n") + "\n")
        for name in names.split():
            _files(folder, f"JPEGImages/{name}.jpg")
            if split != "test":
                _files(folder, f"SegmentationClass/{name}.png")
    return folder


# -- what is recognised --------------------------------------------------------------------------


def test_satellite_tiles_with_splits(tmp_path: Path) -> None:
    _files(tmp_path, *_sat("train/", "0001", "0000"), *_sat("validation/", "0007"))
    layout = find_layout(tmp_path)
    assert (layout.name, layout.root, layout.preset) == ("sat_mask", tmp_path, "landcover7")
    assert _names_of(layout) == {"train": ["0000", "0001"], "val": ["0007"]}
    assert layout.splits["val"] == (
        Pair(
            "0007",
            tmp_path / "validation" / "0007_sat.jpg",
            tmp_path / "validation" / "0007_mask.png",
        ),
    )


def test_satellite_tiles_without_splits(tmp_path: Path) -> None:
    layout = find_layout(_files(tmp_path, *_sat("", "0001", "0000")))
    assert (layout.name, _names_of(layout)) == ("sat_mask", {ALL: ["0000", "0001"]})


def test_images_and_masks_without_splits(tmp_path: Path) -> None:
    layout = find_layout(
        _files(tmp_path, "images/a.jpg", "images/b.png", "masks/a.png", "masks/b.png")
    )
    assert (layout.name, layout.preset, _names_of(layout)) == (
        "images_masks",
        None,
        {ALL: ["a", "b"]},
    )


def test_images_and_masks_inside_splits(tmp_path: Path) -> None:
    _files(tmp_path, "train/images/a.jpg", "train/masks/a.png")
    _files(tmp_path, "valid/images/b.jpg", "valid/masks/b.png")
    assert _names_of(find_layout(tmp_path)) == {"train": ["a"], "val": ["b"]}


def test_splits_inside_images_and_masks(tmp_path: Path) -> None:
    _files(tmp_path, "images/train/a.jpg", "masks/train/a.png")
    _files(tmp_path, "images/val/b.jpg", "masks/val/b.png")
    detected = find_layout(tmp_path)
    assert (detected.name, _names_of(detected)) == ("images_masks", {"train": ["a"], "val": ["b"]})


def test_camvid_has_every_split_with_an_annotation_folder(tmp_path: Path) -> None:
    _files(tmp_path, "train/a.png", "trainannot/a.png", "night/b.png", "nightannot/b.png")
    layout = find_layout(tmp_path)
    assert (layout.name, layout.preset) == ("camvid", "camvid11")
    assert _names_of(layout) == {"night": ["b"], "train": ["a"]}


def test_camvid_without_splits_is_one_folder_and_its_annotations(tmp_path: Path) -> None:
    layout = find_layout(_files(tmp_path, "all/a.png", "allannot/a.png"))
    assert (layout.name, _names_of(layout)) == ("camvid", {ALL: ["a"]})


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (_sat("train/", "1"), "sat_mask"),
        (_sat("", "1"), "sat_mask"),
        (["images/a.jpg", "masks/a.png"], "images_masks"),
        (["train/images/a.jpg", "train/masks/a.png"], "images_masks"),
        (["train/a.png", "trainannot/a.png"], "camvid"),
    ],
)
def test_one_wrapping_folder_is_looked_through(
    tmp_path: Path, names: list[str], layout: str
) -> None:
    _files(tmp_path / "archive-v1", *names)
    _files(tmp_path, "README.txt", "__MACOSX/train/x.png", ".cache/y.png")
    detected = find_layout(tmp_path)
    assert (detected.name, detected.root) == (layout, tmp_path / "archive-v1")


def test_two_wrapping_folders_are_not_looked_through(tmp_path: Path) -> None:
    _files(tmp_path / "outer" / "inner", *_sat("train/", "1"))
    with pytest.raises(DataError, match="holds no layout that dlcv knows; found outer"):
        find_layout(tmp_path)


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Validation", "VAL"])
def test_all_names_of_the_validation_split_are_one(tmp_path: Path, name: str) -> None:
    layout = find_layout(_files(tmp_path, *_sat("train/", "1"), *_sat(f"{name}/", "2")))
    for asked in ("val", "valid", "validation", name):
        assert [pair.name for pair in pairs_of(layout, asked)] == ["2"]


def test_a_split_of_satellite_images_without_masks_is_left_out(tmp_path: Path) -> None:
    _files(tmp_path, *_sat("train/", "1"), "test/9_sat.jpg", "test/8_sat.jpg")
    assert _names_of(find_layout(tmp_path)) == {"train": ["1"]}


def test_hidden_files_and_other_files_are_no_images(tmp_path: Path) -> None:
    _files(tmp_path, "images/a.jpg", "masks/a.png", "images/._a.jpg", "masks/notes.txt")
    _files(tmp_path, "masks/Thumbs.db", "images/sub/c.jpg")
    assert _names_of(find_layout(tmp_path)) == {ALL: ["a"]}


def test_a_layout_describes_itself_in_one_line(tmp_path: Path) -> None:
    _files(tmp_path, *_sat("train/", "1", "2"), *_sat("validation/", "3"))
    assert find_layout(tmp_path).describe() == "layout sat_mask: train 2, val 1"


def test_a_layout_can_be_forced_where_a_folder_fits_two(tmp_path: Path) -> None:
    _files(tmp_path, "train/a.png", "trainannot/a.png", "images/b.jpg", "masks/b.png")
    assert find_layout(tmp_path).name == "camvid"
    assert _names_of(find_layout(tmp_path, "images_masks")) == {ALL: ["b"]}
    with pytest.raises(DataError, match="holds no layout 'sat_mask'; found images, masks, train"):
        find_layout(tmp_path, "sat_mask")


# -- what is refused -----------------------------------------------------------------------------


def test_an_unknown_layout_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown layout 'camvit'") as caught:
        find_layout(tmp_path, "camvit")
    assert caught.value.hint == "did you mean 'camvid'?"


def test_a_missing_folder_a_file_and_an_empty_folder_have_errors_of_their_own(
    tmp_path: Path,
) -> None:
    with pytest.raises(DataError, match="does not exist"):
        find_layout(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a file; a data folder is needed"):
        find_layout(_files(tmp_path / "one", "a.zip") / "a.zip")
    _files(tmp_path / "two", ".DS_Store")
    with pytest.raises(DataError, match="is empty"):
        find_layout(tmp_path / "two")


def test_unknown_content_is_listed_with_the_expected_layouts(tmp_path: Path) -> None:
    _files(tmp_path, *(f"{n}.txt" for n in "abcdefgh"))
    with pytest.raises(DataError) as caught:
        find_layout(tmp_path)
    assert caught.value.message == (
        f"{tmp_path} holds no layout that dlcv knows; "
        "found a.txt, b.txt, c.txt, d.txt, e.txt, f.txt, ..."
    )
    assert "NNNN_sat.jpg" in caught.value.hint


@pytest.mark.parametrize(
    ("names", "lone", "message"),
    [
        (["images/a.jpg", "masks/a.png", "images/b.jpg"], "images/b.jpg", "image {} has no mask"),
        (["images/a.jpg", "masks/a.png", "masks/b.png"], "masks/b.png", "mask {} has no image"),
        ([*_sat("train/", "1"), "train/2_sat.jpg"], "train/2_sat.jpg", "image {} has no mask"),
        ([*_sat("", "1"), "2_mask.png"], "2_mask.png", "mask {} has no image"),
        (["train/a.png", "train/b.png", "trainannot/a.png"], "train/b.png", "image {} has no mask"),
        (
            ["train/a.png", "trainannot/a.png", "trainannot/b.png"],
            "trainannot/b.png",
            "mask {} has",
        ),
    ],
)
def test_a_file_without_its_counterpart_is_named(
    tmp_path: Path, names: list[str], lone: str, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        find_layout(_files(tmp_path, *names))
    assert caught.value.message.startswith(message.format(tmp_path / lone))


def test_lone_files_are_counted(tmp_path: Path) -> None:
    _files(tmp_path, "images/a.jpg", "images/b.jpg", "images/c.jpg", "masks/a.png")
    with pytest.raises(DataError, match=r"b\.jpg has no mask \(and 1 more\)$"):
        find_layout(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["images/a.jpg", "images/a.png", "masks/a.png"], "two images are named a"),
        (["images/a.jpg", "masks/a.png", "masks/a.tif"], "two masks are named a"),
    ],
)
def test_two_files_of_one_name_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_layout(_files(tmp_path, *names))


@pytest.mark.parametrize(
    "names",
    [
        [*_sat("val/", "1"), *_sat("validation/", "2")],
        ["val/a.png", "valannot/a.png", "valid/b.png", "validannot/b.png"],
    ],
)
def test_two_folders_for_one_split_are_refused(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(DataError, match="holds the split 'val' twice, in val and valid"):
        find_layout(_files(tmp_path, *names))


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (["images/a.jpg", "masks/a.gif"], "masks/a.gif has a format that dlcv does not read"),
        (
            ["images/b.jpg", "masks/b.png", "images/a.heic", "masks/a.png"],
            "images/a.heic has a format",
        ),
        ([*_sat("", "1"), "2.jpg", "2_mask.png"], "rename it to 2_sat.jpg"),
        (
            [*_sat("train/", "1"), "train/2_sat.tif", "train/2_mask.jp2"],
            "train/2_mask.jp2 has a format",
        ),
    ],
)
def test_the_probable_counterpart_is_named(tmp_path: Path, names: list[str], hint: str) -> None:
    with pytest.raises(DataError, match=r"has no (mask|image)") as caught:
        find_layout(_files(tmp_path, *names))
    assert hint in caught.value.hint


def test_a_set_in_an_unsupported_format_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no layout") as caught:
        find_layout(_files(tmp_path, "images/train/a.gif", "masks/train/a.gif"))
    assert caught.value.hint.startswith("dlcv does not read .gif (images/train/a.gif)")


def test_two_lists_of_one_voc_split_are_refused(tmp_path: Path) -> None:
    _voc(tmp_path, val="a", validation="b")
    with pytest.raises(DataError, match=r"twice, in val\.txt and validation\.txt"):
        find_layout(tmp_path)


def test_a_voc_list_that_names_a_file_outside_is_refused(tmp_path: Path) -> None:
    _files(tmp_path, "secret.jpg", "secret.png")
    kit = _voc(tmp_path / "kit", train="a")
    (kit / "ImageSets" / "Segmentation" / "val.txt").write_text("../../secret\n")
    with pytest.raises(
        DataError, match=r"val\.txt names \.\./\.\./secret\.jpg, which lies outside"
    ):
        find_layout(kit)


# -- what is left out ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["images/a.jpg", "masks/a.png", "images/b.gif", "masks/b.gif"],
            "layout images_masks: all 1; 2 files left out, since dlcv does not read .gif "
            "(images/b.gif, masks/b.gif)",
        ),
        (
            [*_sat("train/", "1"), "train/2.jpg"],
            "layout sat_mask: train 1; 1 image left out (train/2.jpg)",
        ),
        ([*_sat("", "1"), "2.jpg"], "layout sat_mask: all 1; 1 image left out (2.jpg)"),
        (
            [*_sat("train/", "1"), *(f"test/{n}_sat.jpg" for n in range(5))],
            "layout sat_mask: train 1; 5 images left out (test/0_sat.jpg, test/1_sat.jpg and "
            "3 more)",
        ),
        (
            [*_sat("val/", "1"), "train/notes.txt"],
            "layout sat_mask: val 1; no images in train",
        ),
        (
            ["val/a.png", "valannot/a.png", "valannot/deep/b.png", "val/c.AVIF"],
            "layout camvid: val 1; 1 image left out (valannot/deep/b.png); 1 file left out, since "
            "dlcv does not read .avif (val/c.AVIF)",
        ),
        (
            [
                *_sat("train/", "1"),
                "README.md",
                "train/Thumbs.db",
                "figures/a.png",
                "train/._x.gif",
            ],
            "layout sat_mask: train 1",
        ),
    ],
)
def test_what_is_left_out_is_counted_and_named(
    tmp_path: Path, names: list[str], message: str
) -> None:
    assert find_layout(_files(tmp_path, *names)).describe() == message


def test_a_request_for_an_emptied_split_names_its_folder(tmp_path: Path) -> None:
    _files(tmp_path, *_sat("val/", "1"), "train/notes.txt")
    with pytest.raises(DataError, match="no split 'train': no image in its folder train"):
        pairs_of(find_layout(tmp_path), "train")


def test_a_split_behind_a_link_is_looked_through_and_a_circle_is_not(tmp_path: Path) -> None:
    _files(tmp_path / "elsewhere", *_sat("", "1"), "2.jpg")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set")
    message = find_layout(tmp_path / "set").describe()
    assert message == "layout sat_mask: train 1; 1 image left out (train/2.jpg)"


# -- splits and names ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["0013", "0013_sat.jpg", "0013_sat"])
def test_an_image_is_found_by_any_of_its_names(tmp_path: Path, name: str) -> None:
    layout = find_layout(_files(tmp_path, *_sat("", "0012", "0013")))
    assert find_image(layout.splits[ALL], name).name == "0013"


def test_an_image_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    layout = find_layout(_files(tmp_path, *_sat("", "0012", "0990")))
    with pytest.raises(UsageError, match="no image '0091'") as caught:
        find_image(layout.splits[ALL], "0091")
    assert caught.value.hint.startswith("did you mean")


# -- the Pascal VOC devkit -----------------------------------------------------------------------


@pytest.mark.parametrize("inside", [".", "VOC2012", "VOCdevkit/VOC2012", "in/VOCdevkit/VOC2012"])
def test_a_voc_devkit_is_found_at_each_of_its_levels(tmp_path: Path, inside: str) -> None:
    kit = _voc(
        tmp_path / inside, train="2007_2 2007_1", val="2008_7", trainval="2007_1 2008_7", test="9"
    )
    # Images without an annotation lie beside them, for detection.
    _files(kit, "JPEGImages/2010_1.jpg")
    layout = find_layout(tmp_path)
    assert (layout.name, layout.preset) == ("voc", "voc21")
    assert layout.root.resolve() == kit.resolve()
    assert _names_of(layout) == {
        "train": ["2007_1", "2007_2"], "val": ["2008_7"], "trainval": ["2007_1", "2008_7"],
    }  # fmt: skip
    (pair,) = layout.splits["val"]
    assert pair.image.name == "2008_7.jpg"
    assert pair.mask.parent.name == "SegmentationClass"


def test_a_name_of_a_voc_split_without_its_files_is_named(tmp_path: Path) -> None:
    kit = _voc(tmp_path, train="a b", val="c")
    (kit / "SegmentationClass" / "b.png").unlink()
    with pytest.raises(DataError, match=r"b of train\.txt has no mask: .*b\.png") as caught:
        find_layout(tmp_path)
    assert "train.txt" in caught.value.hint


def test_one_of_several_years_of_voc_has_to_be_named(tmp_path: Path) -> None:
    for year in ("VOC2007", "VOC2012"):
        _voc(tmp_path / "VOCdevkit" / year, train="a", val="b")
    with pytest.raises(DataError, match="several years of VOC: VOC2007, VOC2012"):
        find_layout(tmp_path)
    assert find_layout(tmp_path / "VOCdevkit" / "VOC2012").name == "voc"
