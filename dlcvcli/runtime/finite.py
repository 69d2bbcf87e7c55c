"""Refuse results of a model that are not finite."""

from __future__ import annotations

import math
from collections.abc import Iterable

from dlcvcli.errors import DlcvError


def require_finite(extremes: Iterable[float], what: str) -> None:
    """Refuse results of a model where a value is infinite or not a number.

    Args:
        extremes: the smallest and the largest value. Both are NaN where any value is, and they take
            a tenth of the time of `isfinite` of each value.
        what: name of the values, e.g. `logits`.

    Raises:
        DlcvError: a value is not finite, so a mask or a score computed from it would be wrong.
    """
    if not all(math.isfinite(value) for value in extremes):
        raise DlcvError(
            f"the model's {what} are not finite: its weights are damaged or far too large",
            "use another checkpoint of the run, and export that one again",
        )
