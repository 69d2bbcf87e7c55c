"""The moving average of weights: its formula, its first steps, and which weights are evaluated."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlcvcli.models.averaging import averaged_copy, evaluated_weights, update_average


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


@pytest.mark.parametrize(("step", "decay"), [(0, 0.1), (8, 0.5), (10**6, 0.99)])
def test_decay_grows_to_its_limit(step: int, decay: float) -> None:
    own = network()
    average = averaged_copy(own)
    with torch.no_grad():
        for tensor in (*own.parameters(), own[1].running_mean, own[1].running_var):
            tensor.add_(1.0)
    before = {name: value.clone() for name, value in average.state_dict().items()}
    update_average(average, own, decay=0.99, step=step)
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            expected = decay * before[name] + (1 - decay) * own.state_dict()[name]
            torch.testing.assert_close(value, expected, msg=name)


def test_counters_are_copied_and_the_average_is_not_trained() -> None:
    own = network()
    average = averaged_copy(own)
    own(torch.rand(2, 3, 4, 4))
    update_average(average, own, decay=0.9, step=3)
    assert average[1].num_batches_tracked.item() == 1
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert all(parameter.requires_grad for parameter in own.parameters())
    assert not average.training


def test_average_is_evaluated_where_there_is_one() -> None:
    one, two = torch.ones(1), torch.zeros(1)
    assert evaluated_weights({"network.a": one, "loss.b": two}) == {"a": one}
    assert evaluated_weights({"network.a": one, "average.a": two}) == {"a": two}
    assert evaluated_weights({"network.network.a": one}) == {"network.a": one}
