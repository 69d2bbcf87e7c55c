"""Single images with their predicted classes: right ones, wrong ones, confident mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dlcvcli.data.reading import Pixels
from dlcvcli.errors import DataError
from dlcvcli.figures.style import in_style, new_figure, text_width

# Inches of a cell; the heights of the texts below an image and above a section are in cells.
_CELL, _TEXT, _HEADING = 1.2, 0.34, 0.34
_RIM = 0.05
_SIZE = 7.0
RIGHT, WRONG = "#009E73", "#c1121f"


@dataclass(frozen=True)
class Card:
    """One image and what a model takes it for.

    Attributes:
        image: uint8 [H, W, 3].
        true: name of its class.
        predicted: name of the predicted class.
        probability: of the predicted class, in [0, 1].
    """

    image: Pixels
    true: str
    predicted: str
    probability: float


@in_style
def predictions_figure(
    sections: Mapping[str, Sequence[Card]], *, columns: int = 8, title: str = ""
) -> Figure:
    """Draw images with predicted class and probability; of wrong ones, the true class below.

    Right predictions have a green frame, wrong ones a red one.

    Args:
        sections: heading -> its images, from top to bottom.
        columns: images in a row.
        title: title of the figure.

    Raises:
        DataError: there is no image.
    """
    if not any(sections.values()):
        raise DataError("there is no image to draw")
    columns = min(columns, max(map(len, sections.values())))
    rows = {heading: math.ceil(len(cards) / columns) for heading, cards in sections.items()}
    height = sum(_HEADING + count * (1 + _TEXT) for count in rows.values())
    top = 0.3 if title else 0.05
    figure = new_figure(columns * _CELL + 0.1, height * _CELL + top)
    figure.set_layout_engine("none")
    if title:
        figure.suptitle(title, y=1 - 0.06 / figure.get_figheight(), va="top")
    # One pair of axes for all images, in units of a cell.
    axes = figure.add_axes((0, 0, 1, 1 - top / figure.get_figheight()))
    axes.set(xlim=(-0.04, columns + 0.04), ylim=(height, 0), aspect="auto")
    axes.set_axis_off()
    y = 0.0
    for heading, cards in sections.items():
        axes.text(_RIM, y + _HEADING - 0.06, heading, fontsize=9, fontweight="bold", va="bottom")
        y += _HEADING
        for place, card in enumerate(cards):
            row, column = divmod(place, columns)
            _draw_card(axes, card, column, y + row * (1 + _TEXT))
        y += rows[heading] * (1 + _TEXT)
    return figure


def _draw_card(axes: Any, card: Card, x: float, y: float) -> None:
    height, width = card.image.shape[:2]
    scale = (1 - 2 * _RIM) / max(height, width)
    half_width, half_height = width * scale / 2, height * scale / 2
    box = (x + 0.5 - half_width, x + 0.5 + half_width, y + 0.5 + half_height, y + 0.5 - half_height)
    axes.imshow(card.image, extent=box, interpolation="nearest", aspect="auto")
    is_right = card.true == card.predicted
    colour = RIGHT if is_right else WRONG
    axes.add_patch(
        Rectangle(
            (box[0], box[3]), 2 * half_width, 2 * half_height,
            fill=False, edgecolor=colour, linewidth=1.8,
        )
    )  # fmt: skip
    below = y + 0.5 + half_height + 0.03
    first = f"{_shortened(card.predicted, 5)} {card.probability:.2f}"
    axes.text(x + 0.5, below, first, ha="center", va="top", fontsize=_SIZE, color=colour)
    if not is_right:
        second = f"true: {_shortened(card.true, 6)}"
        axes.text(
            x + 0.5, below + 0.13, second, ha="center", va="top", fontsize=_SIZE, color="#333333"
        )


def _shortened(name: str, others: int) -> str:
    """Return a name that fits into a cell beside a number of other characters."""
    width = _CELL - 0.1 - text_width("0" * others, _SIZE)
    if text_width(name, _SIZE) <= width:
        return name
    while len(name) > 1 and text_width(f"{name}…", _SIZE) > width:
        name = name[:-1]
    return f"{name}…"
