"""Curves of runs: loss and score over the epochs, in training and in validation."""

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
# Dashes keep both of two identical curves visible.
_DASHES = ("-", "--", "-.", ":")


def curves(runs: Mapping[str, RunFolder], score: Score) -> Figure:
    """Draw the training loss and a validation score of several runs, each in one colour.

    The validation loss and the accuracy in training are drawn too, as thin lines, for a single run
    whose records have them.

    Args:
        runs: name -> run; the legend has the names if there are several runs.
        score: the validation score; its best value is marked.

    Raises:
        DataError: no run has a record yet.
    """
    with styled():
        figure = new_figure(8, 3)
        left, right = figure.subplots(1, 2)
    has_records = False
    for number, (name, run) in enumerate(runs.items()):
        colour, dash = SERIES[number % len(SERIES)], _DASHES[number % len(_DASHES)]
        records = list(run.read_metrics())
        train = _points(records, "train", "loss")
        val = _points(records, "val", score.key)
        has_records = has_records or bool(train or val)
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
    single = len(runs) == 1 and _draw_others(left, right, next(iter(runs.values())))
    if not has_records:
        raise DataError("the runs have no records yet")
    left.set(xlabel="epoch", ylabel="loss" if single else "training loss")
    right.set(xlabel="epoch", ylabel=score.name if single else f"validation {score.name}")
    right.margins(y=0.15)
    if single:
        for axes, main in ((left, "training"), (right, "validation")):
            solid = next(line for line in reversed(axes.lines) if line.get_linestyle() == "-")
            solid.set_label(main)
            axes.legend(frameon=False)
    if len(runs) > 1:
        # The legend needs axes with all runs, and some may not have been validated yet.
        axes = right if len(right.lines) == len(runs) else left
        axes.legend(frameon=False)
    return figure


def _draw_others(left: Any, right: Any, run: RunFolder) -> bool:
    """Draw validation loss and training accuracy of a run; return whether it has both."""
    records = list(run.read_metrics())
    loss, accuracy = _points(records, "val", "loss"), _points(records, "train", "accuracy")
    if not (loss and accuracy and left.lines and right.lines):
        return False
    for line in (*left.lines, *right.lines):
        line.set_label("_")
    left.plot(*np.array(loss).T, color=SERIES[1], linestyle="--", label="validation")
    x, y = np.array(accuracy).T
    smooth = _smooth(y) if len(y) >= _SMOOTHED_FROM else y
    right.plot(x, smooth, color=SERIES[1], linestyle="--", label="training")
    return True


def _points(records: list[dict[str, Any]], split: str, key: str) -> list[tuple[float, float]]:
    """Return (epoch, value) of the records that have a value."""
    return [
        (record["epoch"], record[key])
        for record in records
        if record["split"] == split and record.get(key) is not None
    ]


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values smoothed with a Gaussian; its standard deviation is 1/40 of the curve."""
    width = max(1.0, len(values) / 40)
    positions = np.arange(len(values))
    weights = np.exp(-0.5 * ((positions[:, None] - positions) / width) ** 2)
    return np.asarray(weights @ values / weights.sum(axis=1))
