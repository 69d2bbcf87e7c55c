"""Atrous spatial pyramid pooling: its branches, their dilation rates and their field of view."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlcvcli.models.aspp import ASPP


def dilations(module: nn.Module) -> list[int]:
    return [
        part.dilation[0]
        for part in module.modules()
        if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3)
    ]


@pytest.mark.parametrize("separable", [False, True])
def test_aspp_joins_five_branches_of_256_channels(separable: bool) -> None:
    aspp = ASPP(16, (6, 12, 18), separable=separable).eval()
    assert dilations(aspp) == [6, 12, 18]
    project = aspp.project[0]
    assert isinstance(project, nn.Sequential)
    assert isinstance(project[0], nn.Conv2d)
    assert project[0].in_channels == 5 * 256
    with torch.no_grad():
        assert aspp(torch.randn(1, 16, 5, 9)).shape == (1, 256, 5, 9)


def test_aspp_sees_the_full_map() -> None:
    aspp = ASPP(4, (6, 12, 18)).eval()
    x = torch.randn(1, 4, 50, 50)
    far = x.clone()
    far[:, :, -1, -1] += 10
    with (
        torch.no_grad()
    ):  # outside of every 3x3 kernel at dilation 18, inside of the mean over the map
        assert not torch.equal(aspp(x)[:, :, 0, 0], aspp(far)[:, :, 0, 0])
