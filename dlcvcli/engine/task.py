"""The contract between a task and the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypedDict

from torch import Tensor, nn

Batch = dict[str, Tensor]


class Outcome(TypedDict):
    """What a task's forward returns.

    `loss` is the scalar to minimise; `log` holds scalars to report, detached, on the device.
    """

    loss: Tensor
    log: dict[str, Tensor]


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a learning rate and a weight decay.

    Attributes:
        name: for the log.
        parameters: the tensors, each in one group only.
        lr_scale: their learning rate / that of the run.
        decay: whether weight decay applies.
    """

    name: str
    parameters: list[nn.Parameter]
    lr_scale: float
    decay: bool


class Task(nn.Module, ABC):
    """A training task: an `nn.Module` whose forward computes the loss of a batch.

    Its state dict is what goes into a checkpoint. What must not be trained (an EMA teacher) lives
    in it with `requires_grad` off.

    Attributes:
        network: the model that users get: its parameters are counted, and it is exported.
    """

    network: nn.Module

    @abstractmethod
    def forward(self, batch: Batch, normaliser: Tensor) -> Outcome:
        """Return the loss of a batch or a part of it: sums of terms / their `normaliser`."""

    @abstractmethod
    def count_terms(self, batch: Batch) -> Tensor:
        """Return how many terms the loss of a batch sums, on the batch's device.

        A scalar, or a vector for a loss of several sums. The engine adds the counts of all ranks
        and accumulation parts of a global batch, and passes the total to `forward` as its
        normaliser, so that the gradient is that of the complete batch, however it is split.
        """

    @abstractmethod
    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the trainable parameters, grouped by learning rate and weight decay."""

    def after_step(self, step: int, total_steps: int) -> None:
        """Update what follows the weights; called after each optimiser step."""


def split_by_decay(name: str, module: nn.Module, lr_scale: float) -> list[ParameterGroup]:
    """Return the trainable parameters of a module in two groups: weights, and biases with norms.

    One-dimensional tensors (biases, scales of norms) are not decayed.
    """
    trainable = [p for p in module.parameters() if p.requires_grad]
    weights = [p for p in trainable if p.ndim > 1]
    vectors = [p for p in trainable if p.ndim <= 1]
    groups = [
        ParameterGroup(name, weights, lr_scale, decay=True),
        ParameterGroup(f"{name}, no decay", vectors, lr_scale, decay=False),
    ]
    return [group for group in groups if group.parameters]
