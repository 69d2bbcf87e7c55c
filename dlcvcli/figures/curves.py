"""Curves of runs: training loss and validation score over the epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dlcvcli.errors import DataError
from dlcvcli.figures.style import SERIES, new_figure, styled
from dlcvcli.runs import RunFolder

_SMOOTHED_FROM = 40
# Curves that lie on each other are both seen.
_DASHES = ("-", "--", "-.", ":")


METRICS = {
    "miou": "validation mIoU",
    "overall_acc": "validation pixel accuracy",
    "mean_acc": "validation mean class accuracy",
    "freqw_acc": "validation frequency-weighted IoU",
    "accuracy": "validation accuracy of episodes",
}


def curves(runs: Mapping[str, RunFolder], metric: str = "miou") -> Figure:
    """Draw loss and a validation metric of several runs, each name in one colour.

    Args:
        runs: name -> run; the names stand in the legend where there are several.
        metric: a key of the validation records, such as those of `METRICS`.

    Raises:
        DataError: no run has a record yet.
    """
    with styled():
        figure = new_figure(8, 3)
        left, right = figure.subplots(1, 2)
    found = False
    for number, (name, run) in enumerate(runs.items()):
        colour, dash = SERIES[number % len(SERIES)], _DASHES[number % len(_DASHES)]
        records = list(run.read_metrics())
        train = _points(records, "train", "loss")
        val = _points(records, "val", metric)
        found = found or bool(train or val)
        if train:
            x, y = np.array(train).T
            many = len(y) >= _SMOOTHED_FROM
            raw = {"alpha": 0.3} if many else {"linestyle": dash, "label": name}
            left.plot(x, y, color=colour, linewidth=1, marker="." if len(y) < 3 else "", **raw)
            if many:
                smooth = _smooth(y)
                left.plot(x, smooth, color=colour, linestyle=dash, linewidth=1.6, label=name)
        if val:
            x, y = np.array(val).T
            right.plot(x, y, color=colour, linestyle=dash, marker="o", markersize=3, label=name)
            best = int(np.argmax(y))
            right.annotate(
                f"{y[best]:.3f}",
                (x[best], y[best]),
                textcoords="offset points",
                xytext=(0, 5),
                ha="center",
                color=colour,
            )
    if not found:
        raise DataError("the runs have no records yet")
    left.set(xlabel="epoch", ylabel="training loss")
    right.set(xlabel="epoch", ylabel=METRICS.get(metric, metric))
    right.margins(y=0.15)
    if len(runs) > 1:
        # A run need not have been validated yet.
        axes = right if len(right.lines) == len(runs) else left
        axes.legend(frameon=False)
    return figure


def _points(records: list[dict[str, Any]], split: str, key: str) -> list[tuple[float, float]]:
    """Return (epoch, value) of the records that have a value."""
    mine = [record for record in records if record["split"] == split]
    return [(record["epoch"], record[key]) for record in mine if record.get(key) is not None]


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a mean around each value, weighted by a bell as wide as a twentieth of the curve."""
    width = max(1.0, len(values) / 40)
    places = np.arange(len(values))
    bell = np.exp(-0.5 * ((places[:, None] - places) / width) ** 2)
    return np.asarray(bell @ values / bell.sum(axis=1))
