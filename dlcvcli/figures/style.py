"""Style, legends and saving of figures."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.textpath import TextPath
from matplotlib.ticker import LogFormatter

from dlcvcli.files import as_readable, make_folder
from dlcvcli.palette import ClassSet, Mask

P = ParamSpec("P")

# The colours of Okabe and Ito, which can be distinguished with any colour vision.
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

_POINTS_PER_INCH = 72

# Width in inches of a legend entry, for names up to the length of 'agriculture'.
_LEGEND_ENTRY = 1.25

# Any, since matplotlib types each key of the dict.
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
    """Return an empty figure of a size in inches, for drawing without a display."""
    with mpl.rc_context(_STYLE):
        return Figure(figsize=(width, height), layout="constrained")


def styled() -> Any:
    """Return a context manager in which axes and texts have the style of dlcv's figures."""
    return mpl.rc_context(_STYLE)


def in_style(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorate a function that draws a figure so that it uses the style of dlcv's figures."""

    @wraps(draw)
    def drawn(*args: P.args, **options: P.kwargs) -> Figure:
        with styled():
            return draw(*args, **options)

    return drawn


def save(figure: Figure, path: Path) -> None:
    """Write a figure as .png or .pdf, by the suffix of the path."""
    make_folder(path.parent)
    take_literally(figure)
    figure.savefig(path, dpi=150)


def take_literally(figure: Figure) -> None:
    """Draw names literally: no math text between dollar signs, no bytes that are not UTF-8.

    matplotlib formats the numbers of logarithmic axes as math text; these are unchanged.
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


@cache
def text_width(line: str, size: float, *, bold: bool = False) -> float:
    """Return the width in inches of a line of text of a size in points."""
    font = FontProperties(weight="bold" if bold else "normal")
    extents = TextPath((0, 0), line, size=size, prop=font).get_extents()
    return float(extents.width) / _POINTS_PER_INCH


def show_image(axes: Any, pixels: Any, title: str = "") -> None:
    """Draw pixels without interpolation and ticks, in a thin frame, since masks may be white."""
    axes.imshow(pixels, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, color="#bbbbbb", linewidth=0.5)
    if title:
        axes.set_title(title)


def class_legend(figure: Figure, classes: ClassSet, masks: list[Mask]) -> None:
    """Draw a legend of the classes that occur in the masks, below the figure."""
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
            # Rows of equal length: two of three entries, not five and one.
            ncols=math.ceil(len(handles) / rows),
            frameon=False,
            handlelength=1.2,
            handleheight=1.2,
        )
