"""Intervals of paired differences are those of scipy, and hold as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from dlcvcli.outcomes.paired import difference_over_images, difference_over_seeds, t_quantile

_SCORE = st.floats(0, 1)


@pytest.mark.parametrize("degrees", [*range(1, 41), 100, 10_000])
def test_quantiles_are_those_of_scipy(degrees: int) -> None:
    assert t_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=1e-4)


@given(st.lists(st.tuples(_SCORE, _SCORE), min_size=2, max_size=5))
def test_an_interval_over_seeds_is_that_of_the_paired_t_test(
    pairs: list[tuple[float, float]],
) -> None:
    first, other = (dict(enumerate(values)) for values in zip(*pairs, strict=True))
    measured = difference_over_seeds(first, other)
    assert measured is not None
    assert measured.low is not None
    assert measured.high is not None
    differences = [b - a for a, b in pairs]
    if np.ptp(differences) > 1e-6:
        expected = stats.ttest_rel(list(other.values()), list(first.values())).confidence_interval()
        assert (measured.low, measured.high) == pytest.approx(tuple(expected), abs=1e-4)
    assert measured.mean == pytest.approx(np.mean(differences))
    assert measured.low <= measured.mean <= measured.high


def test_only_seeds_of_both_are_paired() -> None:
    assert difference_over_seeds({0: 0.5}, {1: 0.5}) is None
    one = difference_over_seeds({0: 0.5, 1: 0.1}, {1: 0.25})
    assert one is not None
    assert (one.mean, one.low, one.count, one.is_clear) == (0.15, None, 1, False)


_RIGHT = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


@given(_RIGHT)
def test_a_difference_over_images_is_that_of_the_accuracies(right: list[tuple[bool, bool]]) -> None:
    first, other = (
        {str(place): value for place, value in enumerate(values)}
        for values in zip(*right, strict=True)
    )
    measured = difference_over_images(first, other)
    reverse = difference_over_images(other, first)
    assert measured is not None
    assert reverse is not None
    assert measured.low is not None
    assert measured.high is not None
    accuracies = [np.mean(list(one.values())) for one in (first, other)]
    assert measured.mean == pytest.approx(accuracies[1] - accuracies[0])
    assert -1 <= measured.low < measured.high <= 1
    # The adjustment moves the centre towards 0, but never past it.
    centre = (measured.low + measured.high) / 2
    assert abs(centre) <= abs(measured.mean) + 1e-12
    assert (reverse.mean, reverse.low) == pytest.approx((-measured.mean, -measured.high))


def test_other_images_are_not_paired() -> None:
    assert difference_over_images({"a": True}, {"b": True}) is None
    assert difference_over_images({}, {}) is None


def test_an_interval_over_images_holds_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    both, gained, lost = 0.3, 0.25, 0.15
    kinds = rng.choice(4, (2000, 60), p=[both, gained, lost, 1 - both - gained - lost])
    held = 0
    for row in kinds:
        first = {str(place): bool(kind in {0, 2}) for place, kind in enumerate(row)}
        other = {str(place): bool(kind in {0, 1}) for place, kind in enumerate(row)}
        measured = difference_over_images(first, other)
        assert measured is not None
        assert measured.low is not None
        assert measured.high is not None
        held += measured.low <= gained - lost <= measured.high
    assert 0.935 < held / len(kinds) < 0.97


def test_a_clear_difference_has_an_interval_without_0() -> None:
    first = {str(place): False for place in range(50)}
    clear = difference_over_images(first, {name: int(name) < 20 for name in first})
    same = difference_over_images(first, first)
    assert clear is not None
    assert same is not None
    assert (clear.is_clear, same.is_clear) == (True, False)
    assert clear.as_dict()["over"] == "images"
