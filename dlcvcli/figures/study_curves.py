"""Curves of the runs of a study, as means over seeds with bands of one standard deviation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dlcvcli.errors import DataError
from dlcvcli.figures.style import SERIES, new_figure, styled
from dlcvcli.runs import RunFolder
from dlcvcli.scores import Score

Floats = NDArray[np.float64]

# Points in a line of the loss, each the mean of an interval; more would not be visible.
_POINTS = 60


def study_curves(runs: Mapping[str, Sequence[RunFolder]], score: Score) -> Figure:
    """Draw the training loss and a validation score of several runs, each in one colour.

    A line is the mean over the seeds of a run, up to the last epoch that all seeds have, with a
    band of ±1 standard deviation (ddof 1) for several seeds. The loss is averaged over at most 60
    intervals.

    Args:
        runs: label -> run folders of the seeds, one or more.
        score: the validation score.

    Raises:
        DataError: no run has a record yet.
    """
    with styled():
        figure = new_figure(9, 3.6)
        left, right = figure.subplots(1, 2)
    has_records = False
    for number, (label, folders) in enumerate(runs.items()):
        records = [list(folder.read_metrics()) for folder in folders]
        colour = SERIES[number % len(SERIES)]
        line = {"color": colour, "linestyle": ("-", "--", ":")[number // len(SERIES) % 3]}
        loss = [_binned(_points(seed, "train", "loss")) for seed in records]
        scores = [_points(seed, "val", score.key) for seed in records]
        # A single point has no line.
        few = all(len(part) < 3 for part in loss)
        _draw(left, loss, {**line, "marker": "." if few else ""})
        drawn = _draw(right, scores, {**line, "marker": "o", "markersize": 3, "label": label})
        has_records = has_records or drawn or any(len(part) for part in loss)
    if not has_records:
        raise DataError("the runs have no records yet")
    left.set(xlabel="epoch", ylabel="training loss")
    right.set(xlabel="epoch", ylabel=f"validation {score.name}")
    handles, labels = right.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles, labels, loc="outside upper center", ncols=min(3, len(labels)), frameon=False
        )
    return figure


def mean_and_band(curves: Sequence[Floats]) -> tuple[Floats, Floats, Floats | None]:
    """Return x, mean and standard deviation (ddof 1; None for one curve) of curves.

    Args:
        curves: each float64 [n, 2] of (x, y), sorted by x; only x of all curves are used.
    """
    common = set(curves[0][:, 0])
    for curve in curves[1:]:
        common &= set(curve[:, 0])
    x = np.array(sorted(common), dtype=np.float64)
    y = np.array([[dict(curve)[at] for at in x] for curve in curves], dtype=np.float64)
    return x, y.mean(axis=0), y.std(axis=0, ddof=1) if len(curves) > 1 else None


def _draw(axes: Any, curves: Sequence[Floats], line: dict[str, Any]) -> bool:
    """Draw the mean of the curves that have points; return whether there are any."""
    nonempty = [curve for curve in curves if len(curve)]
    if not nonempty:
        return False
    x, mean, sd = mean_and_band(nonempty)
    axes.plot(x, mean, linewidth=1.6, **line)
    if sd is not None:
        axes.fill_between(x, mean - sd, mean + sd, color=line["color"], alpha=0.18, linewidth=0)
    return True


def _points(records: Sequence[Mapping[str, Any]], split: str, key: str) -> Floats:
    """Return (epoch, value), float64 [n, 2], of the records that have a value."""
    points = [
        (record["epoch"], record[key])
        for record in records
        if record["split"] == split and record.get(key) is not None
    ]
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def _binned(points: Floats) -> Floats:
    """Return the means of 60 equal intervals; up to 60 points are returned unchanged."""
    if len(points) <= _POINTS:
        return points
    return np.array([part.mean(axis=0) for part in np.array_split(points, _POINTS)])
