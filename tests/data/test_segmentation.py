"""Reading pairs, their digests, class sets of layouts, splits and hold-outs."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dlcvcli.data.holdout import GroupRule
from dlcvcli.data.layouts import Layout, Pair, find_layout
from dlcvcli.data.masks import read_mask
from dlcvcli.data.reading import read_rgb
from dlcvcli.data.seen_images import digest_of
from dlcvcli.data.segmentation import SegmentationSet, class_set_for, open_split, training_splits
from dlcvcli.data.splits import ALL
from dlcvcli.errors import ConfigError, DataError, UsageError
from dlcvcli.palette import PRESETS
from tests.conftest import write_camvid


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """Two training images and one to validate on, in the CamVid layout."""
    return write_camvid(tmp_path / "set", {"train": [(20, 30), (12, 16)], "val": [(8, 9)]})


def _flat(count: int) -> Layout:
    pairs = tuple(Pair(f"{n:03d}", Path(f"{n}.jpg"), Path(f"{n}.png")) for n in range(count))
    return Layout("sat_mask", Path("set"), {ALL: pairs}, "landcover7")


# -- samples -------------------------------------------------------------------------------------


def test_a_sample_holds_the_pixels_the_ids_and_the_digest_of_both_files(camvid: Path) -> None:
    data = open_split(camvid, "train")
    sample = data.read(1)
    image, mask = data.pairs[1].image, data.pairs[1].mask
    assert (len(data), sample.name, data.classes) == (2, "001", PRESETS["camvid11"])
    assert np.array_equal(sample.image, read_rgb(image))
    assert np.array_equal(sample.mask, read_mask(mask, data.classes))
    parts = [hashlib.sha256(path.read_bytes()).digest() for path in (image, mask)]
    assert sample.digest == data.digests(1)[0] == hashlib.sha256(b"".join(parts)).digest()


def test_a_size_stretches_the_image_and_leaves_the_mask(camvid: Path) -> None:
    plain = open_split(camvid, "train").read(0)
    sized = open_split(camvid, "train", size=(10, 45)).read(0)
    wanted = Image.fromarray(plain.image).resize((45, 10), Image.Resampling.BILINEAR)
    assert np.array_equal(sized.image, np.asarray(wanted))
    assert np.array_equal(sized.mask, plain.mask)
    assert sized.digest == plain.digest


def test_an_image_and_a_mask_of_two_sizes_are_refused(camvid: Path) -> None:
    mask = camvid / "trainannot" / "000.png"
    Image.fromarray(np.zeros((30, 20), dtype=np.uint8)).save(mask)
    for size in (None, (30, 20)):
        with pytest.raises(DataError) as caught:
            open_split(camvid, "train", size=size).read(0)
        assert caught.value.message == (
            f"{camvid / 'train' / '000.png'} is 30 x 20 (width x height) "
            "and its mask 000.png is 20 x 30 (width x height)"
        )


# -- orientation ---------------------------------------------------------------------------------


def _rotated_pair(
    folder: Path,
    size: tuple[int, int],
    orientation: int,
    *,
    mask_on: str,
    form: str = "PNG",
    mask_orientation: int = 1,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], SegmentationSet]:
    """Return an image and its mask as they are displayed, and the set in which they are stored."""
    rng = np.random.default_rng(orientation)
    stored = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    ids = rng.integers(0, 7, size).astype(np.uint8)
    image, mask = Image.fromarray(stored), Image.fromarray(ids)
    shown, shown_mask = (_displayed(one, orientation) for one in (image, mask))
    written = mask if mask_on == "stored" else Image.fromarray(shown_mask)
    tags = [Image.Exif(), Image.Exif()]
    for tag, value in zip(tags, (orientation, mask_orientation), strict=True):
        tag[0x0112] = value
    name = {"PNG": "1_sat.png", "TIFF": "1_sat.tif"}[form]
    image.save(folder / name, form, exif=tags[0])
    written.save(folder / "1_mask.png", **({"exif": tags[1]} if mask_orientation != 1 else {}))
    return shown, shown_mask, open_split(folder, "train")


def _displayed(image: Image.Image, orientation: int) -> NDArray[np.uint8]:
    exif = image.getexif()
    exif[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_a_mask_drawn_on_the_displayed_image_is_unchanged(
    tmp_path: Path, form: str, orientation: int
) -> None:
    shown, mask, data = _rotated_pair(tmp_path, (6, 9), orientation, mask_on="displayed", form=form)
    sample = data.read(0)
    assert np.array_equal(sample.image, shown)
    assert np.array_equal(sample.mask, mask)
    assert sample.orientation_unclear == (orientation in {2, 3, 4})


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_a_mask_drawn_on_the_stored_pixels_is_rotated_with_its_image(
    tmp_path: Path, form: str, orientation: int
) -> None:
    shown, mask, data = _rotated_pair(tmp_path, (6, 9), orientation, mask_on="stored", form=form)
    sample = data.read(0)
    assert np.array_equal(sample.image, shown)
    assert np.array_equal(sample.mask, mask)
    assert not sample.orientation_unclear


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("size", [(6, 9), (7, 7)])
def test_a_mask_with_the_orientation_of_its_image_is_rotated_alike(
    tmp_path: Path, size: tuple[int, int], orientation: int
) -> None:
    shown, mask, data = _rotated_pair(
        tmp_path, size, orientation, mask_on="stored", mask_orientation=orientation
    )
    sample = data.read(0)
    assert np.array_equal(sample.image, shown)
    assert np.array_equal(sample.mask, mask)
    assert not sample.orientation_unclear


def test_an_orientation_copied_to_a_mask_that_is_upright_is_recognised_by_the_size(
    tmp_path: Path,
) -> None:
    _, mask, data = _rotated_pair(tmp_path, (6, 9), 6, mask_on="displayed", mask_orientation=6)
    assert np.array_equal(data.read(0).mask, mask)


def test_a_square_mask_is_called_unclear_where_it_makes_a_difference(tmp_path: Path) -> None:
    shown, mask, data = _rotated_pair(tmp_path, (7, 7), 6, mask_on="displayed")
    sample = data.read(0)
    assert np.array_equal(sample.image, shown)
    assert np.array_equal(sample.mask, mask)
    assert sample.orientation_unclear
    Image.new("L", (7, 7), 3).save(data.pairs[0].mask)
    assert not data.read(0).orientation_unclear


def test_a_mask_of_a_rotated_image_that_fits_neither_way_is_refused(tmp_path: Path) -> None:
    _, _, data = _rotated_pair(tmp_path, (6, 9), 6, mask_on="displayed")
    Image.new("L", (8, 9)).save(data.pairs[0].mask)
    with pytest.raises(DataError, match=r"is 6 x 9 .* its mask 1_mask\.png is 8 x 9"):
        data.read(0)


def test_a_damaged_file_of_a_pair_is_named(camvid: Path) -> None:
    data = open_split(camvid, "train")
    data.pairs[0].image.write_bytes(b"not an image")
    data.pairs[1].mask.write_bytes(b"not an image")
    for index, path in enumerate((data.pairs[0].image, data.pairs[1].mask)):
        with pytest.raises(DataError, match=re.escape(str(path))):
            data.read(index)


def test_binarising_reaches_the_masks(tmp_path: Path) -> None:
    pixels = np.full((4, 5, 3), 20, dtype=np.uint8)
    for name in ("1_sat.png", "1_mask.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    with pytest.raises(DataError, match=r"colour \(20, 20, 20\)"):
        open_split(tmp_path, "train").read(0)
    assert (open_split(tmp_path, "train", binarise=True).read(0).mask == 6).all()


# -- digests -------------------------------------------------------------------------------------


def test_one_byte_of_either_file_changes_the_digest(camvid: Path) -> None:
    data = open_split(camvid, "train")
    before = data.digests(0)[0]
    for path in (data.pairs[0].image, data.pairs[0].mask):
        content = path.read_bytes()
        path.write_bytes(content + b"\0")
        assert data.digests(0)[0] != before
        path.write_bytes(content)
    assert data.digests(0)[0] == before


def test_swapping_image_and_mask_changes_the_digest(camvid: Path) -> None:
    data = open_split(camvid, "train")
    before = data.digests(0)[0]
    image, mask = data.pairs[0].image, data.pairs[0].mask
    content = image.read_bytes()
    image.write_bytes(mask.read_bytes())
    mask.write_bytes(content)
    assert data.digests(0)[0] != before


# -- class sets ----------------------------------------------------------------------------------


def test_a_layout_brings_its_classes_unless_others_are_named(camvid: Path) -> None:
    layout = find_layout(camvid)
    assert class_set_for(layout, "auto", None) is PRESETS["camvid11"]
    assert class_set_for(layout, "voc21", None) is PRESETS["voc21"]


def test_a_layout_without_classes_asks_for_them() -> None:
    with pytest.raises(UsageError, match="does not say which classes") as caught:
        class_set_for(Layout("images_masks", Path("set"), {}, None), "auto", None)
    assert "camvid11, landcover7, voc21" in caught.value.hint


def test_the_ignore_id_can_be_replaced_but_not_by_a_class(camvid: Path) -> None:
    layout = find_layout(camvid)
    assert class_set_for(layout, "auto", 200).ignore_index == 200
    with pytest.raises(ConfigError, match="ignore_index 8 is the id of class 'car'"):
        class_set_for(layout, "auto", 8)


def test_a_class_set_can_be_given_as_an_object(camvid: Path) -> None:
    assert open_split(camvid, "val", classes=PRESETS["voc21"]).classes is PRESETS["voc21"]


# -- splits --------------------------------------------------------------------------------------


def test_a_split_is_opened_under_any_of_its_names(camvid: Path) -> None:
    data = open_split(camvid, "validation")
    assert (data.split, data.root, len(data)) == ("val", camvid, 1)
    with pytest.raises(DataError, match="has no split 'test'"):
        open_split(camvid, "test")


def test_a_set_without_splits_opens_completely(tmp_path: Path) -> None:
    for name in ("1_sat.png", "1_mask.png"):
        Image.fromarray(np.zeros((4, 5, 3), dtype=np.uint8)).save(tmp_path / name)
    assert open_split(tmp_path, "val").split == ALL


def test_the_digest_of_a_sample_is_independent_of_its_mask(camvid: Path) -> None:
    data = open_split(camvid, "train")
    sample, (_, before) = data.read(0), data.digests(0)
    assert sample.image_digest == before == digest_of(data.pairs[0].image.read_bytes())
    mask = data.pairs[0].mask
    mask.write_bytes(mask.read_bytes() + b"\0")
    assert data.digests(0)[1] == before


@pytest.mark.parametrize(("train", "val"), [("train", "train"), ("val", "validation")])
def test_training_and_validating_on_one_split_is_refused(
    camvid: Path, train: str, val: str
) -> None:
    with pytest.raises(UsageError, match=f"the same split '{train}'"):
        training_splits(find_layout(camvid), train, val, holdout=0.2, seed=0)


def test_a_set_with_splits_has_no_hold_out(camvid: Path) -> None:
    layout = find_layout(camvid)
    splits = training_splits(layout, "train", "validation", holdout=0.5, seed=0)
    train, val = splits.train, splits.val
    assert (train, val) == (layout.splits["train"], layout.splits["val"])
    with pytest.raises(DataError, match="has no split 'test'"):
        training_splits(layout, "train", "test", holdout=0.5, seed=0)


@settings(deadline=None, max_examples=60)
@given(st.integers(3, 60), st.floats(0.2, 0.8), st.integers(0, 2**32 - 1))
def test_a_hold_out_is_seeded_disjoint_and_complete(count: int, fraction: float, seed: int) -> None:
    layout = _flat(count)
    splits = training_splits(layout, "train", "val", holdout=fraction, seed=seed)
    train, val = splits.train, splits.val
    assert splits == training_splits(layout, "train", "val", holdout=fraction, seed=seed)
    assert sorted([*train, *val], key=lambda pair: pair.name) == list(layout.splits[ALL])
    assert len(val) == round(count * fraction)
    assert list(train) == sorted(train, key=lambda pair: pair.name)


def test_another_seed_holds_out_others() -> None:
    held = {training_splits(_flat(50), "t", "v", holdout=0.2, seed=seed).val for seed in range(5)}
    assert len(held) == 5


@pytest.mark.parametrize(("count", "fraction"), [(1, 0.5), (2, 0.2), (3, 0.9)])
def test_too_little_to_hold_out_is_refused(count: int, fraction: float) -> None:
    with pytest.raises(DataError, match=f"has {count} images and no splits") as caught:
        training_splits(_flat(count), "train", "val", holdout=fraction, seed=0)
    assert "data.holdout" in caught.value.hint


def test_groups_of_images_are_held_out_of_any_set(tmp_path: Path) -> None:
    for split, names in {"train": "ab", "val": "bc", "test": "cd"}.items():
        for folder in (split, f"{split}annot"):
            (tmp_path / folder).mkdir()
            for drive in names:
                for frame in range(2):
                    (tmp_path / folder / f"{drive}_{split}{frame}.png").touch()
    layout = find_layout(tmp_path)
    rule = GroupRule("^[^_]+")
    splits = training_splits(layout, "train", "val", holdout=0.3, seed=0, rule=rule)
    drives = [{pair.image.name[0] for pair in part} for part in (splits.train, splits.val)]
    assert drives[0].isdisjoint(drives[1])
    assert drives[0] | drives[1] == set("abc")
    assert len(splits.train) + len(splits.val) == 8
    named = GroupRule("^[^_]+", ("b",))
    splits = training_splits(layout, "train", "val", holdout=0.3, seed=0, rule=named)
    assert {pair.image.name[0] for pair in splits.val} == {"b"}
    assert splits.remark == "hold-out by group: 1 of 3 groups (b), 4 of 8 images"
