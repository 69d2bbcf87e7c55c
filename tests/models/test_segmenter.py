"""Pre- and postprocessing of a segmentation network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as F

from dlcvcli.data.normalise import MEAN, STD
from dlcvcli.models.segmenter import Segmenter


class Echo(nn.Module):
    """Returns its input as the logits of three classes, and keeps it."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        self.seen = x
        return {"out": x}


def images(height: int, width: int) -> Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (2, height, width, 3)).astype(np.uint8))


def test_normalisation_is_torchvisions() -> None:
    batch = images(8, 16)
    normalised = Segmenter(Echo(), 8).normalise(batch)
    expected = F.normalize(batch.permute(0, 3, 1, 2).float() / 255, list(MEAN), list(STD))
    torch.testing.assert_close(normalised, expected, rtol=1e-5, atol=1e-5)
    assert normalised.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("height", "width"), [(16, 32), (17, 31), (1, 1), (33, 16)])
def test_images_are_padded_with_the_mean_colour_and_logits_are_cropped(
    height: int, width: int
) -> None:
    network = Echo()
    segmenter = Segmenter(network, 16)
    out = segmenter.network_outputs(images(height, width))["out"]
    assert out.shape[-2:] == (height, width)
    padded = network.seen
    assert padded.shape[2] % 16 == padded.shape[3] % 16 == 0
    assert padded.shape[2] - height < 16
    assert torch.all(padded[:, :, height:] == 0)
    assert torch.all(padded[:, :, :, width:] == 0)


def test_logits_are_resized_before_the_argmax() -> None:
    segmenter = Segmenter(Echo(), 16)
    batch = images(12, 20)
    mask = segmenter(batch, (30, 25))
    expected = nn.functional.interpolate(
        segmenter.normalise(batch), size=(30, 25), mode="bilinear", align_corners=False
    ).argmax(1)
    assert mask.dtype == torch.uint8
    assert torch.equal(mask.long(), expected)


def test_mask_at_the_size_of_the_image_is_the_argmax() -> None:
    segmenter = Segmenter(Echo(), 16)
    batch = images(13, 19)
    assert torch.equal(segmenter(batch, (13, 19)).long(), segmenter.normalise(batch).argmax(1))


def test_constants_are_not_in_checkpoints() -> None:
    assert Segmenter(nn.Conv2d(3, 3, 1), 16).state_dict().keys() == {
        "network.weight",
        "network.bias",
    }
