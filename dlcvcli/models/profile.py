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

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dlcvcli.errors import UsageError
from dlcvcli.models.registry import build_network, model_entry

Size = tuple[int, int]
# A map's channels, height and width; of anything else, its shape without the batch.
Shape = tuple[int, ...]

# Beyond it the number of a map's bytes would not fit the 64 bits that PyTorch has for it.
LARGEST_SIDE = 65536

# Two images: in training, a BatchNorm that sees 1x1 maps cannot do with one.
_TRAINING_BATCH = 2


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
        num_classes: channels of the logits.
        parameters: of the whole network, an auxiliary head included.
        backbone_parameters: those of its backbone.
        flops: of one prediction of one image.
        activation_bytes: kept for the backward pass, an image of a training batch, float32.
        root: the network as a tree of layers.
    """

    size: Size
    num_classes: int
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
    size: Size = (512, 512),
    options: Mapping[str, Any] | None = None,
) -> Profile:
    """Build a network by name, without memory, and count what it costs.

    Images are padded to a multiple of the network's stride before it sees them, so that is what is
    counted.

    Args:
        name: a key of `registry.MODELS`.
        num_classes: channels of the logits.
        size: height and width of the image, in pixels.
        options: of the network's builder, such as ``output_stride``.

    Raises:
        UsageError: an unknown name or option, or a value or size that cannot be.
    """
    # In the words of the size that was asked for.
    _require_size(size)
    stride = model_entry(name).stride
    padded = (-(-size[0] // stride) * stride, -(-size[1] // stride) * stride)
    found = profile(build_on_meta(name, num_classes=num_classes, options=options), padded)
    return replace(found, size=size)


def build_on_meta(
    name: str, *, num_classes: int = 21, options: Mapping[str, Any] | None = None
) -> nn.Module:
    """Build a network whose tensors have shapes and no memory.

    Raises:
        UsageError: an unknown name or option, or a value that an option does not allow.
    """
    with torch.device("meta"):
        return build_network(name, num_classes=num_classes, **(options or {}))


def profile(network: nn.Module, size: Size) -> Profile:
    """Count what a network on the meta device costs.

    Args:
        network: images ``[N, 3, H, W]`` to ``{"out": logits [N, C, H, W]}``, with a ``backbone``;
            on any other device it is run for the count. Left in the mode that it was in.
        size: height and width of the image, in pixels.

    Raises:
        UsageError: a side of no pixels, or of more than `LARGEST_SIDE`.
    """
    seen = observe(network, size)
    return Profile(
        size=size,
        num_classes=seen.outputs["out"].shape[1],
        parameters=_parameters(network),
        backbone_parameters=_parameters(network.get_submodule("backbone")),
        flops=seen.flops.get("", 0),
        activation_bytes=kept_for_backward(network, size),
        root=_tree("", network, seen),
    )


@dataclass(frozen=True)
class Observation:
    """What one forward pass showed, by the dotted names of the modules that ran.

    Attributes:
        shapes: of each output, without the batch.
        inputs: of each first input, without the batch.
        flops: of each module with all inside it, for the whole batch.
        outputs: of the network.
    """

    shapes: dict[str, Shape] = field(default_factory=dict)
    inputs: dict[str, Shape] = field(default_factory=dict)
    flops: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)


def observe(network: nn.Module, size: Size, *, training: bool = False) -> Observation:
    """Run a network once, without gradients, and note what each module does.

    Args:
        network: as in `profile`.
        size: height and width of the image, in pixels.
        training: whether it runs as in training, on two images, with its auxiliary head.

    Raises:
        UsageError: a side of no pixels, or of more than `LARGEST_SIDE`.
    """
    seen = Observation()
    handles = [
        module.register_forward_hook(_noting(name, seen))
        for name, module in network.named_modules()
    ]
    counter = FlopCounterMode(display=False)
    try:
        with counter, torch.no_grad(), _norms_passed_over(network):
            seen.outputs.update(_run(network, size, training=training))
    finally:
        for handle in handles:
            handle.remove()
    # The counter's names begin with the network's class.
    for name, counts in counter.get_flop_counts().items():
        if name != "Global":
            seen.flops[name.partition(".")[2]] = sum(counts.values())
    return seen


def kept_for_backward(network: nn.Module, size: Size) -> int:
    """Measure what autograd keeps of one image of a training batch, in bytes.

    Each storage is counted once; those of parameters and buffers are not.

    Args:
        network: as in `profile`; its parameters' type is what is counted.
        size: height and width of the image, in pixels.

    Raises:
        UsageError: a side of no pixels, or of more than `LARGEST_SIDE`.
    """
    own = {_storage(tensor) for tensor in (*network.parameters(), *network.buffers())}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        # Held on to, since the address of a storage that is freed may be given out again.
        if _storage(tensor) not in own:
            kept.setdefault(_storage(tensor), tensor)
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        _run(network, size, training=True)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) // _TRAINING_BATCH


def _require_size(size: Size) -> None:
    if not all(1 <= side <= LARGEST_SIDE for side in size):
        raise UsageError(
            f"an image of {size[0]}x{size[1]} pixels cannot be",
            f"each side has from 1 to {LARGEST_SIDE} pixels",
        )


def _run(network: nn.Module, size: Size, *, training: bool) -> dict[str, Tensor]:
    """Run a network in one of its modes, and put it back into its own."""
    _require_size(size)
    modes = {module: module.training for module in network.modules()}
    device = next(network.parameters()).device
    images = torch.zeros(_TRAINING_BATCH if training else 1, 3, *size, device=device)
    network.train(training)
    try:
        outputs: dict[str, Tensor] = network(images)
    finally:
        for module, mode in modes.items():
            module.training = mode
    return outputs


@contextmanager
def _norms_passed_over(network: nn.Module) -> Iterator[None]:
    """Let every BatchNorm hand its input on: no shape and no count depends on it.

    The meta device has it as a dozen operations in Python, half the time of a pass.
    """
    norms = [vars(part) for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    for own in norms:
        own["forward"] = _hand_on
    try:
        yield
    finally:
        for own in norms:
            del own["forward"]


def _hand_on(x: Tensor) -> Tensor:
    return x


def _storage(tensor: Tensor) -> int:
    # On the meta device every data pointer is zero; the storage object itself still has an address.
    return int(tensor.untyped_storage()._cdata)


def _noting(name: str, seen: Observation) -> Callable[[nn.Module, Any, Any], None]:
    """Make the hook that notes the shapes of a module."""

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if inputs and isinstance(inputs[0], Tensor):
            seen.inputs[name] = tuple(inputs[0].shape[1:])
        if isinstance(output, dict):  # the network's: what it is for
            output = output["out"]
        if isinstance(output, tuple):  # a backbone's maps: the deepest
            output = output[-1]
        seen.shapes[name] = tuple(output.shape[1:])

    return note


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
