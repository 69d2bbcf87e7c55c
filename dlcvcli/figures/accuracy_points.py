"""Few-shot accuracies as points with 95 % intervals, measured and reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dlcvcli.errors import DataError
from dlcvcli.figures.style import SERIES, new_figure, styled

# Heights in inches: of a run, of each further seed, and of the margins.
_RUN, _SEED, _AROUND = 0.5, 0.14, 0.9
_WIDTH = 8.0
_REPORTED = "#333333"

Point = tuple[float, float | None]


def accuracy_points(
    runs: Mapping[str, Sequence[Point]], reported: Mapping[str, Point] | None = None
) -> Figure:
    """Draw a row for each run: a point for each seed and, hollow below, the reported accuracy.

    Args:
        runs: label -> for each seed, (accuracy in [0, 1], half of its 95 % interval over episodes
            or None); from top to bottom.
        reported: label -> the same from a report, for the runs that have one.

    Raises:
        DataError: there is no run to draw.
    """
    if not any(runs.values()):
        raise DataError("there is no run to draw")
    reported = reported or {}
    most = max(len(points) for points in runs.values())
    with styled():
        height = _AROUND + len(runs) * (_RUN + _SEED * (most - 1))
        figure = new_figure(_WIDTH, height)
        axes = figure.subplots()
    apart = _SEED / (_RUN + _SEED * (most - 1))
    for row, (label, points) in enumerate(runs.items()):
        for place, point in enumerate(points):
            # Above the middle of the row, to leave space for the reported accuracy.
            at = row + (place - (len(points) - 1) / 2) * apart - (0.12 if label in reported else 0)
            _draw_point(axes, point, at, SERIES[row % len(SERIES)], hollow=False)
        if label in reported:
            below = row + (len(points) - 1) / 2 * apart + 0.2
            _draw_point(axes, reported[label], below, _REPORTED, hollow=True)
    axes.set_yticks(range(len(runs)), list(runs))
    axes.set_ylim(len(runs) - 0.45, -0.55)
    axes.set_xlabel("accuracy, with 95 % interval over episodes")
    axes.margins(x=0.12)
    axes.set_axisbelow(True)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    if reported:
        figure.legend(handles=_legend(most), loc="outside upper center", ncols=2, frameon=False)
    return figure


def _draw_point(axes: Any, point: Point, row: float, colour: str, *, hollow: bool) -> None:
    mean, half = point
    axes.errorbar(
        mean,
        row,
        xerr=half,
        color=colour,
        marker="D" if hollow else "o",
        markersize=5,
        markerfacecolor="white" if hollow else colour,
        elinewidth=1,
        capsize=2.5,
    )
    axes.annotate(
        f"{mean:.4f}",
        (mean + (half or 0.0), row),
        xytext=(6, 0),
        textcoords="offset points",
        va="center_baseline",
        fontsize=7,
        color="#333333",
    )


def _legend(seeds: int) -> list[Line2D]:
    def handle(name: str, marker: str, inside: str) -> Line2D:
        return Line2D(
            [], [], color=_REPORTED, marker=marker, markersize=5, markerfacecolor=inside, label=name
        )

    measured = "measured" if seeds == 1 else "measured, each seed"
    return [handle(measured, "o", _REPORTED), handle("reported", "D", "white")]
