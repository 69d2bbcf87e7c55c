"""Refusing what a model computed where it is not finite."""

from __future__ import annotations

import math
from collections.abc import Iterable

from dlcvcli.errors import DlcvError


def require_finite(extremes: Iterable[float], what: str) -> None:
    """Refuse what a model computed where a value of it is infinite or not a number.

    Args:
        extremes: the smallest and the largest value, which are found in a tenth of the time of
            looking at each value; both are NaN where any value is.
        what: the values are, e.g. `logits`.

    Raises:
        DlcvError: one is not; a mask or a score made of it would be wrong.
    """
    if not all(math.isfinite(value) for value in extremes):
        raise DlcvError(
            f"the model's {what} are not finite: its weights are damaged or far too large",
            "use another checkpoint of the run, and export that one again",
        )
