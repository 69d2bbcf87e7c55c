"""The worked example has the run's numbers, and its claims hold."""

from __future__ import annotations

import numpy as np
import pytest

from dlcvcli.metrics import SegmentationScore
from dlcvcli.palette import ClassSet
from dlcvcli.tasks.segmentation.worked_example import explain_miou, worked_example
from tests.studies.prepared_seg import synthetic_metrics

COLOURS = ((0, 0, 0), (1, 1, 1), (2, 2, 2), (3, 3, 3))
CLASSES = ClassSet("four", ("a", "b", "c", "d"), COLOURS, unscored=(3,))


def _metrics(counts: list[list[int]]) -> dict[str, object]:
    score = SegmentationScore(CLASSES, np.array(counts, dtype=np.int64)).compute_all(["voc"])
    score.pop("by_convention")
    return score


COUNTS = [[60, 6, 0, 4], [10, 10, 0, 0], [4, 0, 6, 0], [50, 0, 0, 50]]


def test_the_numbers_are_those_of_the_matrix() -> None:
    example = worked_example(_metrics(COUNTS))
    assert example is not None
    # The fourth class is not scored: its hundred pixels are excluded.
    assert (example.common, example.common_fraction) == ("a", pytest.approx(0.7))
    assert example.constant_miou == pytest.approx(0.7 / 3)
    assert (example.rare, example.rare_fraction, example.rare_iou) == ("c", pytest.approx(0.1), 0.6)
    assert example.accuracy == pytest.approx(0.76)
    assert example.accuracy_without == pytest.approx(0.70)


def test_a_constant_prediction_has_the_scores_that_the_example_claims() -> None:
    example = worked_example(_metrics(COUNTS))
    constant = _metrics([[sum(row), 0, 0, 0] for row in COUNTS])
    assert example is not None
    assert constant["miou"] == pytest.approx(example.constant_miou)
    assert constant["overall_acc"] == pytest.approx(example.common_fraction)


@pytest.mark.parametrize("given_to", [0, 1, 3])
def test_without_the_rare_class_the_scores_are_as_claimed_or_lower(given_to: int) -> None:
    example = worked_example(_metrics(COUNTS))
    worse = [list(row) for row in COUNTS]
    worse[2][2], worse[2][given_to] = 0, worse[2][given_to] + 6
    scores = _metrics(worse)
    assert example is not None
    assert scores["overall_acc"] == pytest.approx(example.accuracy_without)
    assert scores["miou"] <= example.miou_without + 1e-12  # type: ignore[operator]


def test_one_class_or_no_pixels_give_no_example() -> None:
    assert worked_example(_metrics([[5, 1, 0, 0], [0] * 4, [0] * 4, [0] * 4])) is None
    assert worked_example(_metrics([[0] * 4] * 4)) is None
    assert worked_example(synthetic_metrics(0, 0.5)) is not None


def test_the_paragraph_has_the_numbers() -> None:
    example = worked_example(_metrics(COUNTS))
    assert example is not None
    text = explain_miou(example, "With seed 0, FCN")
    assert text.startswith("With seed 0, FCN predicts the right class for 76.0% of the pixels")
    assert "The rarest class is c, with 10.0% of the pixels; its IoU here is 0.6000." in text
    assert "pixel accuracy would fall from 0.7600 to 0.7000" in text
    missed = worked_example(_metrics([[60, 6, 0, 4], [10, 10, 0, 0], [10, 0, 0, 0], [0] * 4]))
    assert missed is not None
    assert "None of its pixels was found." in explain_miou(missed, "It")
