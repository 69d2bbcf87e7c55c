"""Class balance of a data set: fractions of pixels and numbers of images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from dlcvcli.data.audit import Audit
from dlcvcli.figures.style import SERIES, new_figure, styled
from dlcvcli.palette import ClassSet

# Heights in inches: of a bar, between classes, and of the margins.
_BAR, _GAP, _AROUND = 0.135, 0.11, 1.0
_WIDTH = 9.0
_SMALL = 7


def balance(splits: Mapping[str, Audit], classes: ClassSet, *, log: bool = False) -> Figure:
    """Draw bars for each class and split: fraction of the labelled pixels, and number of images.

    Each bar has its value beside it, so that small fractions can be read on either scale. A class
    without pixels in a split is marked as absent.

    Args:
        splits: split -> its audit, at least one.
        classes: the class set.
        log: use a logarithmic axis for the fractions.
    """
    count = len(classes)
    with styled():
        figure = new_figure(_WIDTH, _AROUND + count * (len(splits) * _BAR + _GAP))
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
    thick = _BAR / (len(splits) * _BAR + _GAP)
    for place, (colour, audit) in enumerate(
        zip(_colours(len(splits)), splits.values(), strict=True)
    ):
        # The order is from top to bottom for classes, and for the splits of a class.
        rows = np.arange(count) + (place - (len(splits) - 1) / 2) * thick
        percent = _percentages(audit)
        _bars(left, rows, percent, [_percent(value) for value in percent], colour, thick)
        _bars(right, rows, audit.images_with, [f"{n:,}" for n in audit.images_with], colour, thick)
    for axes in (left, right):
        axes.margins(x=0.14)
    _format_percent_axis(left, splits, log)
    right.set_xlabel("images with the class")
    for axes in (left, right):
        axes.set_axisbelow(True)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    _name_classes(left, classes)
    _name_splits(figure, splits)
    return figure


def class_balance(splits: Mapping[str, Mapping[str, int]], *, log: bool = False) -> Figure:
    """Draw the number of images of each class and split as bars.

    Args:
        splits: split -> class -> number of images, at least one.
        log: use a logarithmic axis.
    """
    names = list(dict.fromkeys(name for classes in splits.values() for name in classes))
    with styled():
        figure = new_figure(6.5, _AROUND + len(names) * (len(splits) * _BAR + _GAP))
        axes = figure.subplots()
    thick = _BAR / (len(splits) * _BAR + _GAP)
    for place, (colour, classes) in enumerate(
        zip(_colours(len(splits)), splits.values(), strict=True)
    ):
        rows = np.arange(len(names)) + (place - (len(splits) - 1) / 2) * thick
        counts = [classes.get(name, 0) for name in names]
        _bars(axes, rows, counts, [f"{count:,}" for count in counts], colour, thick)
    if log:
        axes.set_xscale("log")
    axes.margins(x=0.14)
    axes.set_xlabel("images")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.set_axisbelow(True)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    images = {split: sum(classes.values()) for split, classes in splits.items()}
    _legend(figure, {split: f"{split}: {_images(count)}" for split, count in images.items()})
    return figure


def _colours(count: int) -> list[str]:
    return [SERIES[index % len(SERIES)] for index in range(count)]


def _bars(axes: Any, rows: Any, values: Any, texts: list[str], colour: str, thick: float) -> None:
    axes.barh(rows, values, height=0.86 * thick, color=colour, linewidth=0)
    for row, value, text in zip(rows, values, texts, strict=True):
        present = value > 0
        axes.annotate(
            text if present else "absent",
            # A logarithmic axis has no 0, so "absent" stands at the edge of the axes.
            (value if present else 0, row),
            xycoords="data" if present else axes.get_yaxis_transform(),
            xytext=(2.5, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=_SMALL,
            color="#333333" if present else "#8a8a8a",
            style="normal" if present else "italic",
        )


def _percent(value: float) -> str:
    """Return a percentage with two significant digits; small ones are not rounded to 0."""
    if value >= 9.95:
        return f"{value:.0f}%"
    return f"{value:#.2g}%" if value >= 0.001 else "<0.001%"


def _format_percent_axis(axes: Any, splits: Mapping[str, Audit], log: bool) -> None:
    """Set the scale, the label and the numbers of the axis of fractions."""
    percent = np.concatenate([_percentages(audit) for audit in splits.values()])
    if log and percent.any():
        axes.set_xscale("log")
        # Bars must start above 0, and the values beside them need space.
        axes.set_xlim(percent[percent > 0].min() / 3, 3 * percent.max())
    axes.set_xlabel("fraction of the labelled pixels" + (" (logarithmic)" if log else ""))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}%")


def _percentages(audit: Audit) -> NDArray[np.float64]:
    """Return the percentage of labelled pixels of each class, float64 [C]."""
    labelled = audit.pixels[:-1]
    return np.asarray(100 * labelled / max(1, int(labelled.sum())))


def _name_classes(axes: Any, classes: ClassSet) -> None:
    """Write the class names from top to bottom, each with its colour."""
    axes.set_yticks(range(len(classes)), classes.names)
    axes.tick_params(axis="y", pad=13)
    axes.set_ylim(len(classes) - 0.45, -0.55)
    axes.scatter(
        np.full(len(classes), -0.022),
        range(len(classes)),
        s=45,
        marker="s",
        c=np.array(classes.colours) / 255,
        edgecolors="#888888",
        linewidths=0.5,
        transform=axes.get_yaxis_transform(),
        clip_on=False,
        zorder=3,
    )


def _name_splits(figure: Figure, splits: Mapping[str, Audit]) -> None:
    labels = {}
    for name, audit in splits.items():
        ignored = int(audit.pixels[-1]) / max(1, int(audit.pixels.sum()))
        note = f", {_percent(100 * ignored)} ignored" if ignored else ""
        labels[name] = f"{name}: {_images(audit.images)}{note}"
    _legend(figure, labels)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _legend(figure: Figure, labels: Mapping[str, str]) -> None:
    """Draw a legend of the splits, each with its label."""
    colours = _colours(len(labels))
    handles = [
        Patch(facecolor=colour, label=label)
        for colour, label in zip(colours, labels.values(), strict=True)
    ]
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=min(3, len(handles)),
        frameon=False,
        handlelength=1.2,
        columnspacing=1.6,
    )
