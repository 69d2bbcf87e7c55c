"""Torchvision's classifiers without their last layer.

The names of the parameters are torchvision's, so that its state dicts fit as they are.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torchvision import models

from dlcvcli.models.backbones import feature_stages, stage_starts
from dlcvcli.models.diagram import Stage
from dlcvcli.models.encoder import Encoder


class ResNetEncoder(Encoder):
    """A ResNet up to its mean pooling: ``[N, 512]`` or ``[N, 2048]`` (arXiv:1512.03385)."""

    def __init__(self, net: models.ResNet, torchvision_weights: str) -> None:
        super().__init__()
        self.torchvision_weights = torchvision_weights
        for name, part in net.named_children():
            if name != "fc":
                self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the embeddings."""
        # The children stand in the order in which torchvision calls them.
        for part in self.children():
            x = part(x)
        return x.flatten(1)

    def stages(self) -> tuple[Stage, ...]:
        """List the stem and the four layers."""
        layers = (Stage(name, (name,)) for name in ("layer1", "layer2", "layer3", "layer4"))
        return (Stage("stem", ("conv1", "bn1", "maxpool")), *layers)


class MobileNetEncoder(Encoder):
    """A MobileNet up to its mean pooling, without the layers of its classifier."""

    def __init__(self, features: nn.Sequential, torchvision_weights: str) -> None:
        super().__init__()
        self.torchvision_weights = torchvision_weights
        self.features = features
        for part in features.modules():
            if isinstance(part, nn.BatchNorm2d):
                # As in `models.backbones`: torchvision's 0.01 outlasts a short run.
                part.momentum = 0.1

    def forward(self, x: Tensor) -> Tensor:
        """Compute the embeddings."""
        maps: Tensor = self.features(x)
        return maps.mean(dim=(2, 3))

    def stages(self) -> tuple[Stage, ...]:
        """Cut ``features`` before each block that strides."""
        return feature_stages([*stage_starts(self.features), len(self.features)], {})


def _resnet(build: Callable[..., models.ResNet], name: str, weights: str | None) -> Encoder:
    return ResNetEncoder(build(weights=None), name).fill(weights)


def resnet18(*, weights: str | None = None) -> Encoder:
    """Build a ResNet-18 encoder, 512 values an image; `weights`: see `Encoder.fill`."""
    return _resnet(models.resnet18, "ResNet18_Weights.IMAGENET1K_V1", weights)


def resnet34(*, weights: str | None = None) -> Encoder:
    """Build a ResNet-34 encoder, 512 values an image; `weights`: see `Encoder.fill`."""
    return _resnet(models.resnet34, "ResNet34_Weights.IMAGENET1K_V1", weights)


def resnet50(*, weights: str | None = None) -> Encoder:
    """Build a ResNet-50 encoder, 2048 values an image; `weights`: see `Encoder.fill`."""
    return _resnet(models.resnet50, "ResNet50_Weights.IMAGENET1K_V2", weights)


def mobilenet_v3_large(*, weights: str | None = None) -> Encoder:
    """Build a MobileNetV3-Large encoder, 960 values an image; `weights`: see `Encoder.fill`."""
    net = models.mobilenet_v3_large(weights=None)
    return MobileNetEncoder(net.features, "MobileNet_V3_Large_Weights.IMAGENET1K_V2").fill(weights)
