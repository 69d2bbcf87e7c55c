"""How the classes of a set are balanced: their shares of the pixels, and images that have them."""

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

# Inches: of one bar, between classes, and of what is around them.
_BAR, _GAP, _AROUND = 0.135, 0.11, 1.0
_WIDTH = 9.0
_SMALL = 7


def balance(splits: Mapping[str, Audit], classes: ClassSet, *, log: bool = False) -> Figure:
    """Draw a bar a class and split: its share of the labelled pixels, and its number of images.

    Every bar has its number beside it, so that small shares can be read on either scale; a class
    without a pixel in a split is marked as absent.

    Args:
        splits: split -> what it holds, at least one.
        classes: their class set.
        log: a logarithmic axis for the shares.
    """
    count = len(classes)
    with styled():
        figure = new_figure(_WIDTH, _AROUND + count * (len(splits) * _BAR + _GAP))
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
    thick = _BAR / (len(splits) * _BAR + _GAP)
    for place, (colour, found) in enumerate(
        zip(_colours(len(splits)), splits.values(), strict=True)
    ):
        # Classes count downwards, and so do the splits of one.
        rows = np.arange(count) + (place - (len(splits) - 1) / 2) * thick
        share = _shares(found)
        _bars(left, rows, share, [_percent(value) for value in share], colour, thick)
        _bars(right, rows, found.images_with, [f"{n:,}" for n in found.images_with], colour, thick)
    for axes in (left, right):
        axes.margins(x=0.14)
    _dress_shares(left, splits, log)
    right.set_xlabel("images with the class")
    for axes in (left, right):
        axes.set_axisbelow(True)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    _name_classes(left, classes)
    _name_splits(figure, splits)
    return figure


def _colours(count: int) -> list[str]:
    return [SERIES[index % len(SERIES)] for index in range(count)]


def _bars(axes: Any, rows: Any, values: Any, texts: list[str], colour: str, thick: float) -> None:
    axes.barh(rows, values, height=0.86 * thick, color=colour, linewidth=0)
    for row, value, text in zip(rows, values, texts, strict=True):
        here = value > 0
        axes.annotate(
            text if here else "absent",
            # On a logarithmic axis there is no place for 0: the edge of the axes instead.
            (value if here else 0, row),
            xycoords="data" if here else axes.get_yaxis_transform(),
            xytext=(2.5, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=_SMALL,
            color="#333333" if here else "#8a8a8a",
            style="normal" if here else "italic",
        )


def _percent(value: float) -> str:
    """Return a share for people: two digits that count, and never a 0 for what is there."""
    if value >= 9.95:
        return f"{value:.0f}%"
    return f"{value:#.2g}%" if value >= 0.001 else "<0.001%"


def _dress_shares(axes: Any, splits: Mapping[str, Audit], log: bool) -> None:
    """Give the axis of the shares its scale and name."""
    shares = np.concatenate([_shares(found) for found in splits.values()])
    if log and shares.any():
        axes.set_xscale("log")
        # Bars need a beginning above 0, and the numbers behind them room.
        axes.set_xlim(shares[shares > 0].min() / 3, 3 * shares.max())
    axes.set_xlabel("share of the labelled pixels" + (" (logarithmic)" if log else ""))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}%")


def _shares(found: Audit) -> NDArray[np.float64]:
    """Return the share of each class in per cent, float64 [C]."""
    labelled = found.pixels[:-1]
    return np.asarray(100 * labelled / max(1, int(labelled.sum())))


def _name_classes(axes: Any, classes: ClassSet) -> None:
    """Write the names from top to bottom, each with its colour."""
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
    handles = []
    for colour, (name, found) in zip(_colours(len(splits)), splits.items(), strict=True):
        ignored = int(found.pixels[-1]) / max(1, int(found.pixels.sum()))
        note = f", {_percent(100 * ignored)} ignored" if ignored else ""
        images = "1 image" if found.images == 1 else f"{found.images:,} images"
        handles.append(Patch(facecolor=colour, label=f"{name}: {images}{note}"))
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=min(3, len(handles)),
        frameon=False,
        handlelength=1.2,
        columnspacing=1.6,
    )
