"""The boundary F-score against its definition, pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlcvcli.boundary import BoundaryScore, boundary_of, within
from dlcvcli.palette import ClassSet, default_colours

Ids = NDArray[np.uint8]
CLASSES = ClassSet("synthetic", ("a", "b", "c", "d"), default_colours(4), unscored=(3,))


def _edge(mask: Ids, index: int, target: Ids) -> list[tuple[int, int]]:
    """List the boundary pixels of a class as the definition reads."""
    height, width = mask.shape
    boundary = []
    for y in range(height):
        for x in range(width):
            # Pixels without a label or of an unscored class are excluded.
            if mask[y, x] != index or target[y, x] >= 3:
                continue
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= v < height and 0 <= u < width
                if inside and target[v, u] < 3 and mask[v, u] != index:
                    boundary.append((y, x))
                    break
    return boundary


def _near(points: list[tuple[int, int]], others: list[tuple[int, int]], reach: int) -> float:
    return sum(any(math.dist(p, o) <= reach for o in others) for p in points) / len(points)


@st.composite
def pictures(draw: st.DrawFn) -> list[tuple[Ids, Ids]]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pairs = []
    for _ in range(draw(st.integers(1, 3))):
        shape = (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
        blocks = tuple((side + 2) // 3 for side in shape)
        big = np.kron(rng.integers(0, 5, blocks), np.ones((3, 3)))[: shape[0], : shape[1]]
        target = np.where(big == 4, 255, big).astype(np.uint8)
        noisy = rng.random(shape) < 0.2
        prediction = np.where(noisy | (target == 255), rng.integers(0, 4, shape), target)
        pairs.append((target, prediction.astype(np.uint8)))
    return pairs


@settings(deadline=None, max_examples=60)
@given(pictures(), st.floats(0.01, 0.4))
def test_the_boundary_score_equals_the_definition(
    pairs: list[tuple[Ids, Ids]], tolerance: float
) -> None:
    score = BoundaryScore(CLASSES, tolerance)
    wanted: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for target, prediction in pairs:
        score.update(target[None], prediction[None])
        reach = math.ceil(tolerance * math.hypot(*target.shape))
        for index, values in wanted.items():
            expected, predicted = _edge(target, index, target), _edge(prediction, index, target)
            if expected and predicted:
                p, r = _near(predicted, expected, reach), _near(expected, predicted, reach)
                values.append(2 * p * r / (p + r) if p + r else 0.0)
            elif expected or predicted:
                values.append(0.0)
    got = score.compute()
    means = [float(np.mean(values)) if values else None for values in wanted.values()]
    assert list(got["f1_per_class"].values()) == pytest.approx([*means, None])
    known = [value for value in means if value is not None]
    assert got["f1"] == (pytest.approx(np.mean(known)) if known else None)


def test_a_perfect_boundary_scores_one_and_a_missed_class_zero() -> None:
    target = np.zeros((20, 30), np.uint8)
    target[5:15, 5:15] = 1
    score = BoundaryScore(CLASSES)
    score.update(target[None], target[None])
    assert score.compute()["f1_per_class"] == {"a": 1.0, "b": 1.0, "c": None, "d": None}
    missed = BoundaryScore(CLASSES)
    missed.update(target[None], np.zeros_like(target)[None])
    assert missed.compute()["f1_per_class"] == {"a": 0.0, "b": 0.0, "c": None, "d": None}


def test_a_boundary_beyond_the_tolerance_scores_zero_though_the_area_is_close() -> None:
    target, prediction = np.zeros((2, 100, 100), np.uint8)
    target[:, :50], prediction[:, :56] = 1, 1
    # The diagonal is 141 pixels: 0.75 % of it are 2.
    score = BoundaryScore(CLASSES)
    score.update(target[None], prediction[None])
    assert score.compute()["f1"] == 0.0
    wider = BoundaryScore(CLASSES, tolerance=0.05)
    wider.update(target[None], prediction[None])
    assert wider.compute()["f1"] == 1.0


def test_unlabelled_pixels_form_no_boundary() -> None:
    area = np.array([[True, True, False, False]])
    assert boundary_of(area, np.array([[True, True, True, True]])).tolist() == [
        [False, True, False, False]
    ]
    assert not boundary_of(area, np.array([[True, True, False, True]])).any()


def test_dilation_draws_a_disc_around_each_point() -> None:
    points = np.zeros((7, 9), bool)
    points[3, 4] = True
    ys, xs = np.indices(points.shape)
    for reach in range(5):
        assert np.array_equal(within(points, reach), np.hypot(ys - 3, xs - 4) <= reach)
