"""A score knows which direction is better."""

from __future__ import annotations

import pytest

from dlcvcli.scores import Score


@pytest.mark.parametrize("higher", [True, False])
def test_only_a_strictly_better_value_is_better(higher: bool) -> None:
    score = Score("x", "x", higher_is_better=higher)
    better, worse = (0.51, 0.49) if higher else (0.49, 0.51)
    assert score.is_better(better, 0.5)
    assert not score.is_better(worse, 0.5)
    assert not score.is_better(0.5, 0.5)


def test_no_value_is_worse_than_any() -> None:
    score = Score("x", "x")
    assert score.is_better(0.0, None)
    assert not score.is_better(None, None)
    assert not score.is_better(None, 0.0)
