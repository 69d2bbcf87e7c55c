"""The contract between a task and the engine: parameter groups and abstract methods."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlcvcli.engine.task import Task, split_by_decay
from tests.engine.tiny import TinyTask


def test_weights_have_weight_decay_and_biases_and_norms_have_none() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    weights, vectors = split_by_decay("head", net, 0.1)
    assert (weights.name, weights.lr_scale, weights.decay) == ("head", 0.1, True)
    assert (vectors.name, vectors.lr_scale, vectors.decay) == ("head, no decay", 0.1, False)
    assert [tuple(p.shape) for p in weights.parameters] == [(4, 3, 3, 3), (2, 4)]
    assert [tuple(p.shape) for p in vectors.parameters] == [(4,), (4,), (4,), (2,)]


def test_scalar_parameter_has_no_weight_decay() -> None:
    module = nn.Module()
    module.temperature = nn.Parameter(torch.tensor(0.07))
    (group,) = split_by_decay("loss", module, 1.0)
    assert (group.name, group.decay) == ("loss, no decay", False)


def test_group_without_parameters_is_left_out() -> None:
    (group,) = split_by_decay("conv", nn.Conv2d(3, 4, 1, bias=False), 1.0)
    assert (group.name, len(group.parameters)) == ("conv", 1)
    assert split_by_decay("none", nn.ReLU(), 1.0) == []


def test_frozen_parameters_are_in_no_group() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    net[0].requires_grad_(False)
    (group,) = split_by_decay("net", net, 1.0)
    assert {id(p) for p in group.parameters} == {id(p) for p in net[1].parameters()}


def test_shared_weight_is_in_its_group_once() -> None:
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[1].weight = net[0].weight
    (group,) = split_by_decay("net", net, 1.0)
    assert len(group.parameters) == 1


def test_task_without_abstract_methods_cannot_be_instantiated() -> None:
    class Incomplete(Task):
        forward = TinyTask.forward

    with pytest.raises(TypeError, match=r"count_terms.*parameter_groups"):
        Incomplete()  # type: ignore[abstract]


def test_after_step_does_nothing_by_default() -> None:
    task = TinyTask()
    before = {name: value.clone() for name, value in task.state_dict().items()}
    task.after_step(1, 10)
    after = task.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
