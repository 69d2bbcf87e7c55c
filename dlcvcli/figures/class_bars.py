"""Scores of each class as bars: IoU for the runs of a study, accuracy for one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from dlcvcli.errors import DataError
from dlcvcli.figures.style import SERIES, new_figure, styled

# Heights in inches: of a bar, between classes, and of the margins.
_BAR, _GAP, _AROUND = 0.15, 0.14, 1.1
_WIDTH = 8.0

Score = tuple[float | None, float | None]


def accuracy_bars(per_class: Mapping[str, float | None]) -> Figure:
    """Draw a bar for the accuracy of each class, the lowest at the bottom.

    Args:
        per_class: class -> accuracy, or None for a class without images.

    Raises:
        DataError: there is no class.
    """
    names = sorted(per_class, key=lambda name: -(per_class[name] or 0.0))
    scores = {name: (per_class[name], None) for name in names}
    return class_bars(names, {"": scores}, score="accuracy")


def class_bars(
    names: Sequence[str], runs: Mapping[str, Mapping[str, Score]], *, score: str = "IoU"
) -> Figure:
    """Draw a bar for each class and run: the mean, with an error bar of ±1 standard deviation.

    Args:
        names: names of the classes, from top to bottom.
        runs: label -> class -> (mean or None, standard deviation over seeds or None).
        score: name of what the bars show.

    Raises:
        DataError: there is no class or no run.
    """
    if not names or not runs:
        raise DataError("there is no class or no run to draw")
    with styled():
        figure = new_figure(_WIDTH, _AROUND + len(names) * (len(runs) * _BAR + _GAP))
        axes = figure.subplots()
    thick = _BAR / (len(runs) * _BAR + _GAP)
    for place, (label, scores) in enumerate(runs.items()):
        rows = np.arange(len(names)) + (place - (len(runs) - 1) / 2) * thick
        class_scores = [scores.get(name, (None, None)) for name in names]
        means = [mean or 0.0 for mean, _ in class_scores]
        colour = SERIES[place % len(SERIES)]
        axes.barh(rows, means, height=0.86 * thick, color=colour, linewidth=0, label=label)
        for row, (mean, sd) in zip(rows, class_scores, strict=True):
            if mean is not None and sd is not None:
                axes.errorbar(mean, row, xerr=sd, color="#333333", linewidth=0.8, capsize=1.5)
            axes.annotate(
                "not scored" if mean is None else f"{mean:.2f}",
                ((mean or 0.0) + (sd or 0.0), row),
                xytext=(3, 0),
                textcoords="offset points",
                va="center_baseline",
                fontsize=7,
                color="#333333" if mean is not None else "#8a8a8a",
            )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.45, -0.55)
    reach = [(mean or 0) + (sd or 0) for one in runs.values() for mean, sd in one.values()]
    # Space for the values beside the bars.
    axes.set_xlim(0, max(0.1, 1.09 * max(reach, default=0)))
    axes.set_xlabel(score + (", mean ± sd over seeds" if _has_spread(runs) else ""))
    axes.set_axisbelow(True)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    if len(runs) > 1 or all(runs):
        figure.legend(loc="outside upper center", ncols=min(3, len(runs)), frameon=False)
    return figure


def _has_spread(runs: Mapping[str, Mapping[str, Score]]) -> bool:
    return any(sd is not None for scores in runs.values() for _, sd in scores.values())
