"""What every certificate says: its words, its structural checks, its measures."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dlcvcli.exporting.certify import (
    Certificate,
    SetScore,
    check_structure,
    relative_error,
    widest_gap,
)
from dlcvcli.tasks.segmentation.export import SegmenterCase

GOOD = SegmenterCase((1, 64, 64), (64, 64), 0.0, 1.0, 0, 0.0)


def test_failures_are_said_in_words() -> None:
    bad = SegmenterCase((1, 64, 64), (64, 64), 1e-3, 0.99, 41, 0.2)
    certificate = Certificate({"onnx_checker": "broken", "ok": None}, (bad,))
    assert not certificate.passed
    assert certificate.failures[0] == "onnx_checker: broken"
    assert "0.990000 of the pixels agree" in certificate.failures[1]
    assert certificate.as_dict()["parity"]["differing_pixels"] == 41


@pytest.mark.parametrize(
    ("before", "after", "passed"),
    [(0.8, 0.8, True), (0.8, 0.79995, True), (0.8, 0.7998, False), (None, None, True)],
)
def test_a_metric_may_hardly_fall(before: float | None, after: float | None, passed: bool) -> None:
    certificate = Certificate(
        {}, (GOOD,), SetScore("mIoU", "4 images", before, after, {"images": 4})
    )
    assert certificate.passed == passed
    said = certificate.as_dict()["dataset"]
    assert said == {"images": 4, "torch_miou": before, "onnx_miou": after, "passed": passed}
    if not passed:
        assert certificate.failures == ["mIoU over 4 images: torch 0.8, onnx 0.7998"]


def test_nodes_in_training_mode_and_wrong_faces_are_found() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Dropout", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    assert isinstance(model, onnx.ModelProto)
    found = check_structure(model, ["images", "size"], ["mask"])
    assert found["onnx_checker"] is None
    assert found["no_training_nodes"] == "Dropout"
    assert found["inputs_and_outputs"] == "found (['x'], ['y'])"
    assert check_structure(model, ["x"], ["y"])["inputs_and_outputs"] is None


def test_an_error_is_a_share_of_the_largest_value() -> None:
    reference = np.array([[0.0, -8.0], [2.0, 4.0]], np.float32)
    assert relative_error(reference, reference) == 0
    assert relative_error(reference, reference + np.float32(0.5)) == 0.5 / 8
    assert relative_error(reference, np.full_like(reference, np.nan)) == math.inf
    assert relative_error(np.full_like(reference, np.inf), reference) == math.inf
    assert relative_error(np.zeros((1, 2), np.float32), np.zeros((1, 2), np.float32)) == 0


def test_the_widest_gap_is_among_those_that_differ() -> None:
    reference = np.array([[0.0, 1.0, 10.0], [4.0, 5.0, 0.0]], np.float32)
    assert widest_gap(reference, np.array([False, False]), 10) == 0
    assert widest_gap(reference, np.array([False, True]), 10) == pytest.approx(0.1)
    assert widest_gap(reference, np.array([True, True]), 5) == pytest.approx(1.8)
    assert widest_gap(reference[:, :1], np.array([True, True]), 10) == 0
    assert widest_gap(np.full_like(reference, np.nan), np.array([True, True]), 1) == math.inf
