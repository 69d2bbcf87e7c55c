"""Profiles of networks, against counts by hand and against real tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlcvcli.errors import UsageError
from dlcvcli.models.build import build_encoder, build_network
from dlcvcli.models.observation import LARGEST_SIDE, kept_for_backward
from dlcvcli.models.profile import Profile, build_on_meta, profile, profile_model, rounded
from dlcvcli.models.registry import model_names
from tests.models.test_observation import tiny


def test_convolution_has_the_counts_by_hand() -> None:
    cost = profile(tiny(), (10, 20))
    assert cost.flops == 2 * 10 * 20 * (3 * 3 * 3 * 8 + 8 * 5)
    assert cost.parameters == 3 * 3 * 3 * 8 + 2 * 8 + 8 * 5 + 5
    assert cost.backbone_parameters == 3 * 3 * 3 * 8 + 2 * 8
    assert cost.weight_bytes == 4 * cost.parameters
    assert (cost.gives, cost.channels) == ("masks", 5)


def test_groups_strides_and_transposed_convolutions_have_the_counts_by_hand() -> None:
    depthwise = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)
    up = nn.ConvTranspose2d(8, 5, 4, stride=2, padding=1)
    cost = profile(tiny(head=nn.Sequential(depthwise, up)), (16, 16))
    # Each cell of the transposed convolution's input meets the full kernel.
    head = 2 * 8 * 8 * 9 * 8 + 2 * 8 * 8 * 4 * 4 * 8 * 5
    assert cost.flops == 2 * 16 * 16 * 216 + head


def test_counts_on_the_meta_device_equal_those_of_real_tensors() -> None:
    name = "lraspp_mobilenet_v3_large"
    real = build_network(name, num_classes=21)
    assert kept_for_backward(real, (64, 96)) == kept_for_backward(build_on_meta(name), (64, 96))
    assert profile(real, (64, 96)).flops == profile_model(name, size=(64, 96)).flops


@pytest.mark.parametrize("name", model_names("masks"))
def test_layers_of_every_segmentation_network_add_up(name: str) -> None:
    cost = profile_model(name, num_classes=7, size=(64, 64))
    real = sum(p.numel() for p in build_on_meta(name, num_classes=7).parameters())
    assert cost.parameters == real
    assert (cost.gives, cost.channels) == ("masks", 7)
    adds_up(cost)


@pytest.mark.parametrize("name", model_names("vectors"))
def test_layers_of_every_encoder_add_up(name: str) -> None:
    cost = profile_model(name, size=(64, 72))
    real = build_encoder(name)
    assert cost.parameters == sum(p.numel() for p in real.parameters())
    assert cost.backbone_parameters == cost.parameters
    assert (cost.gives, cost.channels) == ("vectors", real.dimension((64, 72)))
    adds_up(cost)


def adds_up(cost: Profile) -> None:
    for depth in (1, 2, 9):
        rows = cost.layers(depth)
        assert sum(row.parameters for row in rows) == cost.parameters
        assert sum(row.flops for row in rows) == cost.flops
        assert len({row.name for row in rows}) == len(rows)
    assert all(row.has_run for row in cost.layers(9))


def test_layers_are_listed_at_the_requested_depth() -> None:
    cost = profile_model("deeplabv3plus_resnet50")
    assert [row.name for row in cost.layers(1)] == ["backbone", "aspp", "decoder"]
    second = {row.name: row for row in cost.layers(2)}
    # A list of modules does not count as a level.
    assert {"backbone.layer4", "aspp.atrous.2", "decoder.classifier"} <= second.keys()
    assert second["backbone.layer4"].shape == (2048, 32, 32)
    assert second["decoder.classifier"].kind == "Conv2d 1x1"
    assert "aspp.atrous.1.0" in {row.name for row in cost.layers(3)}
    kinds = {row.name: row.kind for row in cost.layers(9)}
    assert kinds["aspp.atrous.1.0"] == "Conv2d 3x3 dilation 12"
    assert kinds["backbone.conv1"] == "Conv2d 7x7 stride 2"


def test_module_with_parameters_beside_its_parts_has_its_own_row() -> None:
    class Scaled(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Conv2d(8, 5, 1))
            self.scale = nn.Parameter(torch.ones(5, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            return self[0](x) * self.scale

    rows = profile(tiny(head=Scaled()), (4, 4)).layers(2)
    assert [(row.name, row.parameters) for row in rows[-2:]] == [("head.0", 45), ("head", 5)]


def test_auxiliary_head_has_parameters_and_is_not_used_in_prediction() -> None:
    without = profile_model("deeplabv3_resnet50", size=(64, 64))
    cost = profile_model("deeplabv3_resnet50", size=(64, 64), options={"auxiliary": True})
    assert cost.flops == without.flops
    assert cost.parameters > without.parameters
    assert cost.activation_bytes > without.activation_bytes
    (row,) = (row for row in cost.layers(3) if row.name == "auxiliary")
    assert row.shape is None
    assert row.parameters == cost.parameters - without.parameters


def test_finer_map_and_larger_image_cost_more() -> None:
    coarse = profile_model("deeplabv3_resnet50")
    fine = profile_model("deeplabv3_resnet50", options={"output_stride": 8})
    tall = profile_model("deeplabv3_resnet50", size=(1024, 512))
    assert fine.parameters == tall.parameters == coarse.parameters
    assert fine.flops > 2 * coarse.flops
    assert tall.flops == pytest.approx(2 * coarse.flops, rel=1e-3)
    assert tall.activation_bytes == pytest.approx(2 * coarse.activation_bytes, rel=1e-3)


@pytest.mark.parametrize("name", ["deeplabv3plus_mobilenet_v2", "fcn8s_vgg16"])
@pytest.mark.parametrize("size", [(1, 1), (33, 500), (LARGEST_SIDE, LARGEST_SIDE)])
def test_every_possible_size_is_counted(name: str, size: tuple[int, int]) -> None:
    assert profile_model(name, size=size).flops > 0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("unet", {}, "unet"),
        ("fcn8s_vgg16", {"output_stride": 8}, "no option 'output_stride'"),
        ("deeplabv3_resnet50", {"output_stride": 7}, "8 or 16, not 7"),
    ],
)
def test_unknown_names_options_and_values_are_refused(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        profile_model(name, options=options)


def test_conv4_has_the_counts_by_hand() -> None:
    cost = profile_model("conv4", size=(28, 28))
    # Convolutions without bias, and a scale and a shift per channel of a BatchNorm.
    assert cost.parameters == 9 * 64 * (3 + 3 * 64) + 4 * 2 * 64 == 112_832
    cells = (28 * 28 * 3, 14 * 14 * 64, 7 * 7 * 64, 3 * 3 * 64)
    assert cost.flops == sum(2 * 9 * 64 * each for each in cells)
    assert [row.shape for row in cost.layers(2)] == [
        (64, 14, 14),
        (64, 7, 7),
        (64, 3, 3),
        (64, 1, 1),
    ]


def test_encoder_images_have_their_usual_size_and_no_padding() -> None:
    usual = profile_model("conv4")
    assert (usual.size, usual.channels) == ((84, 84), 1600)
    assert profile_model("lraspp_mobilenet_v3_large").size == (512, 512)
    # 95 pixels have as many cells as 80, and a finer first map.
    odd = profile_model("conv4", size=(95, 95))
    assert odd.channels == 1600
    assert profile_model("conv4", size=(80, 80)).flops < odd.flops
    assert odd.flops < profile_model("conv4", size=(96, 96)).flops


@pytest.mark.parametrize(("name", "least"), [("conv4", 16), ("resnet50", 32)])
def test_image_too_small_for_an_encoder_is_refused(name: str, least: int) -> None:
    assert profile_model(name, size=(least, least)).flops > 0
    with pytest.raises(UsageError, match=f"at least {least}x{least}, and gets 84x{least - 1}"):
        profile_model(name, size=(84, least - 1))


@pytest.mark.parametrize(
    ("number", "text"), [(1234.56, "1234.6"), (1.0, "1.0"), (0.112832, "0.11"), (0, "0.0")]
)
def test_small_numbers_keep_two_significant_digits(number: float, text: str) -> None:
    assert rounded(number) == text


def test_odd_size_costs_as_much_as_its_padded_size() -> None:
    name = "lraspp_mobilenet_v3_large"
    odd, padded = profile_model(name, size=(97, 131)), profile_model(name, size=(112, 144))
    assert odd.flops == padded.flops
    assert odd.size == (97, 131)
