"""DeepLabV3 and V3+: the contract, the dilation rates of the ASPP, the widths of the decoder."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlcvcli.errors import UsageError
from dlcvcli.models.aspp import ASPP
from dlcvcli.models.build import build_network
from dlcvcli.models.deeplab import Decoder
from tests.model_contract import NetworkContract, SegmentationContract, images


class TestResNet50(SegmentationContract):
    model_name = "deeplabv3plus_resnet50"


class TestResNet101(NetworkContract):
    model_name = "deeplabv3plus_resnet101"


class TestV3ResNet50(SegmentationContract):
    model_name = "deeplabv3_resnet50"


class TestV3ResNet101(NetworkContract):
    model_name = "deeplabv3_resnet101"


class TestMobileNetV2(SegmentationContract):
    model_name = "deeplabv3plus_mobilenet_v2"


class TestMobileNetV3Large(SegmentationContract):
    model_name = "deeplabv3plus_mobilenet_v3_large"


def dilations(module: nn.Module) -> list[int]:
    return [
        part.dilation[0]
        for part in module.modules()
        if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3)
    ]


@pytest.mark.parametrize(("output_stride", "expected"), [(16, [6, 12, 18]), (8, [12, 24, 36])])
def test_dilation_rates_follow_the_output_stride(output_stride: int, expected: list[int]) -> None:
    network = build_network(
        "deeplabv3plus_mobilenet_v3_large", num_classes=3, output_stride=output_stride
    ).eval()
    assert isinstance(network.aspp, ASPP)
    assert dilations(network.aspp) == expected
    with torch.no_grad():
        assert network(images(1, 40, 56))["out"].shape == (1, 3, 40, 56)
        high = network.get_submodule("backbone")(images(1, 64, 64)).high
    assert high.shape[2:] == (64 // output_stride, 64 // output_stride)


def test_impossible_output_stride_is_refused() -> None:
    with pytest.raises(UsageError, match="8 or 16, not 32"):
        build_network("deeplabv3plus_mobilenet_v2", num_classes=3, output_stride=32)


def test_auxiliary_head_runs_in_training_only() -> None:
    network = build_network("deeplabv3_resnet50", num_classes=3, auxiliary=True)
    x = images(2, 64, 48)
    with torch.no_grad():
        outputs = network(x)
        assert {name: tuple(logits.shape) for name, logits in outputs.items()} == {
            "out": (2, 3, 64, 48), "aux": (2, 3, 64, 48),
        }  # fmt: skip
        assert network.eval()(x).keys() == {"out"}
    plain = build_network("deeplabv3_resnet50", num_classes=3)
    with torch.no_grad():
        assert plain(x).keys() == {"out"}
    own = {name.split(".")[0] for name in network.state_dict().keys() - plain.state_dict().keys()}
    assert own == {"auxiliary"}


def test_decoder_reduces_the_shallow_map_to_48_channels() -> None:
    decoder = Decoder(24, 256, 5).eval()
    assert isinstance(decoder.low[0], nn.Conv2d)
    assert decoder.low[0].out_channels == 48
    convolutions = [part for part in decoder.refine.modules() if isinstance(part, nn.Conv2d)]
    assert [(part.in_channels, part.out_channels) for part in convolutions] == [
        (304, 256),
        (256, 256),
    ]
    with torch.no_grad():
        logits = decoder(torch.randn(2, 24, 17, 9), torch.randn(2, 256, 5, 3))
    assert logits.shape == (2, 5, 17, 9)


def test_no_weights_are_initialised_to_zero() -> None:
    network = build_network("deeplabv3plus_mobilenet_v2", num_classes=3)
    weights = [part.weight for part in network.modules() if isinstance(part, nn.Conv2d)]
    assert all(weight.std() > 0 for weight in weights)
