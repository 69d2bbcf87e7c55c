"""FCN-32s: the contract, and the bilinear kernel by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from dlcvcli.models.fcn import BilinearUpsample, FCN32s, bilinear_kernel, zero_score
from tests.model_contract import CLASSES, SegmentationContract, images


class TestVGG16(SegmentationContract):
    model_name = "fcn32s_vgg16"

    def test_the_learnt_weights_of_the_score_layer_only(self, network: nn.Module) -> None:
        trained = {name.split(".")[0] for name, _ in network.named_parameters()}
        assert trained == {"backbone", "score"}
        assert network.get_buffer("upscore.weight").shape == (CLASSES, 1, 64, 64)

    def test_padding_adds_nothing_to_what_is_kept(self, network: nn.Module) -> None:
        x = images(1, 40, 50)
        with torch.no_grad():
            by_hand = network(F.pad(x, (0, 14, 0, 24)))["out"][:, :, :40, :50]
            assert torch.equal(network(x)["out"], by_hand)


def test_score_starts_at_zero() -> None:
    with torch.device("meta"):  # the names and shapes alone, not half a gigabyte of values
        network = FCN32s(3)
    assert network.score.weight.shape == (3, 4096, 1, 1)
    score = zero_score(16, 3)
    x = torch.randn(2, 16, 4, 4)
    assert not score(x).any()


def test_kernel_of_size_4_by_hand() -> None:
    ramp = [0.25, 0.75, 0.75, 0.25]
    expected = torch.tensor([[a * b for b in ramp] for a in ramp])
    torch.testing.assert_close(bilinear_kernel(4), expected)


def test_kernel_of_size_3_by_hand() -> None:
    expected = torch.tensor([[0.25, 0.5, 0.25], [0.5, 1.0, 0.5], [0.25, 0.5, 0.25]])
    torch.testing.assert_close(bilinear_kernel(3), expected)


@pytest.mark.parametrize("stride", [2, 8, 32])
def test_kernel_begins_at_half_a_step(stride: int) -> None:
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


def test_upsampling_at_the_border_changes_no_argmax() -> None:
    x = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    got = BilinearUpsample(5, 8)(x)
    expected = F.interpolate(x, scale_factor=8, mode="bilinear", align_corners=False)
    assert torch.equal(got.argmax(1), expected.argmax(1))


@pytest.mark.parametrize("learnt", [False, True])
def test_upsampling_is_learnt_on_request(learnt: bool) -> None:
    upsample = BilinearUpsample(3, 2, learnt=learnt)
    assert len(list(upsample.parameters())) == int(learnt)
    assert set(upsample.state_dict()) == {"weight"}
