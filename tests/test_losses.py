"""Losses against their definitions, computed pixel by pixel, and finite differences."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from dlcvcli.losses import LOSSES, CrossEntropy, Dice, Lovasz, SegmentationLoss, build_loss

IGNORE = 255
WEIGHTS = (0.5, 2.0, 1.0, 3.0, 0.25, 1.5, 1.0, 0.1, 4.0)
Logits = NDArray[np.float64]
Target = NDArray[np.uint8]


# -- the definitions, in Python's floats -------------------------------------------------------


def _labelled(target: Target) -> list[tuple[int, int, int]]:
    return [place for place in np.ndindex(*target.shape) if target[place] != IGNORE]


def _softmax(scores: Logits) -> list[float]:
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    return [power / sum(powers) for power in powers]


def _pixels(
    logits: Logits, target: Target, cost: Callable[[float], float], weights: tuple[float, ...]
) -> float:
    """The weighted mean over labelled pixels of a cost of p, the probability of the own class."""
    total = count = 0.0
    for n, y, x in _labelled(target):
        label = int(target[n, y, x])
        total += weights[label] * cost(_softmax(logits[n, :, y, x])[label])
        count += weights[label]
    return total / count if count else 0.0


def _binary(logits: Logits, target: Target) -> float:
    costs = []
    for n, y, x in _labelled(target):
        for c, score in enumerate(logits[n, :, y, x]):
            p = 1 / (1 + math.exp(-score))
            costs.append(-math.log(p if c == target[n, y, x] else 1 - p))
    return sum(costs) / len(costs) if costs else 0.0


def _images(
    logits: Logits, target: Target, cost: Callable[[list[float], list[bool]], float]
) -> float:
    """The mean over images of the mean over their classes of a cost of all probabilities."""
    means = []
    for n in range(len(target)):
        places = [place for place in _labelled(target) if place[0] == n]
        costs = []
        for c in sorted({int(target[place]) for place in places}):
            probabilities = [_softmax(logits[n, :, y, x])[c] for _, y, x in places]
            costs.append(cost(probabilities, [target[place] == c for place in places]))
        if costs:
            means.append(sum(costs) / len(costs))
    return sum(means) / len(means) if means else 0.0


def _dice_of(probabilities: list[float], inside: list[bool]) -> float:
    overlap = sum(p for p, own in zip(probabilities, inside, strict=True) if own)
    return 1 - 2 * overlap / (sum(probabilities) + sum(inside))


def _lovasz_of(probabilities: list[float], inside: list[bool]) -> float:
    """The Lovász extension by its definition: errors times their increments of 1 - IoU."""
    errors = [1 - p if own else p for p, own in zip(probabilities, inside, strict=True)]
    total, wrong, before = 0.0, set(), 0.0
    for place in sorted(range(len(errors)), key=lambda i: -errors[i]):
        wrong.add(place)
        missed = sum(inside[i] for i in wrong)
        union = sum(inside) + sum(not inside[i] for i in wrong)
        after = 1 - (sum(inside) - missed) / union
        total += errors[place] * (after - before)
        before = after
    return total


def by_hand(name: str, logits: Logits, target: Target, weights: tuple[float, ...]) -> float:
    """Return what a loss is by its definition."""
    parts = {
        "cross_entropy": lambda w: _pixels(logits, target, lambda p: -math.log(p), w),
        "focal": lambda w: _pixels(logits, target, lambda p: -((1 - p) ** 2) * math.log(p), w),
        "exponential_cross_entropy": lambda w: _pixels(
            logits, target, lambda p: (-math.log(p)) ** 0.3, w
        ),
        "bce": lambda w: _binary(logits, target),
        "dice": lambda w: _images(logits, target, _dice_of),
        "lovasz": lambda w: _images(logits, target, _lovasz_of),
    }
    return sum(parts[part](weights) for part in name.split("+"))


# -- examples ----------------------------------------------------------------------------------


def example(seed: int = 0, classes: int = 4) -> tuple[Tensor, Tensor]:
    """Logits and a mask; some pixels are ignored, and not every class need occur."""
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(0, 2, (2, classes, 3, 5))).float()
    target = rng.integers(0, classes, (2, 3, 5)).astype(np.uint8)
    target[0, :, :2] = IGNORE
    return logits, torch.from_numpy(target)


def loss_of(name: str, logits: Tensor, target: Tensor, weights: tuple[float, ...] | None) -> Tensor:
    loss = build_loss(name, ignore_index=IGNORE, class_weights=weights)
    total: Tensor = loss(logits, target, loss.count(target))
    return total


@pytest.mark.parametrize("name", LOSSES)
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(2, 9), weighted=st.booleans())
def test_a_loss_equals_its_definition(name: str, seed: int, classes: int, weighted: bool) -> None:
    logits, target = example(seed, classes)
    weights = WEIGHTS[:classes] if weighted else (1.0,) * classes
    wanted = by_hand(name, logits.double().numpy(), target.numpy(), weights)
    got = loss_of(name, logits, target, weights if weighted else None)
    assert got.dtype == torch.float32
    assert got.item() == pytest.approx(wanted, rel=2e-5, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_equals_finite_differences(name: str) -> None:
    logits, target = example(seed=3)
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of(name, logits, target, WEIGHTS[:4]), logits)
    step, exact = 1e-5, logits.detach().double().numpy()
    for place in [(0, 0, 0, 3), (0, 2, 1, 4), (1, 3, 2, 0), (1, 1, 0, 2), (0, 1, 1, 1)]:
        ends = []
        for sign in (1, -1):
            moved = exact.copy()
            moved[place] += sign * step
            # The definition in float64, since rounding in float32 exceeds the difference.
            ends.append(by_hand(name, moved, target.numpy(), WEIGHTS[:4]))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert gradient[place].item() == pytest.approx(slope, abs=2e-6)


def test_two_pixels_match_a_hand_computation() -> None:
    # Even logits over two classes cost log 2; a lead of log 3 costs log(4/3): half of log(8/3).
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]]).view(1, 2, 1, 2)
    target = torch.tensor([[[1, 0]]], dtype=torch.uint8)
    assert loss_of("cross_entropy", logits, target, None).item() == pytest.approx(
        math.log(8 / 3) / 2
    )
    # Of class 0 the two hold 1/2 and 3/4, of class 1 they hold 1/2 and 1/4.
    dice = (1 - 2 * 0.75 / (1.25 + 1) + 1 - 2 * 0.5 / (0.75 + 1)) / 2
    assert loss_of("dice", logits, target, None).item() == pytest.approx(dice)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("ignore_index", [255, 11, 4])
def test_ignored_pixels_have_no_loss_and_no_gradient(name: str, ignore_index: int) -> None:
    logits, target = example()
    expected = loss_of(name, logits, target, None)
    target[target == IGNORE] = ignore_index
    loss = build_loss(name, ignore_index=ignore_index)
    logits[0, :, :, :2] += 7
    logits.requires_grad_()
    value = loss(logits, target, loss.count(target))
    (gradient,) = torch.autograd.grad(value, logits)
    torch.testing.assert_close(value, expected)
    assert not gradient[0, :, :, :2].any()
    assert gradient[0, :, :, 2:].any()


@pytest.mark.parametrize("name", LOSSES)
def test_without_a_labelled_pixel_loss_and_gradient_are_zero(name: str) -> None:
    logits, target = example()
    logits.requires_grad_()
    loss = loss_of(name, logits, torch.full_like(target, IGNORE), WEIGHTS[:4])
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == 0.0
    assert torch.equal(gradient, torch.zeros_like(logits))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("sign", [1, -1])
def test_certain_predictions_give_no_nan(name: str, sign: int) -> None:
    # Classes 2 and 3 are absent; a probability is 0 or 1 to the last digit.
    logits = torch.zeros(1, 4, 2, 2)
    logits[:, 0] = 200.0 * sign
    logits.requires_grad_()
    target = torch.tensor([[[0, 0], [0, 1]]], dtype=torch.uint8)
    loss = loss_of(name, logits, target, None)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_give_the_loss_of_their_values_in_fp32(
    name: str, dtype: torch.dtype
) -> None:
    logits, target = example()
    expected = loss_of(name, logits.to(dtype).float(), target, None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_of(name, logits.to(dtype), target, None)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)


@pytest.mark.parametrize("name", LOSSES)
def test_the_losses_of_parts_add_up_to_the_loss_of_the_batch(name: str) -> None:
    # As on two ranks: each divides its sums by the terms of both.
    logits, target = example(seed=5)
    loss: SegmentationLoss = build_loss(name, ignore_index=IGNORE, class_weights=WEIGHTS[:4])
    counts = loss.count(target[:1]) + loss.count(target[1:])
    assert torch.equal(counts, loss.count(target))
    parts = [loss(logits[n : n + 1], target[n : n + 1], counts) for n in range(2)]
    torch.testing.assert_close(parts[0] + parts[1], loss(logits, target, counts))


def test_bytes_and_int64_targets_give_the_same_bits() -> None:
    logits, target = example()
    for name in LOSSES:
        one, other = (loss_of(name, logits, t, None) for t in (target, target.long()))
        assert torch.equal(one, other)


def test_class_weights_are_not_in_a_checkpoint() -> None:
    loss = build_loss("cross_entropy+dice", ignore_index=IGNORE, class_weights=(1.0, 2.0))
    assert loss.state_dict() == {}
    assert [type(part) for part in loss.parts] == [CrossEntropy, Dice]


def test_lovasz_equals_one_minus_iou_for_certain_predictions() -> None:
    # On masks, not probabilities, it is 1 - IoU of each class (Berman et al., section 2).
    for first, second in itertools.product((0, 1), repeat=2):
        ids = torch.tensor([first, second, 0, 1])
        logits = 200.0 * torch.nn.functional.one_hot(ids, 2).T.reshape(1, 2, 1, 4).float()
        target = torch.tensor([[[0, 0, 1, 1]]])
        ious = [
            ((ids == c) & (target[0, 0] == c)).sum() / ((ids == c) | (target[0, 0] == c)).sum()
            for c in (0, 1)
        ]
        got = Lovasz(IGNORE).sum(logits, target)
        assert got.item() == pytest.approx(1 - float(sum(ious)) / 2, abs=1e-6)


@pytest.mark.parametrize(("name", "gamma"), [("focal", 3.0), ("exponential_cross_entropy", 0.5)])
def test_the_exponent_can_be_chosen(name: str, gamma: float) -> None:
    logits, target = example()
    chosen = build_loss(name, ignore_index=IGNORE, gamma=gamma)
    published = loss_of(name, logits, target, None)
    assert chosen(logits, target, chosen.count(target)).item() != pytest.approx(published.item())
