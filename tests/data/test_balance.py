"""Class weights computed by hand, and those of absent classes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlcvcli.data.audit import Audit
from dlcvcli.data.balance import BALANCES, inverse_log, inverse_root, median_frequency

# Two images of 100 labelled pixels: the first 90 of class 0 and 10 of class 1, the second 100 of 0;
# class 2 does not occur.
FOUND = Audit(
    images=2,
    sha256="",
    pixels=np.array([190, 10, 0, 7]),
    images_with=np.array([2, 1, 0]),
    pixels_beside=np.array([200, 100, 0]),
    sizes={},
    problems=(),
    image_digests={},
)


def test_median_frequency_counts_only_the_images_that_have_a_class() -> None:
    shares = [190 / 200, 10 / 100]
    median = sum(shares) / 2
    assert median_frequency(FOUND) == pytest.approx((median / shares[0], median / shares[1], 0))


def test_inverse_log_is_bounded_where_a_class_is_absent() -> None:
    expected = (1 / math.log(1.02 + 0.95), 1 / math.log(1.02 + 0.05), 1 / math.log(1.02))
    assert inverse_log(FOUND) == pytest.approx(expected)


def test_inverse_root() -> None:
    assert inverse_root(FOUND) == pytest.approx((math.sqrt(200 / 190), math.sqrt(20), 0))


@pytest.mark.parametrize("rule", BALANCES)
def test_the_rarer_of_two_classes_weighs_more(rule: str) -> None:
    common, rare, _ = BALANCES[rule](FOUND)  # type: ignore[index]
    assert rare > common > 0
