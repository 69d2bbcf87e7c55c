"""Normalisation of pixels."""

from __future__ import annotations

import pytest
import torch

from dlcvcli.data.normalise import MEAN, STD
from dlcvcli.models.normalise import Normalise


def test_pixels_are_normalised_channel_by_channel() -> None:
    images = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
    normalised = Normalise((0.5, 0.2, 0.0), (0.25, 0.1, 2.0))(images)
    # (0 - 0.5) / 0.25, (0.2 - 0.2) / 0.1, 1 / 2
    torch.testing.assert_close(normalised, torch.tensor([-2.0, 0.0, 0.5]).reshape(1, 3, 1, 1))


@pytest.mark.parametrize("constants", [(), ((0.1, 0.4, 0.9), (0.2, 0.3, 0.4))])
def test_every_pixel_value_of_every_channel_is_normalised(
    constants: tuple[tuple[float, ...], ...],
) -> None:
    mean, std = (torch.tensor(part) for part in constants or (MEAN, STD))
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(2, 16, 16, 3)
    normalised = Normalise(*constants)(images)
    assert normalised.shape == (2, 3, 16, 16)
    assert normalised.dtype == torch.float32
    assert normalised.is_contiguous(memory_format=torch.channels_last)
    expected = ((images / 255 - mean) / std).permute(0, 3, 1, 2)
    torch.testing.assert_close(normalised, expected, rtol=1e-5, atol=1e-6)


def test_constants_are_not_in_checkpoints_and_follow_the_module() -> None:
    layer = Normalise().double()
    assert not layer.state_dict()
    assert layer(torch.zeros(1, 2, 2, 3, dtype=torch.uint8)).dtype == torch.float64
