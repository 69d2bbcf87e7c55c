"""One pass through a network, looked at: shapes, operations, and what autograd keeps.

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
# A map's channels, height and width; of anything else, its shape without the batch.
Shape = tuple[int, ...]

# Beyond it the number of a map's bytes would not fit the 64 bits that PyTorch has for it.
LARGEST_SIDE = 65536

# What an `Observation` calls the output of an encoder.
EMBEDDING = "embedding"

# Two images: in training, a BatchNorm that sees 1x1 maps cannot do with one.
_TRAINING_BATCH = 2


@dataclass(frozen=True)
class Observation:
    """What one forward pass showed, by the dotted names of the modules that ran.

    Attributes:
        shapes: of each output, without the batch.
        inputs: of each first input, without the batch.
        flops: of each module with all inside it, for the whole batch.
        outputs: of the network; that of an encoder under `EMBEDDING`.
    """

    shapes: dict[str, Shape] = field(default_factory=dict)
    inputs: dict[str, Shape] = field(default_factory=dict)
    flops: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)


def observe(network: nn.Module, size: Size, *, training: bool = False) -> Observation:
    """Run a network once, without gradients, and note what each module does.

    Args:
        network: images ``[N, 3, H, W]`` to ``{"out": logits [N, C, H, W]}`` or to embeddings
            ``[N, D]``. Left in the mode that it was in.
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
        network: as in `observe`; its parameters' type is what is counted.
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


@contextmanager
def in_mode(network: nn.Module, *, training: bool) -> Iterator[None]:
    """Put a network into one of its modes, and each of its modules back into its own at the end."""
    modes = {module: module.training for module in network.modules()}
    network.train(training)
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def require_pixels(size: Size) -> None:
    """Check that there can be an image of a size (height, width).

    Raises:
        UsageError: a side of no pixels, or of more than `LARGEST_SIDE`.
    """
    if not all(1 <= side <= LARGEST_SIDE for side in size):
        raise UsageError(
            f"an image of {size[0]}x{size[1]} pixels cannot be",
            f"each side has from 1 to {LARGEST_SIDE} pixels",
        )


def _run(network: nn.Module, size: Size, *, training: bool) -> dict[str, Tensor]:
    """Run a network in one of its modes, and put it back into its own."""
    require_pixels(size)
    device = next(network.parameters()).device
    images = torch.zeros(_TRAINING_BATCH if training else 1, 3, *size, device=device)
    with in_mode(network, training=training):
        outputs: dict[str, Tensor] | Tensor = network(images)
    return {EMBEDDING: outputs} if isinstance(outputs, Tensor) else outputs


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
