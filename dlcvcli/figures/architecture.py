"""A network drawn as boxes and arrows, with the shapes that were measured on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch
from matplotlib.path import Path
from torch import nn

from dlcvcli.errors import UsageError
from dlcvcli.figures.placement import FONT_SIZE, Box, Placement, place
from dlcvcli.figures.style import SERIES, new_figure, styled
from dlcvcli.models.diagram import Block, BlockFacts, Kind, measure
from dlcvcli.models.encoder import Encoder
from dlcvcli.models.network import SegmentationNetwork
from dlcvcli.models.observation import Size
from dlcvcli.models.profile import Profile, profile, rounded

# What a kind of block is called in the legend, and its colour.
KINDS: dict[Kind, tuple[str, str]] = {
    "data": ("input, output", SERIES[6]),
    "backbone": ("backbone", SERIES[0]),
    "context": ("context", SERIES[4]),
    "head": ("convolutions of the head", SERIES[2]),
    "classifier": ("classifier", SERIES[1]),
    "upsampling": ("upsampling", SERIES[5]),
    "join": ("join", "#777777"),
    "training": ("in training only", SERIES[3]),
}

_TO_A_VECTOR = {"mean": "mean over the map", "flatten": "the map, flattened"}

_TITLE_SIZE = 10.0
_TITLE_HEIGHT = 0.5
_LEGEND_ROW = 0.19
_LEGEND_COLUMNS = 4
_LEAST_WIDTH = 5.6


def architecture(name: str, network: nn.Module, size: Size = (512, 512)) -> Figure:
    """Draw a network: its blocks, how data flows between them, shapes, strides and rates.

    Shapes are channels x height x width of one image. The figure is made to be printed at its own
    size, at which no text is below 7 points.

    Args:
        name: what the title calls it.
        network: a `SegmentationNetwork` or an `Encoder`, whose `diagram` is drawn; on the meta
            device, so that nothing is computed.
        size: height and width of the image, in pixels.

    Raises:
        UsageError: a size that cannot be, or a network that has no diagram.
    """
    if not isinstance(network, SegmentationNetwork | Encoder):
        raise UsageError(f"model '{name}' has no diagram", "those in `dlcv models` do")
    diagram = network.diagram()
    facts = measure(network, diagram, size)
    texts = {block.name: lines_of(block, facts[block.name]) for block in diagram.blocks}
    placed = place(diagram, texts)
    kinds = [kind for kind in KINDS if any(block.kind == kind for block in diagram.blocks)]
    rows = -(-len(kinds) // _LEGEND_COLUMNS)
    width = max(placed.width, _LEAST_WIDTH)
    height = _TITLE_HEIGHT + placed.height + rows * _LEGEND_ROW
    deepest = max(facts[block.name].stride for block in diagram.blocks if block.kind == "backbone")
    stages = network if isinstance(network, Encoder) else network.backbone
    about = f"{type(stages).__name__} to stride {deepest:g} · "
    with styled(), mpl.rc_context({"font.size": FONT_SIZE}):
        figure = new_figure(width, height)
        figure.set_layout_engine("none")  # everything is placed already
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        # Inches from the top left corner of the diagram, y downwards.
        shift = (width - placed.width) / 2
        axes.set(xlim=(-shift, width - shift), ylim=(height - _TITLE_HEIGHT, -_TITLE_HEIGHT))
        _draw_arrows(axes, placed)
        for block in diagram.blocks:
            _draw_block(axes, block, placed.boxes[block.name], texts[block.name])
        _write_title(axes, name, about + facts_line(profile(network, size)), placed.width / 2)
        _add_legend(figure, kinds, columns=-(-len(kinds) // rows))
    return figure


def lines_of(block: Block, facts: BlockFacts) -> list[str]:
    """Return the lines in a block: title, what it does, stride and rate of a stage, shape."""
    lines = [block.title.replace("_", " ")]
    if facts.enlarges > 1 and facts.operations:
        lines.append(f"{facts.operations} ×{facts.enlarges:g}")
    elif block.operation == "resize":
        lines.append(f"bilinear ×{facts.enlarges:g}")
    elif facts.operations:
        lines.append(facts.operations)
    elif block.operation in _TO_A_VECTOR:
        lines.append(_TO_A_VECTOR[block.operation])
    if block.kind == "backbone":
        rate = f", rate {facts.rate}" if facts.rate > 1 else ""
        lines.append(f"stride {facts.stride:g}{rate}")
    lines.append("×".join(map(str, facts.shape)))
    return lines


def facts_line(cost: Profile) -> str:
    """Say in a line what a network costs."""
    gives = (
        f"{cost.embedding} values" if cost.num_classes is None else f"{cost.num_classes} classes"
    )
    return (
        f"{rounded(cost.parameters / 1e6)} M parameters · {rounded(cost.flops / 1e9)} GFLOPs "
        f"at {cost.size[0]}×{cost.size[1]} · {gives}"
    )


def _draw_arrows(axes: Axes, placed: Placement) -> None:
    for corners in placed.arrows.values():
        axes.add_patch(
            FancyArrowPatch(
                path=Path(list(corners)),
                arrowstyle="-|>",
                mutation_scale=7,
                linewidth=0.9,
                color="#333333",
                joinstyle="miter",
            )
        )


def _draw_block(axes: Axes, block: Block, box: Box, lines: list[str]) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (box.left, box.top),
            box.width,
            box.height,
            boxstyle="round,pad=0,rounding_size=0.05",
            **_look(block.kind),
        )
    )
    step = box.height / (len(lines) + 1)
    for index, line in enumerate(lines):
        axes.text(
            box.x,
            box.y + (index - (len(lines) - 1) / 2) * step,
            line,
            size=FONT_SIZE,
            weight="bold" if index == 0 else "normal",
            ha="center",
            va="center_baseline",
        )


def _write_title(axes: Axes, name: str, line: str, middle: float) -> None:
    axes.text(
        middle,
        -_TITLE_HEIGHT + 0.14,
        name,
        size=_TITLE_SIZE,
        weight="bold",
        ha="center",
        va="center",
    )
    axes.text(middle, -_TITLE_HEIGHT + 0.34, line, size=FONT_SIZE + 1, ha="center", va="center")


def _add_legend(figure: Figure, kinds: Sequence[Kind], *, columns: int) -> None:
    figure.legend(
        handles=[Patch(label=KINDS[kind][0], **_look(kind)) for kind in kinds],
        loc="lower center",
        ncols=columns,
        frameon=False,
        fontsize=FONT_SIZE,
        borderaxespad=0.2,
        handlelength=1.4,
    )


def _look(kind: Kind) -> Mapping[str, Any]:
    """Return a kind's edge in its colour, and its face in a light tint of it."""
    colour = KINDS[kind][1]
    share = 0.0 if kind == "data" else 0.22
    face = tuple(1 - share * (1 - part) for part in to_rgb(colour))
    return {
        "facecolor": face,
        "edgecolor": colour,
        "linewidth": 1.1,
        "linestyle": "--" if kind == "training" else "-",
    }
