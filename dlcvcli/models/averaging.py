"""Exponential moving average (EMA) of a network's weights."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)

# Prefixes in a task's state dict: the network that is trained, and the average of its weights.
NETWORK, AVERAGE = "network.", "average."


def averaged_copy(module: M) -> M:
    """Return a copy in evaluation mode without gradients, for `update_average`."""
    return copy.deepcopy(module).requires_grad_(False).eval()


@torch.no_grad()
def update_average(average: nn.Module, module: nn.Module, *, decay: float, step: int) -> None:
    """Move an average towards a module's weights and BatchNorm statistics, in place.

    a <- d a + (1 - d) w with d = min(decay, (1 + step) / (10 + step)), as in TensorFlow's
    `ExponentialMovingAverage` with `num_updates`. With a constant decay, the random weights of the
    first steps would dominate the average of a short run.

    Args:
        average: an `averaged_copy` of the module.
        module: the trained network.
        decay: in (0, 1); the average spans about 1 / (1 - decay) steps.
        step: the number of steps done before, from 0.
    """
    weight = 1 - min(decay, (1 + step) / (10 + step))
    pairs = [
        *zip(average.parameters(), module.parameters(), strict=True),
        *zip(average.buffers(), module.buffers(), strict=True),
    ]
    floats = [(own, new) for own, new in pairs if own.is_floating_point()]
    # One call for all tensors, as in PyTorch's multi-tensor optimisers, instead of one for each.
    torch._foreach_lerp_([own for own, _ in floats], [new for _, new in floats], weight)
    for own, new in pairs:
        if not own.is_floating_point():
            own.copy_(new)


def evaluated_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the network that a task is evaluated by, under the network's names.

    Args:
        state: a task's state dict; its moving average is taken where it has one.
    """
    prefix = AVERAGE if any(name.startswith(AVERAGE) for name in state) else NETWORK
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
