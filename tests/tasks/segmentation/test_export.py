"""What a segmenter's certificate compares, on hand-made logits."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dlcvcli.exporting.certify import Certificate
from dlcvcli.tasks.segmentation.export import compare_case, parity_shapes


def logits(values: list[list[float]]) -> np.ndarray:
    """Return [1, C, 1, P] from one row of class values per pixel."""
    return np.asarray(values, dtype=np.float32).T[None, :, None, :]


def test_equal_logits_pass() -> None:
    reference = logits([[1.0, 2.0], [3.0, 0.0]])
    case = compare_case((1, 1, 2), (1, 2), reference, reference, np.array([[[1, 0]]], np.uint8))
    assert (case.logits_error, case.agreement, case.differing, case.widest_gap) == (0, 1, 0, 0)
    assert case.passed


def test_the_error_is_relative_to_the_largest_logit() -> None:
    reference = logits([[0.0, 10.0]])
    case = compare_case(
        (1, 1, 1), (1, 1), reference, reference + 0.005, np.array([[[1]]], np.uint8)
    )
    assert case.logits_error == pytest.approx(5e-4, rel=1e-3)
    assert not case.passed


def test_a_near_tie_may_differ_and_a_clear_pixel_may_not() -> None:
    near, clear = [5.0, 5.0001], [0.0, 5.0]
    many = [clear] * 19999
    reference = logits([near, *many])
    mask = reference.argmax(1).astype(np.uint8)
    mask[0, 0, 0] = 0
    case = compare_case((1, 1, 20000), (1, 20000), reference, reference, mask)
    assert case.differing == 1
    assert case.widest_gap < 1e-3
    assert case.passed
    mask = reference.argmax(1).astype(np.uint8)
    mask[0, 0, 1] = 0
    case = compare_case((1, 1, 20000), (1, 20000), reference, reference, mask)
    assert case.widest_gap > 0.5
    assert not case.passed


def test_shapes_have_two_batches_an_odd_size_and_one_that_is_not_square() -> None:
    for stride in (8, 16, 32):
        for own in (None, (256, 256), (176, 240), (5, 5)):
            shapes = [images for images, _ in parity_shapes(stride, own)]
            assert {shape[0] for shape in shapes} == {1, 2}
            assert len({shape[1:] for shape in shapes}) == 3
            assert any(shape[1] % 2 and shape[1] % stride for shape in shapes)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("side", ["torch", "onnx"])
def test_logits_that_are_no_numbers_fail_and_can_be_written(bad: float, side: str) -> None:
    one, other = logits([[1.0, 2.0], [3.0, 0.0]]), logits([[1.0, 2.0], [3.0, 0.0]])
    (one if side == "torch" else other)[0, 0, 0, 0] = bad
    case = compare_case((1, 1, 2), (1, 2), one, other, np.array([[[0, 1]]], np.uint8))
    assert not case.passed
    said = Certificate({}, (case,)).as_dict()
    assert said["parity"]["max_logits_error"] is None
    json.dumps(said, allow_nan=False)
