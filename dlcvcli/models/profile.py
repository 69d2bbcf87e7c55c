"""Profile a network without memory or weights: parameters, FLOPs, activations.

Networks are built and run on PyTorch's meta device, where tensors have shapes and no values. This
takes a fraction of a second for the largest.

What is counted:

- FLOPs: those of convolutions, transposed convolutions and matrix products in the prediction of
  one image (`torch.utils.flop_counter`). A multiply-add counts as 2. Normalisation, activation
  functions, pooling and resizing are not counted: they are a few percent of the total.
- Activations: the bytes that autograd keeps from the forward pass to the backward pass, in
  float32, per image. Storages are counted once, weights and buffers not at all. This is a lower
  bound of the memory that one more image in the batch takes: the loss, the gradients of activations
  and the workspace of convolutions are not included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from dlcvcli.models.build import build_encoder, build_network
from dlcvcli.models.entry import Gives
from dlcvcli.models.network import Network
from dlcvcli.models.observation import (
    OUT,
    Observation,
    Shape,
    Size,
    kept_for_backward,
    observe,
    require_pixels,
)
from dlcvcli.models.registry import model_entry, require_size


@dataclass(frozen=True)
class Layer:
    """Shape and cost of one module of a network, with all modules inside it.

    Attributes:
        name: its dotted name in the network; empty for the network itself.
        kind: its class, and of a convolution its kernel, stride and dilation.
        shape: shape of its output for one image; None where no prediction calls it.
        reshapes: whether the shape of its output differs from that of its input.
        parameters: number of its trainable values.
        flops: FLOPs of the prediction of one image.
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
        """Whether a prediction calls it or a module inside it."""
        return self.shape is not None or any(part.has_run for part in self.parts)


@dataclass(frozen=True)
class Profile:
    """Cost of a network; the docstring of this module says what is counted.

    Attributes:
        size: height and width of the image, in pixels.
        gives: what the network returns, as in the registry.
        channels: number of classes of the logits, or values of the embedding.
        parameters: number of parameters, those of an auxiliary head included.
        backbone_parameters: those of its feature extractor; for an encoder, all.
        flops: FLOPs of the prediction of one image.
        activation_bytes: float32 activations kept for the backward pass, per image of a training
            batch.
        root: the network as a tree of layers.
    """

    size: Size
    gives: Gives
    channels: int
    parameters: int
    backbone_parameters: int
    flops: int
    activation_bytes: int
    root: Layer

    @property
    def weight_bytes(self) -> int:
        """Bytes of the parameters in float32."""
        return 4 * self.parameters

    def layers(self, depth: int = 2) -> list[Layer]:
        """Return the layers at a depth of the tree; their counts add up to the totals.

        A list of modules that is never called itself does not count as a level: its modules take
        its place. Modules without parameters and FLOPs that keep the shape, such as dropout, are
        left out.

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
    """Build a network by name on the meta device and profile it.

    The counts are those of the image after padding, if the network's images are padded.

    Args:
        name: as in `registry.model_entry`.
        num_classes: channels of the logits; ignored by encoders.
        size: height and width of the image, in pixels; None for the usual one of the network.
        options: options of the network's builder, such as ``output_stride``.

    Raises:
        UsageError: an unknown name or option, or an impossible value or size.
    """
    entry = model_entry(name, options)
    size = size or entry.usual_size
    # Checked before padding, so that an error names the size that was asked for.
    require_pixels(size)
    require_size(entry, size)
    height, width = (-(-side // entry.pad_multiple) * entry.pad_multiple for side in size)
    network = build_on_meta(name, num_classes=num_classes, options=options)
    return replace(profile(network, (height, width)), size=size)


def rounded(number: float) -> str:
    """Format a number for people: with one decimal, or below 1 with two significant digits."""
    return f"{number:.1f}" if number >= 1 or number == 0 else f"{number:.2g}"


def build_on_meta(
    name: str, *, num_classes: int = 21, options: Mapping[str, Any] | None = None
) -> Network:
    """Build a network on the meta device, where tensors have shapes and no values.

    Args:
        name: as in `registry.model_entry`.
        num_classes: channels of the logits; ignored by encoders.
        options: options of the network's builder.

    Raises:
        UsageError: an unknown name or option, or a value that an option does not allow.
    """
    with torch.device("meta"):
        if model_entry(name).has_classes:
            return build_network(name, num_classes=num_classes, **(options or {}))
        return build_encoder(name, **(options or {}))


def profile(network: Network, size: Size) -> Profile:
    """Profile a network.

    Args:
        network: usually on the meta device; on any other its pass is computed. Its modes (training
            or evaluation) are restored.
        size: height and width of the image, in pixels.

    Raises:
        UsageError: a side of no pixels, or of more than `LARGEST_SIDE`.
    """
    seen = observe(network, size)
    return Profile(
        size=size,
        gives=network.gives,
        channels=seen.outputs[OUT].shape[1],
        parameters=_parameters(network),
        backbone_parameters=_parameters(network.feature_extractor),
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
    """Return the class of a module, and of a convolution its kernel, stride and dilation."""
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
    """Return the rows of a layer at a depth: its parts', and what the layer itself adds to them."""
    is_list = layer.shape is None and layer.has_run
    if layer.parts and (is_list or (depth > 1 and layer.has_run)):
        rows = [row for part in layer.parts for row in _rows(part, depth - (0 if is_list else 1))]
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
