"""The certificate: its errors and limits."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from dlcvcli.exporting.certify import (
    GATES,
    Certificate,
    LogitsCase,
    SetScore,
    ValuesCase,
    compare_logits,
    relative_error,
    synthetic_images,
    widest_gap,
)
from dlcvcli.scores import Score

FP32 = GATES["fp32"]
PIXELS: dict[str, Any] = {"images": [1, 64, 64], "size": [64, 64]}
QUERIES: dict[str, Any] = {"support": [5, 1, 84, 84], "queries": 25}
GOOD = LogitsCase(PIXELS, "pixels", False, 0.0, 1.0, 0, 0.0)


def test_a_failed_case_is_described_with_its_limits() -> None:
    bad = LogitsCase(PIXELS, "pixels", False, 1e-3, 0.99, 41, 0.2)
    certificate = Certificate({"onnx_checker": "broken", "ok": None}, (GOOD, bad))
    assert not certificate.passed
    assert certificate.failures == [
        "onnx_checker: broken",
        "images [1, 64, 64], size [64, 64]: logits differ by 0.001 of the largest (at most "
        "0.0001), 0.990000 of the pixels agree (at least 0.9999) and the widest gap where they do "
        "not is 0.2 (at most 0.001)",
    ]
    assert certificate.facts() == [
        ("largest logit error", "1.0e-03 of the largest"),
        ("pixels that agree", "0.990000 at least"),
    ]


def test_the_json_of_logits_has_limits_worst_figures_and_cases() -> None:
    other = LogitsCase(PIXELS, "pixels", False, 2e-5, 0.99995, 2, 1e-4)
    written = Certificate({"onnx_checker": None}, (GOOD, other)).as_dict()
    assert written == {
        "passed": True,
        "precision": "fp32",
        "tolerances": {"logits_error": 1e-4, "argmax_agreement": 0.9999, "near_tie": 1e-3},
        "structure": {"onnx_checker": {"passed": True, "reason": None}},
        "parity": {
            "max_logits_error": 2e-5,
            "min_agreement": 0.99995,
            "differing_pixels": 2,
            "cases": [
                {
                    **PIXELS,
                    "logits_error": 0.0,
                    "agreement": 1.0,
                    "differing": 0,
                    "widest_gap": 0.0,
                    "passed": True,
                },
                {
                    **PIXELS,
                    "logits_error": 2e-5,
                    "agreement": 0.99995,
                    "differing": 2,
                    "widest_gap": 1e-4,
                    "passed": True,
                },
            ],
        },
        "dataset": None,
        "failures": [],
    }


def test_values_pass_or_fail_by_their_error_alone() -> None:
    good = ValuesCase({"images": [7, 84, 84]}, "embedding", 9e-5)
    bad = ValuesCase({"images": [1, 84, 84]}, "embedding", 2e-4)
    assert good.passes(FP32)
    assert not bad.passes(FP32)
    certificate = Certificate({"onnx_checker": None}, (good, bad))
    assert certificate.failures == [
        "images [1, 84, 84]: 'embedding' differs by 0.0002 of the largest value (at most 0.0001)"
    ]
    assert certificate.facts() == [("largest embedding error", "2.0e-04 of the largest")]
    written = certificate.as_dict()
    assert written["tolerances"] == {"embedding_error": 1e-4}
    assert written["parity"]["max_embedding_error"] == 2e-4
    assert [case["passed"] for case in written["parity"]["cases"]] == [True, False]


def test_a_certificate_of_several_graphs_has_the_errors_of_each() -> None:
    cases = (
        ValuesCase({"images": [1]}, "embedding", 1e-6),
        ValuesCase({"images": [1]}, "features", 3e-6),
        ValuesCase({"images": [2]}, "embedding", 2e-6),
        GOOD,
    )
    certificate = Certificate({}, cases)
    written = certificate.as_dict()
    assert written["tolerances"].keys() == {
        "embedding_error", "features_error", "logits_error", "argmax_agreement", "near_tie"
    }  # fmt: skip
    assert written["parity"]["max_embedding_error"] == 2e-6
    assert written["parity"]["max_features_error"] == 3e-6
    assert written["parity"]["differing_pixels"] == 0
    assert [name for name, _ in certificate.facts()] == [
        "largest embedding error", "largest features error", "largest logit error",
        "pixels that agree",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "agreement", "gap", "passed"),
    [
        (1e-5, 1.0, 0.0, True),
        (1e-5, 0.96, 1e-4, True),
        (1e-5, 0.96, 3e-4, False),
        (1e-5, 0.99995, 0.1, True),
        (1e-3, 1.0, 0.0, False),
        (math.inf, 1.0, 0.0, False),
    ],
)
def test_one_of_few_predictions_may_differ_where_it_nearly_ties(
    error: float, agreement: float, gap: float, passed: bool
) -> None:
    case = LogitsCase(QUERIES, "queries", True, error, agreement, 1, gap)
    assert case.passes(FP32) == passed
    assert case.describe(FP32).startswith("support [5, 1, 84, 84], queries 25: logits differ by")
    assert Certificate({}, (case,)).facts()[1][1].endswith("at least; the others nearly tie")


def test_errors_that_are_not_finite_can_be_saved() -> None:
    for case in (
        ValuesCase({"images": [1]}, "embedding", math.inf),
        LogitsCase(QUERIES, "queries", True, math.inf, 0.0, 25, math.inf),
    ):
        certificate = Certificate({}, (case,))
        assert not certificate.passed
        text = json.dumps(certificate.as_dict(), allow_nan=False)
        assert json.loads(text)["parity"]["cases"][0]["passed"] is False


@pytest.mark.parametrize(
    ("before", "after", "passed"),
    [(0.8, 0.8, True), (0.8, 0.79995, True), (0.8, 0.7998, False), (None, None, True)],
)
def test_a_score_may_fall_by_a_small_tolerance(
    before: float | None, after: float | None, passed: bool
) -> None:
    score = SetScore(Score("miou", "mIoU"), "4 images", before, after, {"images": 4})
    certificate = Certificate({}, (GOOD,), score)
    assert certificate.passed == passed
    written = certificate.as_dict()["dataset"]
    assert written == {"images": 4, "torch_miou": before, "onnx_miou": after, "passed": passed}
    if not passed:
        assert certificate.failures == ["mIoU over 4 images: torch 0.8, onnx 0.7998"]


def test_an_error_is_a_fraction_of_the_largest_value() -> None:
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


def pixels(values: list[list[float]]) -> np.ndarray:
    """Return logits [1, C, 1, P] of one row of class values per pixel."""
    return np.asarray(values, dtype=np.float32).T[None, :, None, :]


def test_equal_logits_pass() -> None:
    reference = pixels([[1.0, 2.0], [3.0, 0.0]])
    mask = np.array([[[1, 0]]], np.uint8)
    case = compare_logits(PIXELS, reference, reference, noun="pixels", predicted=mask)
    assert case == LogitsCase(PIXELS, "pixels", False, 0.0, 1.0, 0, 0.0)


def test_the_mask_of_the_file_is_compared_not_the_argmax_of_its_logits() -> None:
    reference = pixels([[1.0, 2.0], [3.0, 0.0]])
    mask = np.array([[[1, 1]]], np.uint8)
    case = compare_logits(PIXELS, reference, reference, noun="pixels", predicted=mask)
    assert (case.error, case.agreement, case.differing, case.widest_gap) == (0, 0.5, 1, 1.0)


def test_a_near_tie_may_differ_and_a_clear_pixel_may_not() -> None:
    near, clear = [5.0, 5.0001], [0.0, 5.0]
    reference = pixels([near, *[clear] * 19999])

    def case_of_wrong(pixel: int) -> LogitsCase:
        mask = reference.argmax(1).astype(np.uint8)
        mask[0, 0, pixel] = 0
        return compare_logits(PIXELS, reference, reference, noun="pixels", predicted=mask)

    assert case_of_wrong(0).differing == 1
    assert case_of_wrong(0).widest_gap < 1e-3
    assert case_of_wrong(0).passes(FP32)
    assert case_of_wrong(1).widest_gap > 0.5
    assert not case_of_wrong(1).passes(FP32)


def test_a_network_that_hardly_separates_a_few_inputs_can_be_exported() -> None:
    # Logits that differ only by rounding, as those of a cosine after two steps, have a tiny range.
    reference = np.full((3, 5), 9.99, np.float32)
    logits = reference.copy()
    reference[:, 1] = np.nextafter(reference[:, 1], np.float32(10))
    logits[:, 2] = np.nextafter(logits[:, 2], np.float32(10))
    case = compare_logits(QUERIES, reference, logits, noun="queries", few=True)
    assert (case.differing, case.agreement) == (3, 0)
    assert case.passes(FP32)
    reference[:, 1] += 0.01
    assert not compare_logits(QUERIES, reference, logits, noun="queries", few=True).passes(FP32)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("side", ["torch", "onnx"])
def test_logits_that_are_not_finite_fail(bad: float, side: str) -> None:
    one, other = pixels([[1.0, 2.0], [3.0, 0.0]]), pixels([[1.0, 2.0], [3.0, 0.0]])
    (one if side == "torch" else other)[0, 0, 0, 0] = bad
    mask = np.array([[[0, 1]]], np.uint8)
    case = compare_logits(PIXELS, one, other, noun="pixels", predicted=mask)
    assert not case.passes(FP32)
    written = Certificate({}, (case,)).as_dict()
    assert written["parity"]["max_logits_error"] is None
    json.dumps(written, allow_nan=False)


def test_synthetic_images_are_the_same_for_the_same_seed() -> None:
    first, second = (synthetic_images(np.random.default_rng(3), (2, 33, 50)) for _ in range(2))
    assert (first.shape, first.dtype) == ((2, 33, 50, 3), np.uint8)
    assert np.array_equal(first, second)
    # Neighbouring pixels are more alike than in noise.
    steps = np.abs(np.diff(first.astype(int), axis=2)).mean()
    assert steps < 40 < first.std()
