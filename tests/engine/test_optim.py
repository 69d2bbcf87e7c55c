"""The learning rate is a pure function of the step, and groups keep their scale."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from dlcvcli.config.schema import OptimSettings, ScheduleSettings
from dlcvcli.engine.optim import build_optimizer, lr_factor, set_lr
from dlcvcli.engine.task import split_by_decay


def test_poly_falls_from_one_to_zero() -> None:
    schedule = ScheduleSettings(name="poly", power=0.9)
    assert lr_factor(0, 100, schedule, 0.1) == 1
    assert lr_factor(50, 100, schedule, 0.1) == pytest.approx(0.5**0.9)
    assert lr_factor(100, 100, schedule, 0.1) == 0


def test_step_reduces_the_learning_rate_every_1000_steps() -> None:
    schedule = ScheduleSettings(name="step", every=1000, gamma=0.9)
    factors = [lr_factor(step, 5000, schedule, 0.1) for step in (0, 999, 1000, 4999)]
    assert factors == pytest.approx([1, 1, 0.9, 0.9**4])


def test_cosine_ends_at_min_lr_even_above_the_peak() -> None:
    schedule = ScheduleSettings(name="cosine", min_lr=0.01)
    assert lr_factor(50, 100, schedule, 0.1) == pytest.approx((0.1 + 0.01) / 2 / 0.1)
    assert lr_factor(100, 100, schedule, 0.1) * 0.1 == pytest.approx(0.01)
    # One of the studies has min_lr above the peak: the learning rate rises.
    assert lr_factor(100, 100, schedule, 1e-5) * 1e-5 == pytest.approx(0.01)


def test_linear_warm_up_precedes_the_schedule() -> None:
    schedule = ScheduleSettings(name="cosine", warmup=4)
    rise = [lr_factor(step, 104, schedule, 1.0) for step in range(5)]
    assert rise == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert lr_factor(54, 104, schedule, 1.0) == pytest.approx((1 + math.cos(math.pi / 2)) / 2)


def test_warm_up_of_warmup_cosine_defaults_to_a_twentieth_of_the_steps() -> None:
    schedule = ScheduleSettings(name="warmup+cosine", min_lr=0.01)
    factors = [lr_factor(step, 100, schedule, 0.1) for step in (0, 4, 5, 100)]
    assert factors == pytest.approx([0.2, 1.0, 1.0, 0.1])
    explicit = ScheduleSettings(name="warmup+cosine", warmup=10)
    assert lr_factor(4, 100, explicit, 0.1) == 0.5
    with pytest.raises(ValidationError, match="without warm-up use cosine"):
        ScheduleSettings(name="warmup+cosine", warmup=0)


@given(
    st.sampled_from(["poly", "step", "cosine", "constant"]),
    st.integers(1, 500),
    st.integers(0, 50),
    st.data(),
)
def test_learning_rate_is_between_zero_and_the_peak(
    name: str, total: int, warmup: int, data: st.DataObject
) -> None:
    step = data.draw(st.integers(0, total))
    schedule = ScheduleSettings(name=name, warmup=warmup)  # type: ignore[arg-type]
    assert 0 <= lr_factor(step, total, schedule, 0.1) <= 1


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_groups_keep_their_scale_and_only_weights_have_weight_decay(name: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    settings = OptimSettings(name=name, lr=0.1, weight_decay=0.05)  # type: ignore[arg-type]
    optimizer = build_optimizer(split_by_decay("net", net, 0.1), settings)
    decays = {group["name"]: group["weight_decay"] for group in optimizer.param_groups}
    assert decays == {"net": 0.05, "net, no decay": 0.0}
    assert len(optimizer.param_groups[1]["params"]) == 3
    set_lr(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.05]


def test_step_of_sgd_is_learning_rate_times_gradient() -> None:
    weight = nn.Linear(1, 1, bias=False)
    nn.init.constant_(weight.weight, 1.0)
    settings = OptimSettings(name="sgd", lr=0.5, weight_decay=0.0, momentum=0.0)
    optimizer = build_optimizer(split_by_decay("w", weight, 1.0), settings)
    weight(torch.ones(1, 1)).sum().backward()
    optimizer.step()
    assert weight.weight.item() == pytest.approx(0.5)
