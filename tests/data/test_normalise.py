"""The statistics are those of ImageNet, and the mean colour normalises to zero."""

from __future__ import annotations

import pytest
from torchvision.models import (
    MobileNet_V2_Weights,
    MobileNet_V3_Large_Weights,
    ResNet50_Weights,
    VGG16_Weights,
    WeightsEnum,
)

from dlcvcli.data.normalise import MEAN, MEAN_COLOUR, STD

WEIGHTS = [ResNet50_Weights, MobileNet_V2_Weights, MobileNet_V3_Large_Weights, VGG16_Weights]


@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_statistics_are_those_of_the_pre_trained_weights(weights: type[WeightsEnum]) -> None:
    expected = weights["IMAGENET1K_V1"].transforms()
    assert list(MEAN) == expected.mean
    assert list(STD) == expected.std


def test_the_mean_colour_is_the_mean_to_the_nearest_level() -> None:
    assert [mean * 255 for mean in MEAN] == pytest.approx([123.675, 116.28, 103.53])
    assert tuple(round(mean * 255) for mean in MEAN) == MEAN_COLOUR


def test_the_filling_normalises_to_zero() -> None:
    for colour, mean, std in zip(MEAN_COLOUR, MEAN, STD, strict=True):
        assert abs(colour / 255 - mean) / std < 0.01
