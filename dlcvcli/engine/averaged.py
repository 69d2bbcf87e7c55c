"""Tasks that may keep a moving average of their network's weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Self, TypeVar

from torch import Tensor, nn

from dlcvcli.engine.task import Task
from dlcvcli.models.averaging import averaged_copy, update_average

M = TypeVar("M", bound=nn.Module)


class AveragedTask(Task, Generic[M]):
    """Base of such tasks.

    Args:
        network: the network that is trained.
        ema: decay of the moving average; None for none.

    Attributes:
        average: the moving average, where there is one; always in evaluation mode.
    """

    network: M

    def __init__(self, network: M, ema: float | None) -> None:
        super().__init__()
        self.network = network
        self.ema = ema
        self.average: M | None = None if ema is None else averaged_copy(network)

    @property
    def evaluated(self) -> M:
        """The network that is validated, drawn and exported: the average where there is one."""
        return self.network if self.average is None else self.average

    def load_network(self, state: Mapping[str, Tensor]) -> None:
        """Load weights into the network, and into its average where there is one."""
        for network in (self.network, self.average):
            if network is not None:
                network.load_state_dict(state)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the network that is trained."""
        super().train(mode)
        if self.average is not None:
            self.average.eval()
        return self

    def after_step(self, step: int, total_steps: int) -> None:
        """Move the average towards the weights."""
        if self.average is not None and self.ema is not None:
            update_average(self.average, self.network, decay=self.ema, step=step)
