"""Base class of tasks with an optional moving average of the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Self, TypeVar

import torch
from torch import Tensor, nn

from dlcvcli.engine.task import Batch, ParameterGroup, Task, split_by_decay
from dlcvcli.models.averaging import averaged_copy, update_average

M = TypeVar("M", bound=nn.Module)


class AveragedTask(Task, Generic[M]):
    """A task that can keep a moving average of its network's weights.

    Args:
        network: the network to train.
        ema: decay of the moving average; None: no average.

    Attributes:
        average: the moving average, always in evaluation mode; None without `ema`.
    """

    network: M

    def __init__(self, network: M, ema: float | None) -> None:
        super().__init__()
        self.network = network
        self.ema = ema
        self.average: M | None = None if ema is None else averaged_copy(network)

    @property
    def evaluated(self) -> M:
        """The network to validate, visualise and export: the average if there is one."""
        return self.network if self.average is None else self.average

    def load_network(self, state: Mapping[str, Tensor]) -> None:
        """Load weights into the network and, if there is one, into the average."""
        for network in (self.network, self.average):
            if network is not None:
                network.load_state_dict(state)

    def count_terms(self, batch: Batch) -> Tensor:
        """Return the number of samples, for a loss with one term each."""
        samples = next(iter(batch.values()))
        return torch.tensor(len(samples), device=samples.device)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the parameters of the network, with and without weight decay."""
        return split_by_decay("network", self.network, 1.0)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the trained network; the average stays in evaluation mode."""
        super().train(mode)
        if self.average is not None:
            self.average.eval()
        return self

    def after_step(self, step: int, total_steps: int) -> None:
        """Update the moving average."""
        if self.average is not None and self.ema is not None:
            update_average(self.average, self.network, decay=self.ema, step=step)
