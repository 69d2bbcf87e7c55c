"""Torchvision's classifiers without their heads, as encoders.

The parameters have the same names as in torchvision, whose state dicts load unchanged.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torchvision import models

from dlcvcli.models.backbones import feature_stages, stage_starts
from dlcvcli.models.diagram import Stage
from dlcvcli.models.encoder import Encoder


class ResNetEncoder(Encoder):
    """A ResNet up to its global average pooling (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, net: models.ResNet, torchvision_weights: str) -> None:
        super().__init__()
        self.torchvision_weights = torchvision_weights
        for name, part in net.named_children():
            if name != "fc":
                self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embeddings."""
        # The children are registered in the order in which torchvision calls them.
        for part in self.children():
            x = part(x)
        return x.flatten(1)

    def stages(self) -> tuple[Stage, ...]:
        """Return the stem and the four layers."""
        layers = (Stage(name, (name,)) for name in ("layer1", "layer2", "layer3", "layer4"))
        return (Stage("stem", ("conv1", "bn1", "maxpool")), *layers)


class MobileNetEncoder(Encoder):
    """A MobileNet up to its global average pooling."""

    def __init__(self, features: nn.Sequential, torchvision_weights: str) -> None:
        super().__init__()
        self.torchvision_weights = torchvision_weights
        self.features = features
        for part in features.modules():
            if isinstance(part, nn.BatchNorm2d):
                # Torchvision's 0.01 is too slow for a short run; see `backbones._MobileNet`.
                part.momentum = 0.1

    def forward(self, x: Tensor) -> Tensor:
        """Return the embeddings."""
        maps: Tensor = self.features(x)
        return maps.mean(dim=(2, 3))

    def stages(self) -> tuple[Stage, ...]:
        """Return ``features`` split at the blocks with stride."""
        return feature_stages([*stage_starts(self.features), len(self.features)], {})


def _resnet(build: Callable[..., models.ResNet], name: str, weights: str | None) -> Encoder:
    return ResNetEncoder(build(weights=None), name).fill(weights)


def resnet18(*, weights: str | None = None) -> Encoder:
    """Build a ResNet-18 encoder of 512 values; `weights` as in `Encoder.fill`."""
    return _resnet(models.resnet18, "ResNet18_Weights.IMAGENET1K_V1", weights)


def resnet34(*, weights: str | None = None) -> Encoder:
    """Build a ResNet-34 encoder of 512 values; `weights` as in `Encoder.fill`."""
    return _resnet(models.resnet34, "ResNet34_Weights.IMAGENET1K_V1", weights)


def resnet50(*, weights: str | None = None) -> Encoder:
    """Build a ResNet-50 encoder of 2048 values; `weights` as in `Encoder.fill`."""
    return _resnet(models.resnet50, "ResNet50_Weights.IMAGENET1K_V2", weights)


def mobilenet_v3_large(*, weights: str | None = None) -> Encoder:
    """Build a MobileNetV3-Large encoder of 960 values; `weights` as in `Encoder.fill`."""
    net = models.mobilenet_v3_large(weights=None)
    return MobileNetEncoder(net.features, "MobileNet_V3_Large_Weights.IMAGENET1K_V2").fill(weights)
