"""Weights that balance classes by how often they occur in the training set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dlcvcli.config.names import Balance
from dlcvcli.data.audit import Audit


def median_frequency(found: Audit) -> tuple[float, ...]:
    """Return median(f) / f of each class, f its share of the pixels of the images that have it.

    Source: Eigen and Fergus 2015, arXiv:1411.4734, section 6.3.2. A class without a pixel gets 0,
    and is not in the median.
    """
    present = found.images_with > 0
    frequency = found.pixels[:-1][present] / found.pixels_beside[present]
    return _spread(np.median(frequency) / frequency, present)


def inverse_log(found: Audit) -> tuple[float, ...]:
    """Return 1 / ln(1.02 + p) of each class, p its share of all labelled pixels: from 1.4 to 50.5.

    Source: Paszke et al. 2016, arXiv:1606.02147, section 5.2.
    """
    labelled = found.pixels[:-1]
    return tuple((1 / np.log(1.02 + labelled / max(1, labelled.sum()))).tolist())


def inverse_root(found: Audit) -> tuple[float, ...]:
    """Return the root of (all labelled pixels / those of the class); 0 for a class without one.

    Source: Wong et al. 2018, arXiv:1809.00076, below eq. 3.
    """
    labelled = found.pixels[:-1]
    present = labelled > 0
    return _spread(np.sqrt(labelled.sum() / labelled[present]), present)


def _spread(weights: NDArray[np.float64], present: NDArray[np.bool_]) -> tuple[float, ...]:
    spread = np.zeros(len(present))
    spread[present] = weights
    return tuple(spread.tolist())


BALANCES: dict[Balance, Callable[[Audit], tuple[float, ...]]] = {
    "median_frequency": median_frequency,
    "inverse_log": inverse_log,
    "inverse_root": inverse_root,
}
