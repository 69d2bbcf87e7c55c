"""Describe a network as a graph of blocks, from which it is drawn.

A network lists its blocks, the submodules in each and the blocks that feed it. Everything else in
the drawing (shapes, strides, kernels, dilations) is measured on the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Literal

from torch import nn

from dlcvcli.models.observation import OUT, Observation, Shape, Size, observe

Kind = Literal[
    "data", "backbone", "context", "head", "classifier", "upsampling", "join", "training"
]
# Column and row.
Place = tuple[int, float]
# From the last map of an encoder to a vector; `none`, if the last stage returns the vector.
Pooling = Literal["mean", "max", "flatten", "none"]
Operation = Literal["", "input", "output", "resize", "concatenate", "add", "multiply"] | Pooling

# Every stride divides it, so that the measured strides are exact.
_EVEN_SIZE = (512, 512)

# Left out of a drawing: these follow every convolution, or keep the shape.
_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish)
_OMITTED = (nn.BatchNorm2d, *_ACTIVATIONS, nn.Dropout, nn.Dropout2d, nn.Identity)
_NAMES = {
    "AdaptiveAvgPool2d": "mean",
    "BasicBlock": "basic block",
    "BilinearUpsample": "deconvolution",
    "BinnedMean": "mean of bins",
    "Bottleneck": "bottleneck",
    "CNBlock": "ConvNeXt block",
    "Flatten": "flatten",
    "InvertedResidual": "inv. residual",
    "LayerNorm2d": "norm",
    "Linear": "linear",
    "MBConv": "MBConv",
    "MaxPool2d": "max pool",
    "Residual": "residual of 2 × 3×3",
    "ResidualBlock": "3 × 3×3 beside 1×1, max pool",
    "Sigmoid": "sigmoid",
}


@dataclass(frozen=True)
class Block:
    """One box of a diagram: submodules that run one after the other, or an operation without any.

    Attributes:
        name: its name in `after` of other blocks.
        title: its first line of text.
        kind: its role; each kind has a colour and an entry in the legend.
        column: its column, counted from the left; a column is as wide as its widest text.
        row: its row, counted from the top; fractions are allowed.
        after: names of the blocks that feed it.
        modules: dotted names of its submodules in the order in which they run. Every parameter of
            a network belongs to one block.
        operation: what a block without submodules does. ``resize`` is bilinear; a `Pooling` turns
            a map into a vector.
        like: the block to whose height and width ``resize`` resizes.
        vertical: blocks in `after` whose arrows arrive from above or below, not from the side.
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
    vertical: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagram:
    """The blocks of a network from the image to the outputs, each after those that feed it."""

    blocks: tuple[Block, ...]

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """The connections of the blocks, as pairs (source, target)."""
        return tuple((source, block.name) for block in self.blocks for source in block.after)


@dataclass(frozen=True)
class BlockFacts:
    """Measurements of a block.

    Attributes:
        shape: channels, height and width of its output for one image; the length of a vector.
        stride: pixels of the image per cell of the output, along an edge; a vector is one cell.
        operations: operations of its submodules, such as ``3×3 dilation 12``; empty without any.
        dilation: the largest dilation rate of its convolutions; 1 without any.
        enlarges: height of its output as a multiple of its first input's; 1 for the image.
    """

    shape: Shape
    stride: float
    operations: str
    dilation: int
    enlarges: float


@dataclass(frozen=True)
class Stage:
    """One stage of a backbone or an encoder, for the diagram.

    Attributes:
        title: its first line of text.
        modules: names of its submodules inside the backbone or encoder, in the order in which they
            run.
        tap: name of its output among the maps of the backbone, such as ``low``; empty for none.
    """

    title: str
    modules: tuple[str, ...]
    tap: str = ""


