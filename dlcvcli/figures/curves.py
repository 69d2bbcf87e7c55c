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
from dlcvcli.scores import Score

_SMOOTHED_FROM = 40
# Curves that lie on each other are both seen.
_DASHES = ("-", "--", "-.", ":")


def curves(runs: Mapping[str, RunFolder], score: Score) -> Figure:
    """Draw the training loss and a validation score of several runs, each in one colour.

    Args:
        runs: name -> run; the names stand in the legend where there are several.
        score: of the validation; its best value is written beside it.

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
        val = _points(records, "val", score.key)
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
            best = int(np.argmax(y) if score.higher_is_better else np.argmin(y))
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
    right.set(xlabel="epoch", ylabel=f"validation {score.name}")
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
