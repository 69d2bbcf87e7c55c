"""Differences between two runs over the same seeds or images, with their 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dlcvcli.outcomes.spread import spread

_Z = 1.959964
# 97.5 % quantiles of Student's t distribution with 1 to 30 degrees of freedom.
_T = (
    *(12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157),
    *(2.228139, 2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922),
    *(2.093024, 2.085963, 2.079614, 2.073873, 2.068658, 2.063899, 2.059539, 2.055529, 2.051831),
    *(2.048407, 2.045230, 2.042272),
)


@dataclass(frozen=True)
class Difference:
    """A score of one run minus that of another one, over what both have.

    Attributes:
        mean: the difference.
        low, high: ends of its 95 % interval; None where there is none.
        over: what it is a mean over.
        count: the number of these.
    """

    mean: float
    low: float | None
    high: float | None
    over: Literal["seeds", "images"]
    count: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval exists and does not contain 0."""
        return self.low is not None and self.high is not None and self.low * self.high > 0

    def as_dict(self) -> dict[str, Any]:
        """Return plain types."""
        interval = None if self.low is None else [self.low, self.high]
        return {"mean": self.mean, "interval": interval, "over": self.over, "count": self.count}


def difference_over_seeds(
    first: Mapping[int, float], other: Mapping[int, float]
) -> Difference | None:
    """Return `other` minus `first`, paired by seed, with the interval of Student's t.

    The interval is mean ± t s / sqrt(n), with n - 1 degrees of freedom. It is of the mean over
    trainings; without a second seed there is none.

    Args:
        first, other: seed -> score.

    Returns:
        None where no seed is common to both.
    """
    differences = [other[seed] - first[seed] for seed in sorted(first.keys() & other.keys())]
    if not differences:
        return None
    measured = spread(differences)
    assert measured.mean is not None
    if measured.sd is None:
        return Difference(measured.mean, None, None, "seeds", 1)
    half = t_quantile(measured.count - 1) * measured.sd / math.sqrt(measured.count)
    low, high = measured.mean - half, measured.mean + half
    return Difference(measured.mean, low, high, "seeds", measured.count)


def difference_over_images(
    first: Mapping[str, bool], other: Mapping[str, bool]
) -> Difference | None:
    """Return the accuracy of `other` minus that of `first` on the same images.

    The interval is the adjusted Wald interval for matched pairs (Bonett and Price 2012, J. Educ.
    Behav. Stat. 37(4)). It counts only the images that one of the two predicts right, as
    McNemar's test does. It holds for these two trained models, not for other trainings of them.

    Args:
        first, other: image -> whether the prediction is right.

    Returns:
        None where the images are not the same, or there are none.
    """
    if not first or first.keys() != other.keys():
        return None
    right = np.array([(first[name], other[name]) for name in first], dtype=bool)
    count = len(right)
    gained = int((~right[:, 0] & right[:, 1]).sum())
    lost = int((right[:, 0] & ~right[:, 1]).sum())
    p_gained, p_lost = (gained + 1) / (count + 2), (lost + 1) / (count + 2)
    centre = p_gained - p_lost
    half = _Z * math.sqrt((p_gained + p_lost - centre**2) / (count + 2))
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    return Difference((gained - lost) / count, low, high, "images", count)


def t_quantile(degrees: int) -> float:
    """Return the 97.5 % quantile of Student's t distribution, with an error below 1e-4.

    Args:
        degrees: of freedom, at least 1.
    """
    if degrees <= len(_T):
        return _T[degrees - 1]
    # The expansion of Abramowitz and Stegun 1964, 26.7.5.
    z = _Z
    return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
