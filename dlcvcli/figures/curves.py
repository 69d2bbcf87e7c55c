"""Curves of runs: training loss and validation score over the epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dlcvcli.errors import DataError
from dlcvcli.figures.style import SERIES, new_figure, styled
from dlcvcli.runs import RunFolder

_SMOOTHED_FROM = 40


def curves(runs: Mapping[str, RunFolder], metric: str = "miou") -> Figure:
    """Draw loss and a validation metric of several runs, each name in one colour.

    Raises:
        DataError: no run has a record yet.
    """
    with styled():
        figure = new_figure(8, 3)
        left, right = figure.subplots(1, 2)
    found = False
    for colour, (name, run) in zip(
        SERIES * (len(runs) // len(SERIES) + 1), runs.items(), strict=False
    ):
        records = list(run.read_metrics())
        train = _points(records, "train", "loss")
        val = _points(records, "val", metric)
        found = found or bool(train or val)
        if train:
            x, y = np.array(train).T
            many = len(y) >= _SMOOTHED_FROM
            left.plot(x, y, color=colour, linewidth=1, alpha=0.3 if many else 1)
            if many:
                left.plot(x, _smooth(y), color=colour, linewidth=1.6)
        if val:
            x, y = np.array(val).T
            right.plot(x, y, color=colour, marker="o", markersize=3, label=name)
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
    right.set(xlabel="epoch", ylabel="validation mIoU" if metric == "miou" else metric)
    right.margins(y=0.15)
    if len(runs) > 1:
        right.legend(frameon=False)
    return figure


def _points(records: list[dict[str, Any]], split: str, key: str) -> list[tuple[float, float]]:
    """Return (epoch, value) of the records that have a value."""
    mine = [record for record in records if record["split"] == split]
    return [(record["epoch"], record[key]) for record in mine if record.get(key) is not None]


def _smooth(values: np.ndarray) -> np.ndarray:
    """Return an exponential average whose memory is a twentieth of the curve."""
    weight = 1 - 1 / max(2.0, len(values) / 20)
    out = np.empty_like(values)
    running = values[0]
    for index, value in enumerate(values):
        running = weight * running + (1 - weight) * value
        out[index] = running
    return out
