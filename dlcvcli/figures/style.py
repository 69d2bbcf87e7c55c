"""One look for every figure, and one way to save it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter

from dlcvcli.files import as_readable, make_folder
from dlcvcli.palette import ClassSet, Mask

P = ParamSpec("P")

# Okabe and Ito's colours, which people with any colour vision can tell apart.
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

# Width in inches of a colour with its name, for names as long as 'agriculture'.
_LEGEND_ENTRY = 1.25

# Any: matplotlib types every key of it by name.
_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "figure.constrained_layout.use": True,
}


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, drawn without any screen."""
    with mpl.rc_context(_STYLE):
        return Figure(figsize=(width, height), layout="constrained")


def styled() -> Any:
    """Return the context in which axes and texts take the house's look."""
    return mpl.rc_context(_STYLE)


def in_style(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Let everything that a function draws take the house's look."""

    @wraps(draw)
    def drawn(*args: P.args, **options: P.kwargs) -> Figure:
        with styled():
            return draw(*args, **options)

    return drawn


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the ending says the format (.png or .pdf)."""
    make_folder(path.parent)
    _take_literally(figure)
    figure.savefig(path, dpi=150)


def _take_literally(figure: Figure) -> None:
    """Write names as they are: one with dollar signs in it is no formula.

    Of a file name that is not UTF-8, which matplotlib cannot draw, the other letters are kept.

    The numbers along a logarithmic axis are formulas, of matplotlib's own making.
    """
    numbers = {
        text
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        if isinstance(axis.get_major_formatter(), LogFormatter)
        for text in axis.get_ticklabels()
    }
    for text in figure.findobj(Text):
        if text not in numbers:
            text.set_parse_math(False)
            text.set_text(as_readable(text.get_text()))


def show_image(axes: Any, pixels: Any, title: str = "") -> None:
    """Draw pixels as they are, without axes, in a thin frame: a mask may be as white as paper."""
    axes.imshow(pixels, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, color="#bbbbbb", linewidth=0.5)
    if title:
        axes.set_title(title)


def class_legend(figure: Figure, classes: ClassSet, masks: list[Mask]) -> None:
    """Name the colours of the classes that occur in the masks, below the figure."""
    present = sorted({int(i) for mask in masks for i in np.unique(mask)})
    handles = [
        Patch(
            facecolor="#{:02x}{:02x}{:02x}".format(*classes.colours[i]),
            edgecolor="#888888",
            linewidth=0.5,
            label=classes.names[i],
        )
        for i in present
        if i < len(classes)
    ]
    if handles:
        most = max(1, int(figure.get_figwidth() / _LEGEND_ENTRY))
        rows = math.ceil(len(handles) / most)
        figure.legend(
            handles=handles,
            loc="outside lower center",
            # Rows of even length: two of three, not five and one.
            ncols=math.ceil(len(handles) / rows),
            frameon=False,
            handlelength=1.2,
            handleheight=1.2,
        )
