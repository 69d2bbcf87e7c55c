"""The contract between a task and the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypedDict

from torch import Tensor, nn

Batch = dict[str, Tensor]


class Outcome(TypedDict):
    """The result of a task's forward call.

    `loss` is the scalar to minimise; `log` contains scalars to report, detached, on the device.
    """

    loss: Tensor
    log: dict[str, Tensor]


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a learning rate and a weight decay.

    Attributes:
        name: name in the optimiser's state.
        parameters: the tensors; each belongs to one group only.
        lr_scale: factor on the learning rate of the run.
        decay: whether weight decay applies.
    """

    name: str
    parameters: list[nn.Parameter]
    lr_scale: float
    decay: bool


class Task(nn.Module, ABC):
    """A training task: an `nn.Module` whose forward computes the loss of a batch.

    Its state dict is stored in checkpoints. Modules that must not be trained, such as an EMA
    teacher, are submodules with `requires_grad` off.

    Attributes:
        network: the network that is exported, and whose parameters are reported.
    """

    network: nn.Module

    @abstractmethod
    def forward(self, batch: Batch, normaliser: Tensor) -> Outcome:
        """Return the loss of a batch or a part of it: the sum of its terms / `normaliser`."""

    @abstractmethod
    def count_terms(self, batch: Batch) -> Tensor:
        """Return the number of terms in the loss of a batch, on the batch's device.

        The result is a scalar, or a vector for a loss of several sums. The engine adds the counts
        of all ranks and accumulation parts of a global batch, and passes the total to `forward` as
        `normaliser`. So the gradient is that of the complete batch, however it is split.
        """

    @abstractmethod
    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the trainable parameters, grouped by learning rate and weight decay."""

    def after_step(self, step: int, total_steps: int) -> None:
        """Update state that depends on the weights, such as an average; called after each step."""


def split_by_decay(name: str, module: nn.Module, lr_scale: float) -> list[ParameterGroup]:
    """Return the trainable parameters of a module in two groups: with and without weight decay.

    One-dimensional tensors (biases, scales of norms) have no weight decay.
    """
    trainable = [p for p in module.parameters() if p.requires_grad]
    weights = [p for p in trainable if p.ndim > 1]
    vectors = [p for p in trainable if p.ndim <= 1]
    groups = [
        ParameterGroup(name, weights, lr_scale, decay=True),
        ParameterGroup(f"{name}, no decay", vectors, lr_scale, decay=False),
    ]
    return [group for group in groups if group.parameters]
