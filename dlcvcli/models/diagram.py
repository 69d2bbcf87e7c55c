"""A network as a graph of blocks: what each network says of itself so that it can be drawn.

A network names its blocks, the submodules in each and what feeds them. Everything that is written
into the picture beyond a title (shapes, strides, kernels, rates) is measured on the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Literal

from torch import nn

from dlcvcli.models.observation import EMBEDDING, Observation, Shape, Size, observe

Kind = Literal[
    "data", "backbone", "context", "head", "classifier", "upsampling", "join", "training"
]
# Column and row.
Place = tuple[int, float]
Operation = Literal[
    "", "input", "output", "resize", "concatenate", "add", "multiply", "mean", "flatten"
]

# A size at which every cell of every map covers whole pixels, so that strides come out exact.
_EVEN_SIZE = (512, 512)

# What a picture does not list: it follows every convolution, or changes no shape.
_UNSAID = (nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Dropout, nn.Dropout2d, nn.Identity)
_WORDS = {
    "AdaptiveAvgPool2d": "mean",
    "BasicBlock": "basic block",
    "BilinearUpsample": "deconvolution",
    "Bottleneck": "bottleneck",
    "InvertedResidual": "inv. residual",
    "MaxPool2d": "max pool",
    "ResidualBlock": "3 × 3×3 beside 1×1, max pool",
    "Sigmoid": "sigmoid",
}


@dataclass(frozen=True)
class Block:
    """One box of a diagram: some submodules in a row, or an operation without any.

    Attributes:
        name: what other blocks call it.
        title: its first line.
        kind: what it is for; kinds have a colour each, and a line in the legend.
        column: where it stands, from left to right; columns are as wide as what is in them.
        row: where it stands, from the top down; fractions are allowed.
        after: the names of the blocks that feed it.
        modules: dotted names of its submodules in the order in which they run. Every parameter of
            a network belongs to one block.
        operation: what it does where it names no submodules. ``resize`` is bilinear; ``mean`` and
            ``flatten`` make a vector of a map.
        like: for ``resize``, the block whose height and width it takes.
        turned: those of `after` that come in from above or below, not from the side.
    """

    name: str
    title: str
    kind: Kind
    column: int
    row: float
    after: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    operation: Operation = ""
    like: str = ""
    turned: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagram:
    """A network's blocks, from the image to the output; each stands after those that feed it."""

    blocks: tuple[Block, ...]

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """From which block to which the data flows."""
        return tuple((source, block.name) for block in self.blocks for source in block.after)


@dataclass(frozen=True)
class BlockFacts:
    """What was measured of a block.

    Attributes:
        shape: channels, height and width of its output, for one image; of a vector, its length.
        stride: pixels of the image per cell of the output, along an edge; a vector is one cell.
        operations: what its submodules do, such as ``3×3, rate 12``; empty without submodules.
        rate: the largest dilation in it; 1 without.
        enlarges: how many times higher its output is than its first input; 1 for the image.
    """

    shape: Shape
    stride: float
    operations: str
    rate: int
    enlarges: float


@dataclass(frozen=True)
class Stage:
    """One stage of a backbone or an encoder, for the diagram.

    Attributes:
        title: its line in the diagram.
        modules: names of its submodules inside the backbone or encoder, in the order in which they
            run.
        tap: which of the backbone's maps is its output, such as ``low``; empty for none.
    """

    title: str
    modules: tuple[str, ...]
    tap: str = ""


class Sketch:
    """Draws up a diagram block by block, from the image on.

    Rows and columns are those of `Block`; ``after`` names what feeds a block, in order.

    Args:
        stages: of the network's backbone; with the image they stand in column 0, from row 0 down.
        root: what stands before the names of their submodules; empty where the network is an
            encoder and nothing but its stages.
    """

    def __init__(self, stages: Sequence[Stage], root: str = "backbone.") -> None:
        self._blocks = [Block("image", "image", "data", 0, 0, operation="input")]
        self._taps: dict[str, Block] = {}
        for row, stage in enumerate(stages, start=1):
            modules = [f"{root}{name}" for name in stage.modules]
            block = self.run(
                f"stage{row}",
                "backbone",
                (0, row),
                self._blocks[-1].name,
                *modules,
                title=stage.title,
            )
            if stage.tap:
                self._taps[stage.tap] = block

    def tap(self, name: str) -> Block:
        """Return the stage whose output is a map of the backbone, such as ``low``."""
        return self._taps[name]

    def run(
        self, name: str, kind: Kind, at: Place, after: str, *modules: str, title: str = ""
    ) -> Block:
        """Add submodules that run one after the other; the output is that of the last."""
        return self._add(Block(name, title or name, kind, *at, (after,), modules))

    def resize(
        self, name: str, at: Place, after: str, like: str, kind: Kind = "upsampling"
    ) -> Block:
        """Add a bilinear resize to another block's height and width."""
        return self._add(Block(name, "resize", kind, *at, (after,), operation="resize", like=like))

    def join(
        self,
        name: str,
        operation: Literal["concatenate", "add", "multiply"],
        at: Place,
        after: tuple[str, ...],
        turned: tuple[str, ...] = (),
    ) -> Block:
        """Add an operation on several maps; those in `turned` come in from above or below."""
        block = Block(name, operation, "join", *at, after, operation=operation, turned=turned)
        return self._add(block)

    def logits(self, at: Place, after: str, name: str = "logits", kind: Kind = "data") -> Block:
        """Add an output at the image's size."""
        return self._add(Block(name, name, kind, *at, (after,), operation="output"))

    def embedding(self, operation: Literal["mean", "flatten"]) -> Block:
        """Add the vector that an encoder makes of its last stage's map, below it."""
        last = self._blocks[-1]
        at = (last.column, last.row + 1)
        block = Block(EMBEDDING, EMBEDDING, "data", *at, (last.name,), operation=operation)
        return self._add(block)

    def diagram(self) -> Diagram:
        """Return what was added."""
        return Diagram(tuple(self._blocks))

    def _add(self, block: Block) -> Block:
        self._blocks.append(block)
        return block


