"""Lay out the boxes and arrows of a diagram, in inches from the top left corner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dlcvcli.figures.style import text_width
from dlcvcli.models.diagram import Block, Diagram

# In points: the smallest text of a diagram that is printed at the size of its figure.
FONT_SIZE = 7.0

Point = tuple[float, float]

_POINTS_PER_INCH = 72
_LINE = 1.22 * FONT_SIZE / _POINTS_PER_INCH
_PADDING = 0.06
_SIDE_PADDING = 0.09
_COLUMN_GAP = 0.32
_ROW_PITCH = 0.78
_MARGIN = 0.12


@dataclass(frozen=True)
class Box:
    """The rectangle of a block: centre, width and height."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> float:
        """The x of its left edge."""
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        """The x of its right edge."""
        return self.x + self.width / 2

    @property
    def top(self) -> float:
        """The y of its upper edge; y grows downwards."""
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        """The y of its lower edge."""
        return self.y + self.height / 2


@dataclass(frozen=True)
class Placement:
    """The layout of a diagram.

    Attributes:
        boxes: box of each block by its name.
        arrows: corners of the line of each edge (source, target); the head is at the last.
        width: width of the diagram, margins included.
        height: height of the diagram, margins included.
    """

    boxes: dict[str, Box]
    arrows: dict[tuple[str, str], tuple[Point, ...]]
    width: float
    height: float


def place(diagram: Diagram, texts: Mapping[str, Sequence[str]]) -> Placement:
    """Place the blocks of a diagram in columns and rows, and route the arrows between them.

    A column is as wide as its widest text, and so are all of its blocks.

    Args:
        diagram: the blocks and their connections.
        texts: lines of text in each block by its name, the first of them bold.
    """
    spans = _columns(diagram, texts)
    heights = {name: len(lines) * _LINE + 2 * _PADDING for name, lines in texts.items()}
    top = min(block.row * _ROW_PITCH - heights[block.name] / 2 for block in diagram.blocks)
    boxes = {}
    for block in diagram.blocks:
        left, right = spans[block.column]
        boxes[block.name] = Box(
            x=(left + right) / 2,
            y=block.row * _ROW_PITCH - top + _MARGIN,
            width=right - left,
            height=heights[block.name],
        )
    blocks = {block.name: block for block in diagram.blocks}
    arrows = {
        (source, target): _route(blocks[source], blocks[target], boxes)
        for source, target in diagram.edges
    }
    return Placement(
        boxes=boxes,
        arrows=arrows,
        width=max(right for _, right in spans.values()) + _MARGIN,
        height=max(box.bottom for box in boxes.values()) + _MARGIN,
    )


def crossed(placement: Placement) -> list[tuple[tuple[str, str], str]]:
    """Return the arrows, each with a block that it crosses on its way from source to target."""
    return [
        (edge, name)
        for edge, corners in placement.arrows.items()
        for name, box in placement.boxes.items()
        if name not in edge
        for (x0, y0), (x1, y1) in pairwise(corners)
        if min(x0, x1) < box.right
        and max(x0, x1) > box.left
        and min(y0, y1) < box.bottom
        and max(y0, y1) > box.top
    ]


def _columns(
    diagram: Diagram, texts: Mapping[str, Sequence[str]]
) -> dict[int, tuple[float, float]]:
    """Return the left and right edge of each column."""
    spans: dict[int, tuple[float, float]] = {}
    left = _MARGIN
    for column in sorted({block.column for block in diagram.blocks}):
        inside = [
            text_width(line, FONT_SIZE, bold=index == 0)
            for block in diagram.blocks
            if block.column == column
            for index, line in enumerate(texts[block.name])
        ]
        spans[column] = (left, left + max(inside) + 2 * _SIDE_PADDING)
        left = spans[column][1] + _COLUMN_GAP
    return spans


def _route(source: Block, target: Block, boxes: Mapping[str, Box]) -> tuple[Point, ...]:
    """Return the corners of an arrow: a straight line, or a line with one bend or two."""
    here, there = boxes[source.name], boxes[target.name]
    downwards = there.y > here.y
    if source.column == target.column:
        return (
            (here.x, here.bottom if downwards else here.top),
            (there.x, there.top if downwards else there.bottom),
        )
    rightwards = target.column > source.column
    start = (here.right if rightwards else here.left, here.y)
    if source.name in target.vertical:
        return start, (there.x, here.y), (there.x, there.top if downwards else there.bottom)
    end = (there.left if rightwards else there.right, there.y)
    if source.row == target.row:
        return start, end
    # Halfway between the columns, so that arrows to and from neighbouring blocks share a line.
    middle = start[0] + (_COLUMN_GAP if rightwards else -_COLUMN_GAP) / 2
    return start, (middle, here.y), (middle, there.y), end
