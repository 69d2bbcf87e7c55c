"""Losses against a hand computation and against finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dlcvcli.losses import cross_entropy_sum


def _by_hand(logits: Tensor, target: Tensor, ignore_index: int) -> float:
    """The definition, pixel by pixel, in Python's floats."""
    total = 0.0
    for n, y, x in np.ndindex(*target.shape):
        label = int(target[n, y, x])
        if label != ignore_index:
            scores = [float(score) for score in logits[n, :, y, x]]
            total += math.log(sum(math.exp(score) for score in scores)) - scores[label]
    return total


def _example(seed: int = 0, classes: int = 4) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(0, 2, (2, classes, 3, 5))).float()
    target = rng.integers(0, classes, (2, 3, 5)).astype(np.uint8)
    target[0, :, :2] = 255
    return logits, torch.from_numpy(target)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 9))
def test_the_sum_equals_the_definition(seed: int, classes: int) -> None:
    logits, target = _example(seed, classes)
    wanted = _by_hand(logits, target, 255)
    assert cross_entropy_sum(logits, target, 255).item() == pytest.approx(wanted, rel=1e-5)


def test_two_pixels_worked_out() -> None:
    # Even logits over two classes cost log 2; a lead of log 3 costs log(4/3). Their sum: log(8/3).
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]]).view(1, 2, 1, 2)
    target = torch.tensor([[[1, 0]]], dtype=torch.uint8)
    assert cross_entropy_sum(logits, target, 255).item() == pytest.approx(math.log(8 / 3))


@pytest.mark.parametrize("ignore_index", [255, 11, 4])
def test_ignored_pixels_cost_nothing_and_pull_nothing(ignore_index: int) -> None:
    logits, target = _example()
    target[target == 255] = ignore_index
    logits.requires_grad_()
    loss = cross_entropy_sum(logits, target, ignore_index)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == pytest.approx(_by_hand(logits.detach(), target, ignore_index), rel=1e-5)
    assert not gradient[0, :, :, :2].any()
    assert gradient[0, :, :, 2:].abs().min() > 0


def test_bytes_and_int64_targets_give_the_same_bits() -> None:
    logits, target = _example()
    assert torch.equal(
        cross_entropy_sum(logits, target, 255), cross_entropy_sum(logits, target.long(), 255)
    )


def test_without_a_valid_pixel_loss_and_gradient_are_zero() -> None:
    logits, target = _example()
    logits.requires_grad_()
    loss = cross_entropy_sum(logits, torch.full_like(target, 255), 255)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == 0.0
    assert torch.equal(gradient, torch.zeros_like(logits))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_give_the_loss_of_their_values_in_fp32(dtype: torch.dtype) -> None:
    logits, target = _example()
    loss = cross_entropy_sum(logits.to(dtype), target, 255)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, cross_entropy_sum(logits.to(dtype).float(), target, 255))


def test_the_loss_stays_in_fp32_under_autocast() -> None:
    logits, target = _example()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = cross_entropy_sum(logits.bfloat16(), target, 255)
    assert loss.dtype == torch.float32


def test_the_gradient_equals_finite_differences() -> None:
    logits, target = _example(seed=3)
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy_sum(logits, target, 255), logits)
    step = 1e-4
    exact = logits.detach().double()
    for place in [(0, 0, 0, 3), (0, 2, 1, 4), (1, 3, 2, 0), (1, 1, 0, 2), (0, 1, 1, 1)]:
        ends = []
        for sign in (1, -1):
            moved = exact.clone()
            moved[place] += sign * step
            # In double by the definition: in float32 the difference would drown in rounding.
            ends.append(_by_hand(moved, target, 255))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert gradient[place].item() == pytest.approx(slope, abs=2e-6)


def test_the_parts_of_a_batch_add_up_to_the_whole() -> None:
    logits, target = _example(seed=5)
    parts = [cross_entropy_sum(logits[n : n + 1], target[n : n + 1], 255) for n in range(2)]
    assert sum(parts).item() == pytest.approx(cross_entropy_sum(logits, target, 255).item())  # type: ignore[union-attr]
