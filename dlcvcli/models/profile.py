"""What a network costs, counted without memory or weights: parameters, operations, activations.

Networks are built and run on PyTorch's meta device, where tensors have shapes and no values, so
that the largest of them takes a fraction of a second.

What is counted:

- FLOPs: those of convolutions, transposed convolutions and matrix products in one prediction of
  one image (`torch.utils.flop_counter`). One multiplication with its addition is 2. Normalisation,
  activations, pooling and resizing are not counted: they are a few percent of the whole.
- Activations: what autograd keeps in training between the forward and the backward pass, float32,
  an image. Storages are counted once, weights and buffers not at all. The loss, the gradients on
  their way back and the workspace of convolutions come on top, so it is a lower bound of what one
  more image in the batch takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from dlcvcli.models.observation import (
    EMBEDDING,
    Observation,
    Shape,
    Size,
    kept_for_backward,
    observe,
    require_pixels,
)
from dlcvcli.models.registry import (
    USUAL_SIZES,
    build_encoder,
    build_network,
    model_entry,
    require_size,
)


@dataclass(frozen=True)
class Layer:
    """Say what one module of a network, with all that is inside it, does and costs.

    Attributes:
        name: its dotted name in the network; empty for the network itself.
        kind: its class, with kernel, stride and dilation where it is a convolution.
        shape: of its output for one image; None where a prediction does not run it by itself.
        reshapes: whether the output's shape is another than the input's.
        parameters: how many numbers training may change in it.
        flops: of one prediction of one image.
        parts: the modules inside it, in the order in which they were registered.
    """

    name: str
    kind: str
    shape: Shape | None
    reshapes: bool
    parameters: int
    flops: int
    parts: tuple[Layer, ...] = ()

    @property
    def has_run(self) -> bool:
        """Whether a prediction runs it, or anything inside it."""
        return self.shape is not None or any(part.has_run for part in self.parts)


@dataclass(frozen=True)
class Profile:
    """Say what a network costs; the module's head has what is counted.

    Attributes:
        size: height and width of the image, in pixels.
        num_classes: channels of the logits; None of an encoder.
        embedding: values that an encoder makes of an image; None of a segmentation network.
        parameters: of the whole network, an auxiliary head included.
        backbone_parameters: those of its backbone; of an encoder, all.
        flops: of one prediction of one image.
        activation_bytes: kept for the backward pass, an image of a training batch, float32.
        root: the network as a tree of layers.
    """

    size: Size
    num_classes: int | None
    embedding: int | None
    parameters: int
    backbone_parameters: int
    flops: int
    activation_bytes: int
    root: Layer

    @property
    def weight_bytes(self) -> int:
        """The bytes of the parameters in float32."""
        return 4 * self.parameters

    def layers(self, depth: int = 2) -> list[Layer]:
        """Cut the tree at a depth; the rows add up to the whole.

        A list of modules that never runs as a whole is no level of its own: its modules stand in
        its place. What neither counts nor changes a shape (activations, dropout) is left out.

        Args:
            depth: levels below the network, at least 1.
        """
        return [row for part in self.root.parts for row in _rows(part, depth)]


def profile_model(
    name: str,
    *,
    num_classes: int = 21,
    size: Size | None = None,
    options: Mapping[str, Any] | None = None,
) -> Profile:
    """Build a network by name, without memory, and count what it costs.

    Images are padded to a multiple of a segmentation network's stride before it sees them, so that
    is what is counted.

    Args:
        name: a key of `registry.MODELS`.
        num_classes: channels of the logits; of no meaning to an encoder.
        size: height and width of the image, in pixels; None for that of `registry.USUAL_SIZES`.
        options: of the network's builder, such as ``output_stride``.

    Raises:
        UsageError: an unknown name or option, or a value or size that cannot be.
    """
    entry = model_entry(name)
    size = size or USUAL_SIZES[entry.task]
    # In the words of the size that was asked for.
    require_pixels(size)
    require_size(entry, size)
    seen = size
    if entry.task == "seg":
        stride = entry.stride
        seen = (-(-size[0] // stride) * stride, -(-size[1] // stride) * stride)
    found = profile(build_on_meta(name, num_classes=num_classes, options=options), seen)
    return replace(found, size=size)


def rounded(number: float) -> str:
    """Write a number for people: with one decimal, or below 1 with two significant digits."""
    return f"{number:.1f}" if number >= 1 or number == 0 else f"{number:.2g}"


def build_on_meta(
    name: str, *, num_classes: int = 21, options: Mapping[str, Any] | None = None
) -> nn.Module:
    """Build a network whose tensors have shapes and no memory.

    Args:
        name: a key of `registry.MODELS`.
        num_classes: channels of the logits; of no meaning to an encoder.
        options: of the network's builder.

    Raises:
        UsageError: an unknown name or option, or a value that an option does not allow.
    """
    with torch.device("meta"):
        if model_entry(name).task == "fewshot":
            return build_encoder(name, **(options or {}))
        return build_network(name, num_classes=num_classes, **(options or {}))


def profile(network: nn.Module, size: Size) -> Profile:
    """Count what a network on the meta device costs.

    Args:
        network: images ``[N, 3, H, W]`` to ``{"out": logits [N, C, H, W]}``, with a ``backbone``,
            or to embeddings ``[N, D]``; on any other device it is run for the count. Left in the
            mode that it was in.
        size: height and width of the image, in pixels.

    Raises:
        UsageError: a side of no pixels, or of more than `LARGEST_SIDE`.
    """
    seen = observe(network, size)
    embeds = EMBEDDING in seen.outputs
    values = seen.outputs[EMBEDDING if embeds else "out"].shape[1]
    backbone = network if embeds else network.get_submodule("backbone")
    return Profile(
        size=size,
        num_classes=None if embeds else values,
        embedding=values if embeds else None,
        parameters=_parameters(network),
        backbone_parameters=_parameters(backbone),
        flops=seen.flops.get("", 0),
        activation_bytes=kept_for_backward(network, size),
        root=_tree("", network, seen),
    )


def _tree(name: str, module: nn.Module, seen: Observation) -> Layer:
    parts = tuple(
        _tree(f"{name}.{child}" if name else child, part, seen)
        for child, part in module.named_children()
    )
    shape = seen.shapes.get(name)
    return Layer(
        name=name,
        kind=_kind(module),
        shape=shape,
        reshapes=shape is not None and shape != seen.inputs.get(name),
        parameters=_parameters(module),
        flops=seen.flops.get(name, sum(part.flops for part in parts)),
        parts=parts,
    )


def _kind(module: nn.Module) -> str:
    """Name a module's class; of a convolution also what makes it the one that it is."""
    words = [type(module).__name__]
    if isinstance(module, nn.Conv2d):
        words.append("x".join(map(str, module.kernel_size)))
        words += [f"stride {module.stride[0]}"] * (module.stride[0] > 1)
        words += [f"dilation {module.dilation[0]}"] * (
            module.dilation[0] > 1 < max(module.kernel_size)
        )
        words += ["depthwise"] * (module.groups == module.in_channels > 1)
    return " ".join(words)


def _rows(layer: Layer, depth: int) -> list[Layer]:
    """Return a layer, or its parts where it is cut further down, as rows of a table."""
    only_a_list = layer.shape is None and layer.has_run
    if layer.parts and (only_a_list or (depth > 1 and layer.has_run)):
        rows = [
            row for part in layer.parts for row in _rows(part, depth - (0 if only_a_list else 1))
        ]
        rest = Layer(
            name=layer.name,
            kind=f"{layer.kind} itself",
            shape=layer.shape,
            reshapes=False,
            parameters=layer.parameters - sum(part.parameters for part in layer.parts),
            flops=layer.flops - sum(part.flops for part in layer.parts),
        )
        return [*rows, rest] if rest.parameters or rest.flops else rows
    return [layer] if layer.parameters or layer.flops or layer.reshapes else []


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
