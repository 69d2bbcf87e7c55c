"""FCNs: the contract, the fused scores, and the bilinear kernel against values by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from dlcvcli.models.backbones import VGGFeatures
from dlcvcli.models.fcn import (
    FCN,
    BilinearUpsample,
    FCN8s,
    FCN16s,
    FCN32s,
    bilinear_kernel,
    zero_score,
)
from tests.model_contract import CLASSES, NetworkContract, SegmentationContract, images


class TestFCN16s(NetworkContract):
    model_name = "fcn16s_vgg16"


class TestFCN8s(SegmentationContract):
    model_name = "fcn8s_vgg16"


class TestFCN32s(NetworkContract):
    model_name = "fcn32s_vgg16"

    def test_upsampling_is_no_trainable_parameter(self, network: nn.Module) -> None:
        trained = {name.split(".")[0] for name, _ in network.named_parameters()}
        assert trained == {"backbone", "score"}
        assert network.get_buffer("upscore.weight").shape == (CLASSES, 1, 64, 64)

    def test_logits_are_those_of_the_padded_image(self, network: nn.Module) -> None:
        x = images(1, 40, 50)
        with torch.no_grad():
            by_hand = network(F.pad(x, (0, 14, 0, 24)))["out"][:, :, :40, :50]
            assert torch.equal(network(x)["out"], by_hand)


@pytest.mark.parametrize(("kind", "skips"), [(FCN16s, 1), (FCN8s, 2)])
def test_skip_connections_add_scores_at_their_stride(kind: type[FCN], skips: int) -> None:
    with torch.device("meta"):
        network = kind(3)
    named = dict(network.named_modules())
    scores = [name for name in named if name.startswith("score_")]
    assert scores == ["score_pool4", "score_pool3"][:skips]
    strides = [part.stride for part in network.modules() if isinstance(part, BilinearUpsample)]
    # Twice per skip connection, then to the image: 2 x 16 and 2 x 2 x 8.
    assert strides == [2] * skips + [32 >> skips]
    assert math.prod(strides) == 32


def test_fcn8s_with_zero_skip_scores_upsamples_the_deep_scores() -> None:
    torch.manual_seed(0)
    features = VGGFeatures(
        torch.randn(1, 256, 8, 8), torch.randn(1, 512, 4, 4), torch.randn(1, 4096, 2, 2)
    )
    fused = FCN8s.__new__(FCN8s)
    torch.nn.Module.__init__(fused)
    fused.score = nn.Conv2d(4096, 3, 1)
    fused.score_pool4, fused.score_pool3 = zero_score(512, 3), zero_score(256, 3)
    fused.upscore2, fused.upscore4 = BilinearUpsample(3, 2), BilinearUpsample(3, 2)
    fused.upscore = BilinearUpsample(3, 8)
    with torch.no_grad():
        scores = fused.score(features.fc7)
        expected = fused.upscore(fused.upscore4(fused.upscore2(scores)))
        assert torch.equal(fused.fuse(features), expected)
        fused.score_pool3.weight.normal_()
        changed = fused.fuse(features) - expected
        by_itself = fused.upscore(fused.score_pool3(features.pool3))
    torch.testing.assert_close(changed, by_itself)


def test_scores_are_initialised_to_zero() -> None:
    with torch.device("meta"):  # avoids half a gigabyte of values
        network = FCN32s(3)
    assert network.score.weight.shape == (3, 4096, 1, 1)
    score = zero_score(16, 3)
    x = torch.randn(2, 16, 4, 4)
    assert not score(x).any()


def test_kernel_of_size_4_has_the_values_by_hand() -> None:
    ramp = [0.25, 0.75, 0.75, 0.25]
    expected = torch.tensor([[a * b for b in ramp] for a in ramp])
    torch.testing.assert_close(bilinear_kernel(4), expected)


def test_kernel_of_size_3_has_the_values_by_hand() -> None:
    expected = torch.tensor([[0.25, 0.5, 0.25], [0.5, 1.0, 0.5], [0.25, 0.5, 0.25]])
    torch.testing.assert_close(bilinear_kernel(3), expected)


@pytest.mark.parametrize("stride", [2, 8, 32])
def test_kernel_is_symmetric_and_starts_at_half_a_cell(stride: int) -> None:
    kernel = bilinear_kernel(2 * stride)
    assert kernel.shape == (2 * stride, 2 * stride)
    assert kernel[0, 0].item() == pytest.approx((0.5 / stride) ** 2)
    assert kernel.max().item() == pytest.approx((1 - 0.5 / stride) ** 2)
    torch.testing.assert_close(kernel, kernel.flip(0))
    torch.testing.assert_close(kernel, kernel.T)


@given(stride=st.sampled_from([2, 4, 8, 32]), height=st.integers(2, 5), width=st.integers(2, 5))
def test_upsampling_is_bilinear_interpolation_away_from_the_border(
    stride: int, height: int, width: int
) -> None:
    x = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(height * width))
    got = BilinearUpsample(3, stride)(x)
    expected = F.interpolate(x, scale_factor=stride, mode="bilinear", align_corners=False)
    assert got.shape == expected.shape
    inner = (..., slice(stride // 2, -stride // 2), slice(stride // 2, -stride // 2))
    torch.testing.assert_close(got[inner], expected[inner], rtol=0, atol=1e-5)


def test_upsampling_at_the_border_keeps_the_predicted_class() -> None:
    x = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    got = BilinearUpsample(5, 8)(x)
    expected = F.interpolate(x, scale_factor=8, mode="bilinear", align_corners=False)
    assert torch.equal(got.argmax(1), expected.argmax(1))


@pytest.mark.parametrize("learnt", [False, True])
def test_upsampling_can_be_learnt(learnt: bool) -> None:
    upsample = BilinearUpsample(3, 2, learnt=learnt)
    assert len(list(upsample.parameters())) == int(learnt)
    assert set(upsample.state_dict()) == {"weight"}
