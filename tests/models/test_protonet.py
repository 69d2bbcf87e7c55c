"""Prototypical networks: prototypes, shapes, and episodes that are independent."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dlcvcli.config.names import DistanceName
from dlcvcli.models.build import build_encoder
from dlcvcli.models.distances import build_distance
from dlcvcli.models.encoder import Encoder
from dlcvcli.models.image_encoder import ImageEncoder
from dlcvcli.models.protonet import ProtoNet
from tests.models.test_encoder import randomise_norms

NAMES: tuple[DistanceName, ...] = ("euclidean", "cosine", "parametric")


class Pixel(Encoder):
    """An encoder of one layer: the means of the three channels."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x.mean(dim=(2, 3))


def episodes(
    batch: int = 2, ways: int = 3, shots: int = 2, queries: int = 6, size: int = 16
) -> tuple[Tensor, Tensor]:
    """Make episodes of random pixels, `support` and `query` as `ProtoNet.forward` takes them."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((batch, ways, shots, size, size, 3), (batch, queries, size, size, 3))
    support, query = (
        torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8) for shape in shapes
    )
    return support, query


def conv4_net(name: DistanceName) -> ProtoNet:
    torch.manual_seed(0)
    encoder = build_encoder("conv4", channels=8)
    randomise_norms(encoder)
    return ProtoNet(ImageEncoder(encoder), build_distance(name, 8))


def test_logits_of_mean_embeddings_have_the_values_by_hand() -> None:
    # 1x1 images, one value per channel; mean and std undo the division by 255.
    net = ProtoNet(ImageEncoder(Pixel(), (0, 0, 0), (1 / 255,) * 3), build_distance("euclidean", 3))
    first, second = [[0, 0, 2], [0, 4, 0]], [[10, 0, 0], [10, 2, 2]]
    support = torch.tensor([[first, second]], dtype=torch.uint8).reshape(1, 2, 2, 1, 1, 3)
    query = torch.tensor([[[0, 2, 1], [10, 1, 3]]], dtype=torch.uint8).reshape(1, 2, 1, 1, 3)
    # Prototypes (0, 2, 1) and (10, 1, 1).
    expected = torch.tensor([[[0.0, -101.0], [-105.0, -4.0]]])
    torch.testing.assert_close(net(support, query), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_logits_have_a_row_per_query_and_a_column_per_class(name: DistanceName) -> None:
    net = conv4_net(name)
    for shape in ((1, 2, 1, 1), (2, 3, 2, 6), (3, 5, 1, 10)):
        logits = net(*episodes(*shape))
        assert logits.shape == (shape[0], shape[3], shape[1])
        assert logits.dtype == torch.float32


@pytest.mark.parametrize("name", NAMES)
def test_episodes_of_a_batch_are_independent(name: DistanceName) -> None:
    net = conv4_net(name).eval()
    support, query = episodes(batch=3)
    with torch.no_grad():
        together, alone = net(support, query)[1:2], net(support[1:2], query[1:2])
        other = support.clone()
        other[0] = 255 - other[0]
        changed = net(other, query)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(changed[1:], net(support, query)[1:], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(changed[0], net(support, query)[0])


def test_prototypes_are_means_of_embeddings() -> None:
    net = conv4_net("euclidean").eval()
    support, query = episodes()
    with torch.no_grad():
        embedded = net.encoder(support.flatten(0, 2)).unflatten(0, support.shape[:3])
        queries = net.encoder(query.flatten(0, 1)).unflatten(0, query.shape[:2])
        torch.testing.assert_close(net.logits(embedded, queries), net(support, query))
        expected = net.distance(queries, embedded.mean(dim=2))
        torch.testing.assert_close(net(support, query), expected)
        # The order of a class's support images does not matter, nor repeating all of them.
        shuffled = torch.cat([support.flip(2), support], dim=2)
        torch.testing.assert_close(net(shuffled, query), net(support, query), rtol=1e-4, atol=1e-4)


def test_support_and_query_sets_are_normalised_as_one_batch() -> None:
    net = conv4_net("euclidean").train()
    net(*episodes(batch=2, ways=3, shots=2, queries=6))
    norms = [part for part in net.modules() if isinstance(part, nn.BatchNorm2d)]
    assert {int(norm.num_batches_tracked) for norm in norms} == {1}


@pytest.mark.parametrize("name", NAMES)
def test_only_the_encoder_runs_in_half_precision(name: DistanceName) -> None:
    net = conv4_net(name).eval()
    support, query = episodes()
    with torch.no_grad():
        exact = net(support, query)
        with torch.autocast("cpu", torch.bfloat16):
            half = net.encoder.encoder.blocks[0][0](torch.rand(1, 3, 8, 8))
            assert half.dtype == torch.bfloat16
            logits = net(support, query)
            # Squares of these, and sums of 2000 of them, overflow in float16.
            large = torch.full((1, 1, 1, 2000), 300.0)
            huge = net.logits(large, -large[:, 0]) if name == "euclidean" else logits
    assert logits.dtype == huge.dtype == torch.float32
    assert huge.isfinite().all()
    if name == "euclidean":
        assert huge.item() == pytest.approx(-(600.0**2) * 2000, rel=1e-6)
    torch.testing.assert_close(logits, exact, rtol=0.1, atol=0.05 * float(exact.abs().max()))


def test_every_parameter_gets_a_gradient() -> None:
    for name in ("cosine", "parametric"):
        net = conv4_net(name)
        net(*episodes()).square().mean().backward()
        assert all(parameter.grad is not None for parameter in net.parameters())
        assert all(parameter.grad.isfinite().all() for parameter in net.parameters())