class Sketch:
    """Builds a diagram block by block, beginning with the image.

    In all methods, ``at`` is the column and row of a block, and ``after`` names the blocks that
    feed it.

    Args:
        stages: stages of the backbone; they follow the image in column 0, from row 1 down.
        root: prefix of the names of their submodules; empty for an encoder, which has no backbone.
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
        """Return the stage that outputs a map of the backbone, such as ``low``."""
        return self._taps[name]

    def run(
        self, name: str, kind: Kind, at: Place, after: str, *modules: str, title: str = ""
    ) -> Block:
        """Add a block of submodules that run one after the other."""
        return self._add(Block(name, title or name, kind, *at, (after,), modules))

    def resize(
        self, name: str, at: Place, after: str, like: str, kind: Kind = "upsampling"
    ) -> Block:
        """Add a bilinear resize to the height and width of another block."""
        return self._add(Block(name, "resize", kind, *at, (after,), operation="resize", like=like))

    def join(
        self,
        name: str,
        operation: Literal["concatenate", "add", "multiply"],
        at: Place,
        after: tuple[str, ...],
        vertical: tuple[str, ...] = (),
    ) -> Block:
        """Add an operation on several maps; see `Block` for `vertical`."""
        block = Block(name, operation, "join", *at, after, operation=operation, vertical=vertical)
        return self._add(block)

    def logits(self, at: Place, after: str, name: str = "logits", kind: Kind = "data") -> Block:
        """Add an output at the size of the image."""
        return self._add(Block(name, name, kind, *at, (after,), operation="output"))

    def embedding(self, operation: Pooling) -> Block:
        """Add the embedding of an encoder below its last stage."""
        last = self._blocks[-1]
        at = (last.column, last.row + 1)
        name = "embedding"
        return self._add(Block(name, name, "data", *at, (last.name,), operation=operation))

    def diagram(self) -> Diagram:
        """Return the diagram of all blocks that were added."""
        return Diagram(tuple(self._blocks))

    def _add(self, block: Block) -> Block:
        self._blocks.append(block)
        return block


def measure(network: nn.Module, diagram: Diagram, size: Size) -> dict[str, BlockFacts]:
    """Measure the blocks of a diagram on the network, run in training mode without gradients.

    Args:
        network: on the meta device.
        diagram: the diagram of the network.
        size: height and width of the image, in pixels.

    Returns:
        The measurements of each block by its name.

    Raises:
        UsageError: an impossible size.
    """
    shapes = _shapes(diagram, observe(network, size, training=True), size)
    even_size: Size = getattr(network, "only_size", None) or _EVEN_SIZE
    even = _shapes(diagram, observe(network, even_size, training=True), even_size)
    facts = {}
    for block in diagram.blocks:
        modules = [network.get_submodule(name) for name in block.modules]
        height = _height(even[block.name])
        facts[block.name] = BlockFacts(
            shape=shapes[block.name],
            stride=even_size[0] / height,
            operations=_operations(modules),
            dilation=max((_dilation(conv) for conv in _convolutions(modules)), default=1),
            enlarges=height / _height(even[block.after[0]]) if block.after else 1,
        )
    return facts


def _height(shape: Shape) -> int:
    return shape[1] if len(shape) == 3 else 1


def _shapes(diagram: Diagram, seen: Observation, size: Size) -> dict[str, Shape]:
    """Return the output shape of each block: measured, or computed from its operation."""
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
        elif block.operation in ("mean", "max"):
            shapes[block.name] = sources[0][:1]
        elif block.operation == "none":
            shapes[block.name] = tuple(seen.outputs[OUT].shape[1:])
        elif block.operation == "flatten":
            shapes[block.name] = (prod(sources[0]),)
        else:
            channels = [source[0] for source in sources]
            joined = sum(channels) if block.operation == "concatenate" else max(channels)
            largest = max(sources, key=lambda source: prod(source[1:]))
            shapes[block.name] = (joined, *largest[1:])
    return shapes


def _operations(modules: Iterable[nn.Module]) -> str:
    """Return the operations of modules that run one after the other: ``2 × 3×3, max pool``."""
    names = [name for module in modules for name in _operation_names(module)]
    runs = [(name, len(list(run))) for name, run in groupby(names)]
    return ", ".join(name if count == 1 else f"{count} × {name}" for name, count in runs)


def _operation_names(module: nn.Module) -> list[str]:
    if isinstance(module, _OMITTED):
        return []
    if isinstance(module, nn.Conv2d):
        return [_convolution(module)]
    if isinstance(module, nn.Sequential | nn.ModuleList):
        parts = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
        if len(parts) == 2 and _is_depthwise(parts[0]) and parts[1].kernel_size == (1, 1):
            return [_convolution(parts[0], " separable")]
        return [name for part in module for name in _operation_names(part)]
    class_name = type(module).__name__
    return [_NAMES.get(class_name, class_name)]


def _convolution(conv: nn.Conv2d, suffix: str = "") -> str:
    dilation = f" dilation {_dilation(conv)}" if _dilation(conv) > 1 else ""
    return "×".join(map(str, conv.kernel_size)) + suffix + dilation


def _dilation(conv: nn.Conv2d) -> int:
    # Dilation has no effect on a 1x1 kernel.
    return conv.dilation[0] if max(conv.kernel_size) > 1 else 1


def _is_depthwise(conv: nn.Conv2d) -> bool:
    return conv.groups == conv.in_channels > 1


def _convolutions(modules: Iterable[nn.Module]) -> list[nn.Conv2d]:
    return [part for module in modules for part in module.modules() if isinstance(part, nn.Conv2d)]
