"""One pass over a set finds every problem, counts exactly and gives the fingerprint."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcvcli.data.audit import audit, fingerprints_of, remarks, require_sound
from dlcvcli.data.masks import read_mask
from dlcvcli.data.segmentation import open_split
from dlcvcli.errors import DataError
from tests.conftest import write_camvid

SIZES = [(10, 14), (9, 14), (10, 14), (7, 7)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images of three sizes."""
    return write_camvid(tmp_path / "set", {"train": SIZES}, seed=5)


def test_counts_equal_counting_by_hand(folder: Path) -> None:
    data = open_split(folder, "train")
    report = audit(data)
    masks = [read_mask(pair.mask, data.classes) for pair in data.pairs]
    flat = np.concatenate([mask.ravel() for mask in masks]).tolist()
    assert report.pixels.tolist() == [flat.count(index) for index in range(12)]
    assert report.images_with.tolist() == [
        sum(index in mask for mask in masks) for index in range(11)
    ]
    assert report.pixels_beside.tolist() == [
        sum(int((mask != 11).sum()) for mask in masks if index in mask) for index in range(11)
    ]
    assert report.sizes == {(10, 14): 2, (9, 14): 1, (7, 7): 1}
    assert (report.images, report.problems) == (4, ())
    require_sound(report, data)


def test_a_class_in_a_single_image_is_reported(folder: Path) -> None:
    for index, (height, width) in enumerate(SIZES):
        mask = np.full((height, width), 3 if index == 2 else 0, dtype=np.uint8)
        Image.fromarray(mask).save(folder / "trainannot" / f"{index:03d}.png")
    report = audit(open_split(folder, "train"))
    assert report.images_with.tolist() == [3, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    # Each image has a single class.
    assert report.pixels_beside.tolist() == report.pixels[:-1].tolist()
    assert report.pixels[3] == 140


def test_the_fingerprint_is_the_same_with_and_without_decoding(folder: Path) -> None:
    data = open_split(folder, "train")
    assert audit(data).sha256 == fingerprints_of(data)[0]
    before = fingerprints_of(data)[0]
    os.utime(data.pairs[0].image, (0, 0))
    assert fingerprints_of(data)[0] == before
    data.pairs[0].image.write_bytes(data.pairs[0].image.read_bytes() + b"\0")
    assert fingerprints_of(data)[0] != before


def test_all_problems_are_found_in_one_pass(folder: Path) -> None:
    data = open_split(folder, "train")
    data.pairs[0].image.write_bytes(data.pairs[0].image.read_bytes()[:60])
    Image.fromarray(np.full((9, 14), 77, dtype=np.uint8)).save(data.pairs[1].mask)
    Image.fromarray(np.zeros((5, 5), dtype=np.uint8)).save(data.pairs[3].mask)
    seen: list[tuple[int, int]] = []
    report = audit(data, lambda done, total: seen.append((done, total)))
    assert [problem.message.split(" ")[0].rstrip(":") for problem in report.problems] == [
        str(path) for path in (data.pairs[0].image, data.pairs[1].mask, data.pairs[3].image)
    ]
    assert "class id 77" in report.problems[1].message
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    # The readable files are still counted.
    assert (report.images, report.sizes, report.pixels.sum()) == (4, {(10, 14): 1}, 140)


def test_the_first_problem_is_raised_with_the_number_of_the_others(folder: Path) -> None:
    data = open_split(folder, "train")
    for index in (1, 2, 3):
        data.pairs[index].mask.write_bytes(b"not an image")
    with pytest.raises(
        DataError, match=r"001\.png is not .* \(and 2 more; `dlcv data check` lists"
    ):
        require_sound(audit(data), data)


def test_a_single_problem_keeps_its_message_and_hint(folder: Path) -> None:
    data = open_split(folder, "train")
    Image.fromarray(np.full((9, 14), 77, dtype=np.uint8)).save(data.pairs[1].mask)
    report = audit(data)
    with pytest.raises(DataError) as caught:
        require_sound(report, data)
    assert (caught.value.message, caught.value.hint) == (
        report.problems[0].message,
        report.problems[0].hint,
    )


def test_a_set_without_a_labelled_pixel_is_refused(folder: Path) -> None:
    for index, size in enumerate(SIZES):
        mask = Image.fromarray(np.full(size, 11, dtype=np.uint8))
        mask.save(folder / "trainannot" / f"{index:03d}.png")
    data = open_split(folder, "train")
    with pytest.raises(
        DataError, match=r"split 'train' of .* has no labelled pixel: .* 11"
    ) as caught:
        require_sound(audit(data), data)
    assert "data.ignore_index" in caught.value.hint


def test_the_audit_can_be_written_as_json(folder: Path) -> None:
    data = open_split(folder, "train")
    report = audit(data)
    plain = json.loads(json.dumps(report.as_dict(data.classes.names)))
    assert plain["sizes"] == {"7x7": 1, "9x14": 1, "10x14": 2}
    assert plain["ignored_pixels"] == report.pixels[-1]
    assert sum(entry["share"] for entry in plain["classes"].values()) == pytest.approx(1)
    assert plain["classes"]["car"]["pixels"] == report.pixels[8]
    assert plain["problems"] == []


def test_masks_of_rotated_images_that_may_be_rotated_or_not_are_counted(folder: Path) -> None:
    data = open_split(folder, "train")
    for pair, orientation in zip(data.pairs, (6, 3, 1, 6), strict=True):
        exif = Image.Exif()
        exif[0x0112] = orientation
        with Image.open(pair.image) as image:
            image.copy().save(pair.image, exif=exif)
    report = audit(data)
    # The first is not square: its mask has the size of the stored pixels, and is rotated.
    assert (report.orientation_unclear, report.problems) == (("001", "003"), ())
    assert report.sizes[14, 10] == 1
    assert report.as_dict(data.classes.names)["orientation_unclear"] == ["001", "003"]
    lines = [line for line in remarks(report, data) if "EXIF" in line]
    assert len(lines) == 1
    assert lines[0].startswith("train: 2 of 4 images (e.g. 001) have an EXIF orientation")
