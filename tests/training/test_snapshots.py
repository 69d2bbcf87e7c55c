"""Which images are looked at, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcvcli.config.schema import SnapshotSettings
from dlcvcli.data.segmentation import open_split
from dlcvcli.errors import UsageError
from dlcvcli.training.snapshots import find_subjects, snapshot_steps


def test_by_default_early_middle_and_final() -> None:
    assert snapshot_steps(SnapshotSettings(), 1000, 50) == {50, 500, 1000}
    assert snapshot_steps(SnapshotSettings(), 1, 1) == {1}


def test_epochs_as_the_studies_name_them() -> None:
    settings = SnapshotSettings(epochs=(0, 1, 10, 27))
    assert snapshot_steps(settings, 270, 10) == {0, 10, 100, 270}


def test_images_are_named_by_file_or_by_their_name_in_the_split(landcover: Path) -> None:
    val = open_split(landcover, "val")
    file = landcover / "validation" / "0002_sat.jpg"
    by_name, by_file, by_stem = find_subjects(("0002", str(file), "0002_sat"), val)
    assert by_name == by_file == by_stem
    assert by_name.mask is not None
    outside = landcover / "train" / "0000_sat.jpg"
    assert find_subjects((str(outside),), val)[0].mask is None
    with pytest.raises(UsageError, match="no image '9999'"):
        find_subjects(("9999",), val)
