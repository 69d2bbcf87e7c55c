"""ResNet-12: its number of parameters, its blocks, and dropout in training only."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from dlcvcli.models.resnet12 import ResidualBlock, resnet12
from tests.model_contract import images
from tests.models.test_encoder import randomise_norms


def test_number_of_parameters_is_the_count_by_hand() -> None:
    widths = (3, 64, 160, 320, 640)
    expected = 0
    for before, after in pairwise(widths):
        # Three convolutions, a 1x1 shortcut, and the scale and shift of four BatchNorms.
        expected += 9 * before * after + 2 * 9 * after * after + before * after + 4 * 2 * after
    assert sum(parameter.numel() for parameter in resnet12().parameters()) == expected


@pytest.mark.parametrize("size", [(16, 16), (84, 84), (33, 50)])
def test_every_size_gives_640_values(size: tuple[int, int]) -> None:
    with torch.no_grad():
        assert resnet12().eval()(images(1, *size)).shape == (1, 640)


def test_block_is_the_sum_of_its_two_branches() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(3, 8).eval()
    randomise_norms(block)
    x = images(2, 9, 12)
    with torch.no_grad():
        way = x
        for index, part in enumerate(block.convs):
            conv, norm = part
            way = F.batch_norm(
                F.conv2d(way, conv.weight, padding=1),
                norm.running_mean,
                norm.running_var,
                norm.weight,
                norm.bias,
            )
            # The third is added to the shortcut before its activation.
            way = way if index == 2 else torch.where(way > 0, way, 0.1 * way)
        summed = way + block.shortcut(x)
        expected = F.max_pool2d(torch.where(summed > 0, summed, 0.1 * summed), 2)
        assert expected.shape == (2, 8, 4, 6)
        torch.testing.assert_close(block(x), expected)


def test_channels_are_dropped_in_training_only() -> None:
    torch.manual_seed(0)
    encoder = resnet12(dropout=0.5)
    x = images(2, 32, 32)
    with torch.no_grad():
        dropped = encoder(x)
        assert not torch.equal(dropped, encoder(x))
        # A channel that the last dropout dropped has a mean of exactly 0.
        assert 0.3 < float((dropped == 0).float().mean()) < 0.7
        encoder.eval()
        assert torch.equal(encoder(x), encoder(x))
        assert torch.equal(resnet12(dropout=0.0).train()(x) == 0, torch.zeros(2, 640).bool())
