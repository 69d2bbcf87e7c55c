"""Measure one pass through a network: shapes, operations, and the memory that autograd keeps.

On PyTorch's meta device, where tensors have shapes and no values, a pass takes a fraction of a
second and no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dlcvcli.errors import UsageError

Size = tuple[int, int]
# Shape without the batch: channels, height and width of a map, the length of a vector.
Shape = tuple[int, ...]

# PyTorch counts the bytes of a map in 64 bits, which a larger image would overflow.
LARGEST_SIDE = 65536

# Key of a network's main output.
OUT = "out"

# In training, a BatchNorm that sees 1x1 maps needs two images.
_TRAINING_BATCH = 2


@dataclass(frozen=True)
class Observation:
    """Measurements of one forward pass, by the dotted names of the modules that ran.

    Attributes:
        shapes: shape of each module's output.
        inputs: shape of each module's first input.
        flops: FLOPs of each module, with all modules inside it, for the batch.
        outputs: the network's outputs by name; a network that returns one tensor has `OUT` alone.
    """

    shapes: dict[str, Shape] = field(default_factory=dict)
    inputs: dict[str, Shape] = field(default_factory=dict)
    flops: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)


def observe(network: nn.Module, size: Size, *, training: bool = False) -> Observation:
    """Run a network once, without gradients, and measure each module.

    Args:
        network: takes images ``[N, 3, H, W]`` and returns a tensor, or several by name. Its modes
            (training or evaluation) are restored.
        size: height and width of the image, in pixels.
        training: run it in training mode, on two images, with its auxiliary head.

    Raises:
        UsageError: a side of no pixels, or of more than `LARGEST_SIDE`.
    """
    seen = Observation()
    handles = [
        module.register_forward_hook(_record_shapes(name, seen))
        for name, module in network.named_modules()
    ]
    counter = FlopCounterMode(display=False)
    try:
        with counter, torch.no_grad(), _skip_norms(network):
            seen.outputs.update(_run(network, size, training=training))
    finally:
        for handle in handles:
            handle.remove()
    # The counter's names begin with the class of the network.
    for name, counts in counter.get_flop_counts().items():
        if name != "Global":
            seen.flops[name.partition(".")[2]] = sum(counts.values())
    return seen


def kept_for_backward(network: nn.Module, size: Size) -> int:
    """Return the bytes that autograd keeps for the backward pass, per image of a training batch.

    Each storage is counted once. Those of parameters and buffers are not counted.

    Args:
        network: as in `observe`, run in the type of its parameters.
        size: height and width of the image, in pixels.

    Raises:
        UsageError: a side of no pixels, or of more than `LARGEST_SIDE`.
    """
    own = {_storage(tensor) for tensor in (*network.parameters(), *network.buffers())}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        # A reference is kept, since the address of a freed storage may be used again.
        if _storage(tensor) not in own:
            kept.setdefault(_storage(tensor), tensor)
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        _run(network, size, training=True)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) // _TRAINING_BATCH


@contextmanager
def in_mode(network: nn.Module, *, training: bool) -> Iterator[None]:
    """Put a network into training or evaluation mode, and restore the mode of each module."""
    modes = {module: module.training for module in network.modules()}
    network.train(training)
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def require_pixels(size: Size) -> None:
    """Check that an image of a size (height, width) is possible.

    Raises:
        UsageError: a side of no pixels, or of more than `LARGEST_SIDE`.
    """
    if not all(1 <= side <= LARGEST_SIDE for side in size):
        raise UsageError(
            f"no image has {size[0]}x{size[1]} pixels",
            f"choose a size with sides of 1 to {LARGEST_SIDE} pixels",
        )


def _run(network: nn.Module, size: Size, *, training: bool) -> dict[str, Tensor]:
    """Run a network on blank images, and return its outputs by name."""
    require_pixels(size)
    device = next(network.parameters()).device
    images = torch.zeros(_TRAINING_BATCH if training else 1, 3, *size, device=device)
    with in_mode(network, training=training):
        outputs: dict[str, Tensor] | Tensor = network(images)
    return {OUT: outputs} if isinstance(outputs, Tensor) else outputs


@contextmanager
def _skip_norms(network: nn.Module) -> Iterator[None]:
    """Make every BatchNorm return its input, on which no shape and no count depends.

    On the meta device a BatchNorm is a dozen operations in Python, which take half the time.
    """
    norms = [vars(part) for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    for own in norms:
        own["forward"] = _identity
    try:
        yield
    finally:
        for own in norms:
            del own["forward"]


def _identity(x: Tensor) -> Tensor:
    return x


def _storage(tensor: Tensor) -> int:
    # On the meta device every data pointer is zero; the storage object itself still has an address.
    return int(tensor.untyped_storage()._cdata)


def _record_shapes(name: str, seen: Observation) -> Callable[[nn.Module, Any, Any], None]:
    """Return a forward hook that records the shapes of a module."""

    def record(module: nn.Module, inputs: Any, output: Any) -> None:
        if inputs and isinstance(inputs[0], Tensor):
            seen.inputs[name] = tuple(inputs[0].shape[1:])
        if isinstance(output, dict):  # the outputs of a network
            output = output[OUT]
        if isinstance(output, tuple):
            # The maps of a backbone, the deepest last; attention may return None for its weights.
            output = [part for part in output if isinstance(part, Tensor)][-1]
        seen.shapes[name] = tuple(output.shape[1:])

    return record
