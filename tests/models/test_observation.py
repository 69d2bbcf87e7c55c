"""Measurements of a pass through a network, against counts by hand and torchvision's figures."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import get_weight

from dlcvcli.errors import UsageError
from dlcvcli.models.network import SegmentationNetwork
from dlcvcli.models.observation import LARGEST_SIDE, OUT, kept_for_backward, observe


class Tiny(SegmentationNetwork):
    """A network small enough to count by hand."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": self.head(self.backbone(x))}


class Wrapped(nn.Module):
    """A classifier of torchvision as a network."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": self.net(x)}


def tiny(*, device: str = "meta", head: nn.Module | None = None) -> Tiny:
    conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    backbone = nn.Sequential(conv, nn.BatchNorm2d(8), nn.ReLU(inplace=True))
    return Tiny(backbone, head or nn.Conv2d(8, 5, 1)).to(device)


@pytest.mark.parametrize(
    ("builder", "weights"),
    [
        ("resnet50", "ResNet50_Weights.IMAGENET1K_V1"),
        ("resnet101", "ResNet101_Weights.IMAGENET1K_V1"),
        ("mobilenet_v2", "MobileNet_V2_Weights.IMAGENET1K_V1"),
        ("mobilenet_v3_large", "MobileNet_V3_Large_Weights.IMAGENET1K_V1"),
        ("vgg16", "VGG16_Weights.IMAGENET1K_V1"),
    ],
)
def test_flops_of_classifiers_are_torchvisions(builder: str, weights: str) -> None:
    with torch.device("meta"):
        network = Wrapped(getattr(torchvision.models, builder)(weights=None))
    published = get_weight(weights).meta["_ops"]  # 1e9 multiply-adds at 224 x 224
    assert observe(network, (224, 224)).flops[""] / 2e9 == pytest.approx(published, abs=6e-4)


def test_activations_kept_for_backward_have_the_count_by_hand() -> None:
    # The image for the first convolution, its output for the BatchNorm, and the ReLU's for the
    # ReLU and the classifier; beside them the BatchNorm's mean and deviation, for both images.
    maps = 10 * 20 * (3 + 8 + 8)
    assert kept_for_backward(tiny(), (10, 20)) == 4 * maps + 4 * 8


def test_single_tensor_is_the_main_output() -> None:
    flat = nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), nn.Flatten()).to("meta")
    seen = observe(flat, (8, 6))
    ((name, output),) = seen.outputs.items()
    assert (name, tuple(output.shape)) == (OUT, (1, 48))
    assert seen.shapes[""] == (48,)


@pytest.mark.parametrize("training", [True, False])
def test_network_is_restored(training: bool) -> None:
    network = tiny(device="cpu").train(training)
    network.head.train(not training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    observe(network, (8, 8))
    assert [network.training, network.backbone.training] == [training, training]
    assert network.head.training is not training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    x = torch.randn(2, 3, 8, 8)
    shifted = nn.functional.batch_norm(
        network.backbone[0](x), torch.zeros(8), torch.ones(8), training=training
    )
    assert torch.allclose(network.backbone(x), shifted.relu())


@pytest.mark.parametrize("size", [(0, 8), (8, LARGEST_SIDE + 1)])
def test_impossible_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=f"{size[0]}x{size[1]}"):
        observe(tiny(), size)
    with pytest.raises(UsageError, match=f"{size[0]}x{size[1]}"):
        kept_for_backward(tiny(), size)
