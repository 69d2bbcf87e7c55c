"""What networks cost, against counts by hand, torchvision's own figures and real tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlcvcli.errors import UsageError
from dlcvcli.models.observation import LARGEST_SIDE, kept_for_backward
from dlcvcli.models.profile import Profile, build_on_meta, profile, profile_model, rounded
from dlcvcli.models.registry import build_encoder, build_network, model_names
from tests.models.test_observation import tiny


def test_a_convolution_is_counted_as_by_hand() -> None:
    found = profile(tiny(), (10, 20))
    assert found.flops == 2 * 10 * 20 * (3 * 3 * 3 * 8 + 8 * 5)
    assert found.parameters == 3 * 3 * 3 * 8 + 2 * 8 + 8 * 5 + 5
    assert found.backbone_parameters == 3 * 3 * 3 * 8 + 2 * 8
    assert found.weight_bytes == 4 * found.parameters
    assert found.num_classes == 5


def test_groups_strides_and_transposed_convolutions_are_counted_as_by_hand() -> None:
    depthwise = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)
    up = nn.ConvTranspose2d(8, 5, 4, stride=2, padding=1)
    found = profile(tiny(head=nn.Sequential(depthwise, up)), (16, 16))
    # Each cell of the transposed one's input meets the whole kernel.
    head = 2 * 8 * 8 * 9 * 8 + 2 * 8 * 8 * 4 * 4 * 8 * 5
    assert found.flops == 2 * 16 * 16 * 216 + head


def test_without_memory_the_count_is_that_of_real_tensors() -> None:
    name = "lraspp_mobilenet_v3_large"
    real = build_network(name, num_classes=21)
    assert kept_for_backward(real, (64, 96)) == kept_for_backward(build_on_meta(name), (64, 96))
    assert profile(real, (64, 96)).flops == profile_model(name, size=(64, 96)).flops


@pytest.mark.parametrize("name", model_names("seg"))
def test_every_model_is_counted_and_its_layers_add_up(name: str) -> None:
    found = profile_model(name, num_classes=7, size=(64, 64))
    with torch.device("meta"):
        network = build_network(name, num_classes=7)
    assert found.parameters == sum(p.numel() for p in network.parameters())
    assert (found.num_classes, found.embedding) == (7, None)
    adds_up(found)


@pytest.mark.parametrize("name", model_names("fewshot"))
def test_every_encoder_is_counted_and_its_layers_add_up(name: str) -> None:
    found = profile_model(name, size=(64, 72))
    real = build_encoder(name)
    assert found.parameters == sum(p.numel() for p in real.parameters())
    assert found.backbone_parameters == found.parameters
    assert (found.num_classes, found.embedding) == (None, real.dimension((64, 72)))
    adds_up(found)


def adds_up(found: Profile) -> None:
    for depth in (1, 2, 9):
        rows = found.layers(depth)
        assert sum(row.parameters for row in rows) == found.parameters
        assert sum(row.flops for row in rows) == found.flops
        assert len({row.name for row in rows}) == len(rows)
    assert all(row.has_run for row in found.layers(9))


def test_layers_stand_at_the_depth_asked_for() -> None:
    found = profile_model("deeplabv3plus_resnet50")
    assert [row.name for row in found.layers(1)] == ["backbone", "aspp", "decoder"]
    second = {row.name: row for row in found.layers(2)}
    # A list of modules is no level: its modules take its place.
    assert {"backbone.layer4", "aspp.atrous.2", "decoder.classifier"} <= second.keys()
    assert second["backbone.layer4"].shape == (2048, 32, 32)
    assert second["decoder.classifier"].kind == "Conv2d 1x1"
    assert "aspp.atrous.1.0" in {row.name for row in found.layers(3)}
    kinds = {row.name: row.kind for row in found.layers(9)}
    assert kinds["aspp.atrous.1.0"] == "Conv2d 3x3 dilation 12"
    assert kinds["backbone.conv1"] == "Conv2d 7x7 stride 2"


def test_a_module_that_counts_beside_its_parts_has_a_row_for_itself() -> None:
    class Scaled(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Conv2d(8, 5, 1))
            self.scale = nn.Parameter(torch.ones(5, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            return self[0](x) * self.scale

    rows = profile(tiny(head=Scaled()), (4, 4)).layers(2)
    assert [(row.name, row.parameters) for row in rows[-2:]] == [("head.0", 45), ("head", 5)]


def test_an_auxiliary_head_has_parameters_and_is_not_predicted_with() -> None:
    without = profile_model("deeplabv3_resnet50", size=(64, 64))
    found = profile_model("deeplabv3_resnet50", size=(64, 64), options={"auxiliary": True})
    assert found.flops == without.flops
    assert found.parameters > without.parameters
    assert found.activation_bytes > without.activation_bytes
    (row,) = (row for row in found.layers(3) if row.name == "auxiliary")
    assert row.shape is None
    assert row.parameters == found.parameters - without.parameters


def test_a_finer_map_and_a_larger_image_cost_more() -> None:
    coarse = profile_model("deeplabv3_resnet50")
    fine = profile_model("deeplabv3_resnet50", options={"output_stride": 8})
    tall = profile_model("deeplabv3_resnet50", size=(1024, 512))
    assert fine.parameters == tall.parameters == coarse.parameters
    assert fine.flops > 2 * coarse.flops
    assert tall.flops == pytest.approx(2 * coarse.flops, rel=1e-3)
    assert tall.activation_bytes == pytest.approx(2 * coarse.activation_bytes, rel=1e-3)


@pytest.mark.parametrize("name", ["deeplabv3plus_mobilenet_v2", "fcn8s_vgg16"])
@pytest.mark.parametrize("size", [(1, 1), (33, 500), (LARGEST_SIDE, LARGEST_SIDE)])
def test_any_size_that_can_be_is_counted(name: str, size: tuple[int, int]) -> None:
    assert profile_model(name, size=size).flops > 0


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("unet", {}, "unet"),
        ("fcn8s_vgg16", {"output_stride": 8}, "no option 'output_stride'"),
        ("deeplabv3_resnet50", {"output_stride": 7}, "8 or 16, not 7"),
    ],
)
def test_what_cannot_be_built_is_refused(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        profile_model(name, options=options)


def test_conv4_is_counted_as_by_hand() -> None:
    found = profile_model("conv4", size=(28, 28))
    # Convolutions without a bias, and a scale and a shift of each channel of a BatchNorm.
    assert found.parameters == 9 * 64 * (3 + 3 * 64) + 4 * 2 * 64 == 112_832
    cells = (28 * 28 * 3, 14 * 14 * 64, 7 * 7 * 64, 3 * 3 * 64)
    assert found.flops == sum(2 * 9 * 64 * each for each in cells)
    assert [row.shape for row in found.layers(2)] == [
        (64, 14, 14),
        (64, 7, 7),
        (64, 3, 3),
        (64, 1, 1),
    ]


def test_an_encoder_is_counted_at_its_own_size_and_never_padded() -> None:
    usual = profile_model("conv4")
    assert (usual.size, usual.embedding) == ((84, 84), 1600)
    assert profile_model("lraspp_mobilenet_v3_large").size == (512, 512)
    # 95 pixels have as many cells as 80, and a finer first map.
    odd = profile_model("conv4", size=(95, 95))
    assert odd.embedding == 1600
    assert profile_model("conv4", size=(80, 80)).flops < odd.flops
    assert odd.flops < profile_model("conv4", size=(96, 96)).flops


@pytest.mark.parametrize(("name", "least"), [("conv4", 16), ("resnet50", 32)])
def test_an_image_too_small_for_an_encoder_is_refused(name: str, least: int) -> None:
    assert profile_model(name, size=(least, least)).flops > 0
    with pytest.raises(UsageError, match=f"at least {least}x{least}, and gets 84x{least - 1}"):
        profile_model(name, size=(84, least - 1))


@pytest.mark.parametrize(
    ("number", "text"), [(1234.56, "1234.6"), (1.0, "1.0"), (0.112832, "0.11"), (0, "0.0")]
)
def test_numbers_for_people_keep_what_says_something(number: float, text: str) -> None:
    assert rounded(number) == text


def test_an_odd_size_costs_what_it_is_padded_to() -> None:
    name = "lraspp_mobilenet_v3_large"
    odd, padded = profile_model(name, size=(97, 131)), profile_model(name, size=(112, 144))
    assert odd.flops == padded.flops
    assert odd.size == (97, 131)
