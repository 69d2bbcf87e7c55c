"""The agreement of the masks of two evaluations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcvcli.tasks.segmentation.evaluate import SegmentationEvaluator
from tests.inference.masks import SHAPES, some_masks, write_masks


def test_equal_masks_agree_completely(tmp_path: Path) -> None:
    first = write_masks(tmp_path / "a", some_masks())
    assert (
        SegmentationEvaluator().agreement(first, write_masks(tmp_path / "b", some_masks())) == 1.0
    )


def test_agreement_weighs_pixels_equally_across_image_sizes(tmp_path: Path) -> None:
    masks = some_masks()
    first = write_masks(tmp_path / "a", masks)
    # One pixel of a large image, and all of a small one.
    masks["0"][0, 0] = (masks["0"][0, 0] + 1) % 11
    masks["2"] = (masks["2"] + 1) % 11
    second = write_masks(tmp_path / "b", masks)
    total = sum(height * width for height, width in SHAPES)
    assert SegmentationEvaluator().agreement(first, second) == pytest.approx(
        1 - (1 + 17 * 9) / total
    )


def test_agreement_compares_class_ids_not_colours(tmp_path: Path) -> None:
    first = write_masks(tmp_path / "a", {"0": np.full((4, 4), 3, np.uint8)})
    second = tmp_path / "b"
    second.mkdir()
    Image.fromarray(np.full((4, 4), 3, np.uint8)).save(second / "0.png")
    assert SegmentationEvaluator().agreement(first, second) == 1.0


def test_agreement_of_different_sets_of_masks_raises(tmp_path: Path) -> None:
    first = write_masks(tmp_path / "a", some_masks())
    second = write_masks(tmp_path / "b", some_masks())
    (second / "1.png").unlink()
    with pytest.raises(ValueError, match="different masks"):
        SegmentationEvaluator().agreement(first, second)