def measure(network: nn.Module, diagram: Diagram, size: Size) -> dict[str, BlockFacts]:
    """Measure the blocks of a diagram on the network, run as in training, without gradients.

    Args:
        network: as in `observation.observe`, on the meta device.
        diagram: the network's.
        size: height and width of the image, in pixels.

    Returns:
        The facts of each block by its name.

    Raises:
        UsageError: a size that cannot be.
    """
    shapes = _shapes(diagram, observe(network, size, training=True), size)
    even = _shapes(diagram, observe(network, _EVEN_SIZE, training=True), _EVEN_SIZE)
    facts = {}
    for block in diagram.blocks:
        modules = [network.get_submodule(name) for name in block.modules]
        height = _height(even[block.name])
        facts[block.name] = BlockFacts(
            shape=shapes[block.name],
            stride=_EVEN_SIZE[0] / height,
            operations=_operations(modules),
            rate=max((_rate(conv) for conv in _convolutions(modules)), default=1),
            enlarges=height / _height(even[block.after[0]]) if block.after else 1,
        )
    return facts


def _height(shape: Shape) -> int:
    return shape[1] if len(shape) == 3 else 1


def _shapes(diagram: Diagram, seen: Observation, size: Size) -> dict[str, Shape]:
    """Return the shape of each block's output: measured, or what its operation makes of others."""
    shapes: dict[str, Shape] = {}
    for block in diagram.blocks:
        sources = [shapes[name] for name in block.after]
        if block.modules:
            shapes[block.name] = seen.shapes[block.modules[-1]]
        elif block.operation == "input":
            shapes[block.name] = (3, *size)
        elif block.operation == "output":
            shapes[block.name] = (sources[0][0], *size)
        elif block.operation == "resize":
            shapes[block.name] = (sources[0][0], *shapes[block.like][1:])
        elif block.operation == "mean":
            shapes[block.name] = sources[0][:1]
        elif block.operation == "flatten":
            shapes[block.name] = (prod(sources[0]),)
        else:
            channels = [source[0] for source in sources]
            joined = sum(channels) if block.operation == "concatenate" else max(channels)
            largest = max(sources, key=lambda source: prod(source[1:]))
            shapes[block.name] = (joined, *largest[1:])
    return shapes


def _operations(modules: Iterable[nn.Module]) -> str:
    """Say what modules do one after the other: ``2 × 3×3, max pool``."""
    words = [word for module in modules for word in _said(module)]
    runs = [(word, len(list(run))) for word, run in groupby(words)]
    return ", ".join(word if count == 1 else f"{count} × {word}" for word, count in runs)


def _said(module: nn.Module) -> list[str]:
    if isinstance(module, _UNSAID):
        return []
    if isinstance(module, nn.Conv2d):
        return [_convolution(module)]
    if isinstance(module, nn.Sequential | nn.ModuleList):
        parts = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
        if len(parts) == 2 and _is_depthwise(parts[0]) and parts[1].kernel_size == (1, 1):
            return [_convolution(parts[0], " separable")]
        return [word for part in module for word in _said(part)]
    name = type(module).__name__
    return [_WORDS.get(name, name)]


def _convolution(conv: nn.Conv2d, suffix: str = "") -> str:
    rate = f" rate {_rate(conv)}" if _rate(conv) > 1 else ""
    return "×".join(map(str, conv.kernel_size)) + suffix + rate


def _rate(conv: nn.Conv2d) -> int:
    # A single tap has no neighbours to stand apart from.
    return conv.dilation[0] if max(conv.kernel_size) > 1 else 1


def _is_depthwise(conv: nn.Conv2d) -> bool:
    return conv.groups == conv.in_channels > 1


def _convolutions(modules: Iterable[nn.Module]) -> list[nn.Conv2d]:
    return [part for module in modules for part in module.modules() if isinstance(part, nn.Conv2d)]
