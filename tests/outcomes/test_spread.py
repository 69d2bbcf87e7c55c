"""Means and standard deviations over seeds equal those of numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcvcli.outcomes.spread import spread


@given(st.lists(st.floats(0, 1), max_size=6))
def test_mean_and_deviation_equal_those_of_numpy(values: list[float]) -> None:
    over_seeds = spread(values)
    assert over_seeds.count == len(values)
    assert (over_seeds.mean is None) == (not values)
    assert (over_seeds.sd is None) == (len(values) < 2)
    if values:
        assert over_seeds.mean == pytest.approx(np.mean(values))
    if len(values) > 1:
        assert over_seeds.sd == pytest.approx(np.std(values, ddof=1), abs=1e-12)
