"""The images of snapshots, and the epochs at which they are taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcvcli.data.segmentation import open_split
from dlcvcli.errors import UsageError
from dlcvcli.tasks.segmentation.settings import SnapshotSettings
from dlcvcli.tasks.segmentation.snapshots import find_snapshot_images, snapshot_steps


def test_default_snapshots_are_early_middle_and_final() -> None:
    assert snapshot_steps(SnapshotSettings(), 1000, 50) == {50, 500, 1000}
    assert snapshot_steps(SnapshotSettings(), 1, 1) == {1}


def test_snapshot_epochs_can_be_listed() -> None:
    settings = SnapshotSettings(epochs=(0, 1, 10, 27))
    assert snapshot_steps(settings, 270, 10) == {0, 10, 100, 270}


def test_images_are_named_by_file_or_by_their_name_in_the_split(landcover: Path) -> None:
    val = open_split(landcover, "val")
    file = landcover / "validation" / "0002_sat.jpg"
    by_name, by_file, by_stem = (
        find_snapshot_images((name,), val)[0] for name in ("0002", str(file), "0002_sat")
    )
    assert by_name.name == by_file.name == by_stem.name == "0002"
    assert by_name.ground_truth is not None
    assert np.array_equal(by_name.ground_truth, val.read(2).mask)
    assert np.array_equal(by_file.image, val.read(2).image)
    outside = landcover / "train" / "0000_sat.jpg"
    assert find_snapshot_images((str(outside),), val)[0].ground_truth is None
    with pytest.raises(UsageError, match="no image '9999'"):
        find_snapshot_images(("9999",), val)


def test_a_mask_is_rotated_with_its_image(tmp_path: Path) -> None:
    stored = np.arange(6 * 9, dtype=np.uint8).reshape(6, 9) % 7
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / "1_sat.png", exif=exif)
    Image.fromarray(stored).save(tmp_path / "1_mask.png")
    val = open_split(tmp_path, "val")
    (subject,) = find_snapshot_images(("1",), val)
    assert subject.ground_truth is not None
    assert np.array_equal(subject.ground_truth, subject.image[..., 0])
    assert np.array_equal(subject.ground_truth, np.rot90(stored, -1))


def test_a_repeated_image_counts_once_and_two_of_one_name_are_refused(
    landcover: Path, tmp_path: Path
) -> None:
    val = open_split(landcover, "val")
    assert len(find_snapshot_images(("0001", "0001_sat", "0002"), val)) == 2
    other = tmp_path / "0001.jpg"
    other.write_bytes((landcover / "train" / "0000_sat.jpg").read_bytes())
    with pytest.raises(UsageError, match="another image is called 0001"):
        find_snapshot_images(("0001", str(other)), val)
