"""ResNet-9 against counts by hand."""

from __future__ import annotations

import pytest
import torch

from dlcvcli.models.profile import profile_model
from dlcvcli.models.resnet9 import ResNet9


@pytest.mark.parametrize("channels", [64, 16])
def test_counts_are_those_by_hand(channels: int) -> None:
    c = channels
    pairs = [(3, c), (c, 2 * c), *[(2 * c, 2 * c)] * 2, (2 * c, 4 * c), (4 * c, 8 * c)]
    pairs += [(8 * c, 8 * c)] * 2
    cost = profile_model("resnet9", size=(32, 32), options={"channels": c})
    # Convolutions without bias, and a scale and a shift per channel of a BatchNorm.
    assert cost.parameters == sum(9 * before * after + 2 * after for before, after in pairs)
    cells = (32**2, 32**2, 16**2, 16**2, 16**2, 8**2, 4**2, 4**2)
    assert cost.flops == sum(
        2 * 9 * before * after * cell for (before, after), cell in zip(pairs, cells, strict=True)
    )
    assert cost.channels == 8 * c


def test_embedding_is_the_maximum_over_the_last_map() -> None:
    torch.manual_seed(0)
    encoder = ResNet9(channels=4).eval()
    x = torch.rand(2, 3, 32, 40)
    with torch.no_grad():
        maps = encoder.layer3(encoder.layer2(encoder.layer1(encoder.stem(x))))
        assert maps.shape == (2, 32, 4, 5)
        assert torch.equal(encoder(x), maps.flatten(2).max(dim=2).values)
