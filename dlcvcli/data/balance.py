"""Class weights from how often each class occurs in the training set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dlcvcli.config.names import Balance
from dlcvcli.data.audit import Audit


def median_frequency(result: Audit) -> tuple[float, ...]:
    """Return median(f) / f of each class, f its fraction of the pixels of images that contain it.

    Source: Eigen and Fergus 2015, arXiv:1411.4734, section 6.3.2. A class without a pixel gets 0
    and does not count for the median.
    """
    present = result.images_with > 0
    frequency = result.pixels[:-1][present] / result.pixels_beside[present]
    return _spread(np.median(frequency) / frequency, present)


def inverse_log(result: Audit) -> tuple[float, ...]:
    """Return 1 / ln(1.02 + p) of each class, p its fraction of all labelled pixels: 1.4 to 50.5.

    Source: Paszke et al. 2016, arXiv:1606.02147, section 5.2.
    """
    labelled = result.pixels[:-1]
    return tuple((1 / np.log(1.02 + labelled / max(1, labelled.sum()))).tolist())


def inverse_root(result: Audit) -> tuple[float, ...]:
    """Return sqrt(all labelled pixels / those of the class); 0 for a class without a pixel.

    Source: Wong et al. 2018, arXiv:1809.00076, below eq. 3.
    """
    labelled = result.pixels[:-1]
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
