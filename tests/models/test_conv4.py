"""Conv4: the sizes in the papers, and an order of layers that gives the same values."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlcvcli.models.conv4 import Conv4, conv4
from tests.models.test_encoder import randomise_norms


@pytest.mark.parametrize(
    ("size", "values"), [((28, 28), 64), ((84, 84), 1600), ((16, 16), 64), ((47, 33), 256)]
)
def test_embeddings_have_the_documented_length(size: tuple[int, int], values: int) -> None:
    encoder = conv4().eval()
    with torch.no_grad():
        assert encoder(torch.rand(2, 3, *size)).shape == (2, values)
    assert not Conv4.any_size


def test_number_of_parameters_is_that_of_the_paper() -> None:
    # 3x3 convolutions without bias, and a scale and a shift per channel.
    own = sum(parameter.numel() for parameter in conv4().parameters())
    assert own == 9 * 64 * (3 + 64 + 64 + 64) + 4 * 2 * 64 == 112_832
    narrow = sum(parameter.numel() for parameter in conv4(channels=8).parameters())
    assert narrow == 9 * 8 * (3 + 8 + 8 + 8) + 4 * 2 * 8


def relu_first(encoder: Conv4, x: Tensor) -> Tensor:
    """Compute the embeddings in the order of the papers."""
    for block in encoder.blocks:
        assert isinstance(block, nn.Sequential)
        conv, norm, *_ = block
        x = F.max_pool2d(F.relu(norm(conv(x))), 2)
    return x.flatten(1)


@pytest.mark.parametrize("training", [True, False])
def test_relu_after_pooling_equals_relu_before_it(training: bool) -> None:
    torch.manual_seed(0)
    encoder = conv4(channels=16).double().train(training)
    x = torch.randn(3, 3, 37, 48, dtype=torch.float64)
    outcomes = []
    weights = None
    for run in (encoder, lambda x: relu_first(encoder, x)):
        images = x.clone().requires_grad_()
        embeddings = run(images)
        # Random weights of the values, a good part of which ReLU sets to zero.
        weights = torch.randn_like(embeddings) if weights is None else weights
        wanted = (images, *encoder.parameters())
        outcomes.append((embeddings, *torch.autograd.grad((weights * embeddings).sum(), wanted)))
    zeros = (outcomes[0][0] == 0).double().mean()
    assert 0.01 < zeros < 0.99
    for ours, theirs in zip(*outcomes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_embeddings_in_training_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    encoder = conv4()
    images = torch.randn(4, 3, 28, 28)
    randomise_norms(encoder)
    with torch.no_grad():
        together, alone = encoder(images)[:2], encoder(images[:2])
        assert not torch.allclose(together, alone)
        encoder.eval()
        torch.testing.assert_close(encoder(images)[:2], encoder(images[:2]))
