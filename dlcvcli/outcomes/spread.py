"""Mean and standard deviation over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of values over seeds.

    Attributes:
        mean: None without any value.
        sd: of the values (ddof 1), not of their mean; None for fewer than two.
        count: of the values.
    """

    mean: float | None
    sd: float | None
    count: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain types."""
        return {"mean": self.mean, "sd": self.sd, "seeds": self.count}


def spread(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation (ddof 1) of values."""
    array = np.asarray(values, dtype=np.float64)
    return Spread(
        float(array.mean()) if array.size else None,
        float(array.std(ddof=1)) if array.size > 1 else None,
        array.size,
    )
