"""Any classifier of torchvision or timm as an encoder: the network itself without its last layer.

The names of its parameters are the library's, below ``net.``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from dlcvcli.errors import CheckpointError, UsageError
from dlcvcli.models.diagram import Stage
from dlcvcli.models.encoder import Encoder
from dlcvcli.models.layers import BinnedMean, use_usual_momentum
from dlcvcli.models.registry import TIMM, model_entry
from dlcvcli.models.weights import LoadReport

# These have auxiliary heads, and their weights were trained on pixels in [-1, 1].
_INCEPTIONS = ("googlenet", "inception_v3")
_HALF = (0.5, 0.5, 0.5)

_LISTS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class _MNASNet(models.MNASNet):  # type: ignore[misc]
    """Torchvision's network that loads state dicts without their version, as checkpoints hold."""

    def _load_from_state_dict(self, *args: Any) -> None:
        nn.Module._load_from_state_dict(self, *args)


class LibraryEncoder(Encoder):
    """A network of a library that returns its features.

    Args:
        net: images ``[N, 3, H, W]`` to features ``[N, D]``.
        name: its name in the registry.
    """

    pooling = "none"

    def __init__(self, net: nn.Module, name: str) -> None:
        super().__init__()
        self.net = net
        self.name = name
        self.only_size = model_entry(name).only_size

    @property
    def feature_extractor(self) -> nn.Module:
        return self.net

    def forward(self, x: Tensor) -> Tensor:
        """Return the embeddings."""
        features: Tensor = self.net(x)
        return features

    def stages(self) -> tuple[Stage, ...]:
        """Return the network's parts, and those of lists among them."""
        stages = []
        for name, part in self.net.named_children():
            inner = part.named_children() if type(part) in _LISTS else [("", part)]
            for child, block in inner:
                if any(True for _ in block.parameters()):
                    path = f"{name}.{child}" if child else name
                    stages.append(Stage(path, (f"net.{path}",)))
        return tuple(stages)

    def dimension(self, size: tuple[int, int]) -> int:
        """Return D for images of a size (height, width).

        Raises:
            UsageError: the network does not take that size.
        """
        try:
            return super().dimension(size)
        except (RuntimeError, AssertionError, ValueError) as error:
            raise UsageError(
                f"{self.name} does not take images of {size[0]}x{size[1]}",
                "choose another --size, e.g. 224x224",
            ) from error


def torchvision_encoder(*, name: str, weights: str | None = None) -> LibraryEncoder:
    """Build one of torchvision's classifiers without its last linear layer.

    Args:
        name: its name in torchvision.
        weights: None, ``imagenet`` or a path (see `Encoder.fill`).
    """
    heads = {"aux_logits": False, "init_weights": False} if name in _INCEPTIONS else {}
    # RegNets compute their widths from tensors with values, which the meta device does not have.
    device = torch.get_default_device()
    with torch.device("cpu" if name.startswith("regnet_") else device):
        net = models.get_model(name, weights=None, **heads)
    if isinstance(net, models.MNASNet):
        net.__class__ = _MNASNet
    _remove_head(net)
    use_usual_momentum(net)
    encoder = LibraryEncoder(net.to(device), name)
    encoder.torchvision_weights = model_entry(name).weights[0]
    # The graphs of windowed attention, and of GoogLeNet's poolings that round up, have the sizes of
    # one image in them.
    encoder.any_size = encoder.only_size is None and not name.startswith(("swin_", "googlenet"))
    if name in _INCEPTIONS:
        encoder.mean = encoder.std = _HALF
    return encoder.fill(weights)


def timm_encoder(*, name: str, weights: str | None = None) -> LibraryEncoder:
    """Build one of timm's networks without its classifier, for images of one size when exported.

    Args:
        name: its name in timm, as in ``timm.create_model``.
        weights: None, ``imagenet`` for the pre-trained weights that timm names, or a path.

    Raises:
        CheckpointError: the weights cannot be downloaded or read, or do not fit.
        UsageError: ``imagenet``, and timm has no weights for the network.
    """
    import timm

    if weights == "imagenet" and not timm.is_model_pretrained(name):
        raise UsageError(f"timm has no weights for {name}", "leave --weights out")
    try:
        net = timm.create_model(name, pretrained=weights == "imagenet", num_classes=0)
    except Exception as error:  # of the download: timm's and its hub's are many
        if weights != "imagenet":
            raise
        raise CheckpointError(
            f"{TIMM}{name}: timm cannot load its weights ({type(error).__name__})",
            "use --weights PATH or --weights none",
        ) from error
    encoder = LibraryEncoder(net, f"{TIMM}{name}")
    encoder.any_size = False
    config = timm.get_pretrained_cfg(name)
    if config is not None:
        encoder.mean, encoder.std = config.mean, config.std
    if weights != "imagenet":
        return encoder.fill(weights)
    encoder.load_report = LoadReport(
        source=f"timm's weights of {name}",
        what="backbone",
        loaded=tuple(name for name, _ in net.named_parameters()),
        missing=(),
        left_over=(),
    )
    return encoder


def _remove_head(net: nn.Module) -> None:
    """Remove the last linear layer of a classifier, and make its pooling exportable, in place."""
    if isinstance(net, models.SqueezeNet):
        # Its classifier is a convolution before the mean.
        net.classifier = nn.AdaptiveAvgPool2d(1)
        return
    *_, head = (name for name, part in net.named_modules() if isinstance(part, nn.Linear))
    parent, _, child = head.rpartition(".")
    setattr(net.get_submodule(parent), child, nn.Identity())
    if isinstance(net, models.AlexNet | models.VGG):
        net.avgpool = BinnedMean(*net.avgpool.output_size)
