"""Layers of the heads: sizes, numbers of parameters, initial weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from dlcvcli.models.layers import conv3x3, conv_bn_relu, init_head, resize_like


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("kernel_size", "dilation"), [(1, 1), (3, 1), (3, 6), (5, 2)])
def test_convolution_keeps_the_size_of_the_map(kernel_size: int, dilation: int) -> None:
    block = conv_bn_relu(4, 6, kernel_size=kernel_size, dilation=dilation)
    out = block(torch.randn(2, 4, 7, 10))
    assert out.shape == (2, 6, 7, 10)
    assert out.min() == 0
    assert parameters(block) == kernel_size**2 * 4 * 6 + 2 * 6


def test_plain_and_separable_3x3_have_the_parameters_of_the_paper() -> None:
    assert parameters(conv3x3(8, 16)) == 9 * 8 * 16 + 2 * 16
    separable = conv3x3(8, 16, separable=True)
    assert parameters(separable) == (9 * 8 + 2 * 8) + (8 * 16 + 2 * 16)
    assert separable(torch.randn(2, 8, 5, 9)).shape == (2, 16, 5, 9)


@pytest.mark.parametrize("separable", [False, True])
def test_field_of_view_of_a_dilated_3x3_follows_its_dilation(separable: bool) -> None:
    block = conv3x3(3, 5, dilation=4, separable=separable).eval()
    x = torch.zeros(1, 3, 11, 11, requires_grad=True)
    # Without its ReLUs, which could hide a weight of the kernel.
    linear = nn.Sequential(*(part for part in block.modules() if isinstance(part, nn.Conv2d)))
    linear(x)[0, :, 5, 5].sum().backward()
    assert x.grad is not None
    seen = x.grad[0].abs().sum(0).nonzero().tolist()
    assert seen == [[row, column] for row in (1, 5, 9) for column in (1, 5, 9)]


def test_initial_weights_have_the_deviation_of_the_fan_in() -> None:
    torch.manual_seed(0)
    head = nn.Sequential(nn.Conv2d(64, 32, 3), nn.ReLU(), nn.Sequential(nn.Conv2d(256, 128, 1)))
    init_head(head)
    for part in head.modules():
        if isinstance(part, nn.Conv2d):
            inputs = part.in_channels * part.kernel_size[0] ** 2
            assert part.weight.std().item() == pytest.approx(math.sqrt(2 / inputs), rel=0.03)
            assert part.bias is not None
            assert not part.bias.any()


def test_fan_in_of_a_depthwise_convolution_is_one_channel() -> None:
    torch.manual_seed(0)
    block = conv3x3(512, 8, separable=True)
    init_head(block)
    depthwise = next(part for part in block.modules() if isinstance(part, nn.Conv2d))
    assert depthwise.weight.std().item() == pytest.approx(math.sqrt(2 / 9), rel=0.05)


def test_initialisation_leaves_norms_unchanged() -> None:
    norm = nn.BatchNorm2d(3)
    nn.init.constant_(norm.weight, 0.5)
    nn.init.constant_(norm.bias, 0.25)
    init_head(nn.Sequential(norm))
    assert norm.weight.tolist() == [0.5] * 3
    assert norm.bias.tolist() == [0.25] * 3


def test_resizing_is_bilinear_without_aligned_corners() -> None:
    x = torch.tensor([[[[0.0, 4.0]]]])
    out = resize_like(x, torch.empty(9, 7, 2, 4))
    assert out.shape == (1, 1, 2, 4)
    # Cells of half the width, with centres at -1/4, 1/4, 3/4 and 5/4 of a step.
    for row in out[0, 0].tolist():
        assert row == pytest.approx([0.0, 1.0, 3.0, 4.0])
