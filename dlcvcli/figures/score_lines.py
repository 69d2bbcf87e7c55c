"""Scores of several runs along a number, such as the count of labelled images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from dlcvcli.errors import DataError
from dlcvcli.figures.style import SERIES, in_style, new_figure

# From this ratio of the largest to the smallest number on, a linear axis crowds the small ones.
_LOGARITHMIC = 5

Point = tuple[float, float, float | None]


@in_style
def score_lines(lines: Mapping[str, Sequence[Point]], *, x: str, y: str) -> Figure:
    """Draw a line for each label, with bars of ±1 standard deviation.

    The x axis is logarithmic if the numbers are positive and their ratio is 5 or more.

    Args:
        lines: label -> (number, mean score, standard deviation or None), sorted by number.
        x, y: names of the axes.

    Raises:
        DataError: there is no point.
    """
    places = sorted({point[0] for points in lines.values() for point in points})
    if not places:
        raise DataError("there is no run to draw")
    figure = new_figure(6.5, 4)
    axes = figure.subplots()
    for number, (label, points) in enumerate(lines.items()):
        if points:
            at, means, spreads = zip(*points, strict=True)
            axes.errorbar(
                at,
                means,
                yerr=[sd or 0 for sd in spreads] if any(spreads) else None,
                color=SERIES[number % len(SERIES)],
                linestyle=("-", "--", ":")[number // len(SERIES) % 3],
                marker="o",
                markersize=4,
                linewidth=1.6,
                capsize=3,
                label=label,
            )
    if places[0] > 0 and places[-1] >= _LOGARITHMIC * places[0]:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.set(xlabel=x, ylabel=y)
    figure.legend(loc="outside upper center", ncols=min(3, len(lines)), frameon=False)
    return figure
