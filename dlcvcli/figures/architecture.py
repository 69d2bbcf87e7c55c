"""Draw a network as boxes and arrows, with the shapes that were measured on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch
from matplotlib.path import Path

from dlcvcli.figures.placement import FONT_SIZE, Box, Placement, place
from dlcvcli.figures.style import SERIES, new_figure, styled
from dlcvcli.models.diagram import Block, BlockFacts, Kind, measure
from dlcvcli.models.entry import Gives
from dlcvcli.models.network import Network
from dlcvcli.models.observation import Size
from dlcvcli.models.profile import Profile, profile, rounded

# Name in the legend and colour of each kind of block.
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

_POOLINGS: dict[str, str] = {
    "mean": "mean over the map",
    "max": "maximum over the map",
    "flatten": "flattened map",
}
_CHANNELS: dict[Gives, str] = {"masks": "classes", "vectors": "values"}

_TITLE_SIZE = 10.0
_TITLE_HEIGHT = 0.5
_LEGEND_ROW = 0.19
_LEGEND_COLUMNS = 4
_MIN_WIDTH = 5.6


def architecture(name: str, network: Network, size: Size = (512, 512)) -> Figure:
    """Draw the blocks of a network and the data flow between them, with shapes and strides.

    Shapes are channels x height x width of one image. Printed at the size of the figure, no text is
    smaller than 7 points.

    Args:
        name: name of the network in the title.
        network: on the meta device, so that nothing is computed.
        size: height and width of the image, in pixels.

    Raises:
        UsageError: an impossible size.
    """
    diagram = network.diagram()
    facts = measure(network, diagram, size)
    texts = {block.name: lines_of(block, facts[block.name]) for block in diagram.blocks}
    placed = place(diagram, texts)
    kinds = [kind for kind in KINDS if any(block.kind == kind for block in diagram.blocks)]
    rows = -(-len(kinds) // _LEGEND_COLUMNS)
    width = max(placed.width, _MIN_WIDTH)
    height = _TITLE_HEIGHT + placed.height + rows * _LEGEND_ROW
    stages = [facts[block.name] for block in diagram.blocks if block.kind == "backbone"]
    # A vector, or the tokens of a transformer, have no stride.
    deepest = max((stage.stride for stage in stages if len(stage.shape) == 3), default=None)
    about = type(network.feature_extractor).__name__
    about += f" to stride {deepest:g} · " if deepest else " · "
    with styled(), mpl.rc_context({"font.size": FONT_SIZE}):
        figure = new_figure(width, height)
        figure.set_layout_engine("none")  # `place` has laid everything out
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
    """Return the lines of text in a block: title, operations, stride of a stage, shape."""
    lines = [block.title.replace("_", " ")]
    if facts.enlarges > 1 and facts.operations:
        lines.append(f"{facts.operations} ×{facts.enlarges:g}")
    elif block.operation == "resize":
        lines.append(f"bilinear ×{facts.enlarges:g}")
    elif facts.operations:
        lines.append(facts.operations)
    elif block.operation in _POOLINGS:
        lines.append(_POOLINGS[block.operation])
    if block.kind == "backbone" and len(facts.shape) == 3:
        dilation = f", dilation {facts.dilation}" if facts.dilation > 1 else ""
        lines.append(f"stride {facts.stride:g}{dilation}")
    lines.append("×".join(map(str, facts.shape)))
    return lines


def facts_line(cost: Profile) -> str:
    """Return the cost of a network and the size of its output as one line of text."""
    return (
        f"{rounded(cost.parameters / 1e6)} M parameters · {rounded(cost.flops / 1e9)} GFLOPs "
        f"at {cost.size[0]}×{cost.size[1]} · {cost.channels} {_CHANNELS[cost.gives]}"
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
    """Return the style of a kind's boxes: an edge in its colour, a face in a light tint of it."""
    colour = KINDS[kind][1]
    opacity = 0.0 if kind == "data" else 0.22
    face = tuple(1 - opacity * (1 - channel) for channel in to_rgb(colour))
    return {
        "facecolor": face,
        "edgecolor": colour,
        "linewidth": 1.1,
        "linestyle": "--" if kind == "training" else "-",
    }
