"""Backbones: dilated maps contain the strided ones, and parameter names are torchvision's."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v2, mobilenet_v3_large, resnet50

from dlcvcli.models.backbones import Backbone, MobileNetV2, MobileNetV3Large, ResNet50
from tests.model_contract import images

BACKBONES = [ResNet50, MobileNetV2, MobileNetV3Large]


@pytest.mark.parametrize("kind", BACKBONES)
@pytest.mark.parametrize("output_stride", [8, 16])
def test_maps_have_the_documented_channels_and_strides(
    kind: type[ResNet50 | MobileNetV2 | MobileNetV3Large], output_stride: int
) -> None:
    backbone: Backbone = kind(output_stride=output_stride).eval()
    with torch.no_grad():
        low, middle, high = backbone(images(1, 96, 64))
    deep = (96 // output_stride, 64 // output_stride)
    assert middle.shape == (1, backbone.middle_channels, *deep)
    assert low.shape == (1, backbone.low_channels, 24, 16)
    assert high.shape == (1, backbone.high_channels, 96 // output_stride, 64 // output_stride)


def test_shallow_map_of_mobilenet_v3_can_have_stride_8() -> None:
    backbone = MobileNetV3Large(low_stride=8).eval()
    with torch.no_grad():
        assert backbone(images(1, 64, 64)).low.shape == (1, 40, 8, 8)


def remove_squeeze(features: nn.Module) -> None:
    """Remove MobileNetV3's global pooling, whose result depends on the strides."""
    for part in features.modules():
        for name, child in part.named_children():
            if type(child).__name__ == "SqueezeExcitation":
                setattr(part, name, nn.Identity())


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("kind", BACKBONES)
def test_dilated_map_contains_the_strided_one(
    kind: type[ResNet50 | MobileNetV2 | MobileNetV3Large], output_stride: int
) -> None:
    torch.manual_seed(0)
    dilated = kind(output_stride=output_stride).eval()
    classifier: nn.Module
    if isinstance(dilated, ResNet50):
        classifier = resnet50(weights=None).eval()
        classifier.load_state_dict(dilated.state_dict(), strict=False)
        classifier.avgpool = classifier.fc = nn.Identity()
        out_shape = (1, 2048, 3, 4)
    else:
        make = mobilenet_v2 if isinstance(dilated, MobileNetV2) else mobilenet_v3_large
        classifier = make(weights=None).eval().features[: len(dilated.features)]
        classifier.load_state_dict(dilated.features.state_dict())
        remove_squeeze(classifier)
        remove_squeeze(dilated)
        out_shape = (1, dilated.high_channels, 3, 4)
    x = images(1, 90, 100)
    step = 32 // output_stride
    with torch.no_grad():
        strided = classifier(x).reshape(out_shape)
        kept = dilated(x).high[:, :, ::step, ::step]
    torch.testing.assert_close(kept, strided, rtol=1e-4, atol=1e-5 * float(strided.abs().max()))


@pytest.mark.parametrize(
    ("kind", "make"),
    [(ResNet50, resnet50), (MobileNetV2, mobilenet_v2), (MobileNetV3Large, mobilenet_v3_large)],
)
def test_parameter_names_and_shapes_are_torchvisions(
    kind: type[ResNet50 | MobileNetV2 | MobileNetV3Large], make: type[nn.Module]
) -> None:
    theirs = {name: tensor.shape for name, tensor in make(weights=None).state_dict().items()}
    for name, tensor in kind().state_dict().items():
        assert theirs[name] == tensor.shape


def test_batchnorm_momentum_is_the_same_in_every_backbone() -> None:
    for kind in BACKBONES:
        momenta = {part.momentum for part in kind().modules() if isinstance(part, nn.BatchNorm2d)}
        assert momenta == {0.1}
