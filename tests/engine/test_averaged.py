"""The moving average of a task's weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dlcvcli.engine.averaged import AveragedTask
from dlcvcli.engine.task import Batch, Outcome, ParameterGroup, split_by_decay


class Line(AveragedTask[nn.Linear]):
    """A linear layer with a quadratic loss."""

    def __init__(self, ema: float | None) -> None:
        super().__init__(nn.Linear(2, 1), ema)

    def forward(self, batch: Batch, normaliser: Tensor) -> Outcome:
        return {"loss": self.network(batch["x"]).square().sum() / normaliser, "log": {}}

    def count_terms(self, batch: Batch) -> Tensor:
        return torch.tensor(len(batch["x"]))

    def parameter_groups(self) -> list[ParameterGroup]:
        return split_by_decay("layer", self.network, 1.0)


def test_without_a_decay_there_is_no_average() -> None:
    task = Line(None)
    assert task.average is None
    assert task.evaluated is task.network
    task.train().after_step(0, 10)
    assert task.state_dict().keys() == {"network.weight", "network.bias"}


def test_average_starts_equal_to_the_network_and_is_not_trained() -> None:
    task = Line(0.9)
    assert task.evaluated is task.average
    assert task.average is not None
    assert torch.equal(task.average.weight, task.network.weight)
    assert task.average.weight is not task.network.weight
    for mode in (True, False, True):
        assert task.train(mode) is task
        assert task.network.training is mode
        assert not task.average.training
    loss = task({"x": torch.ones(3, 2)}, torch.tensor(3))["loss"]
    loss.backward()
    assert task.network.weight.grad is not None
    assert task.average.weight.grad is None


@pytest.mark.parametrize(("step", "change"), [(0, 0.9), (10_000, 0.25)])
def test_average_is_updated_after_each_step(step: int, change: float) -> None:
    task = Line(0.75)
    assert task.average is not None
    before = task.average.weight.clone()
    with torch.no_grad():
        task.network.weight.add_(1.0)
    task.after_step(step, 20_000)
    torch.testing.assert_close(task.average.weight, before + change)
