"""The distances as layers: their values, their parameters, and the same in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dlcvcli.config.names import DistanceName
from dlcvcli.models.distances import (
    CosineDistance,
    EuclideanDistance,
    ParametricDistance,
    build_distance,
)
from dlcvcli.prototypes import read_distance

QUERY = torch.tensor([[1.0, 2.0], [0.0, -2.0]])
PROTOTYPES = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
NAMES: tuple[DistanceName, ...] = ("euclidean", "cosine", "parametric")


def test_euclidean_is_the_negative_squared_distance() -> None:
    logits = EuclideanDistance()(QUERY, PROTOTYPES)
    assert logits.tolist() == [[-4, -8, -5], [-5, -45, -4]]
    # torch.cdist is its square root.
    torch.testing.assert_close(-logits, torch.cdist(QUERY, PROTOTYPES).square())
    assert not list(EuclideanDistance().parameters())


def test_cosine_is_scaled_and_zero_for_zero_vectors() -> None:
    distance = CosineDistance(scale=10.0)
    five = math.sqrt(5)
    expected = torch.tensor([[10 / five, 10 * 11 / (five * 5), 0], [0, -10 * 4 / 5, 0]])
    torch.testing.assert_close(distance(QUERY, PROTOTYPES), expected)
    # The lengths of the vectors do not matter.
    torch.testing.assert_close(distance(3 * QUERY, PROTOTYPES / 7), expected)


def test_scale_of_the_cosine_is_learned_and_stays_positive() -> None:
    distance = CosineDistance(scale=2.0)
    optimizer = torch.optim.SGD(distance.parameters(), lr=5.0)
    seen = []
    # The labels are wrong, so that the loss drives the scale down.
    for _ in range(20):
        seen.append(float(distance.log_scale.detach().exp()))
        logits = distance(QUERY[:1], PROTOTYPES[:2])
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, torch.tensor([0])).backward()
        optimizer.step()
    assert seen[0] == pytest.approx(2.0)
    assert seen == sorted(seen, reverse=True)
    assert 0 < seen[-1] < 0.2
    assert distance.spec() == {"name": "cosine", "scale": float(distance.log_scale.detach().exp())}


def test_parametric_distance_is_linear_layers_over_the_pair() -> None:
    torch.manual_seed(0)
    distance = ParametricDistance(2, hidden=3, layers=3)
    # The first layer on concatenated pairs [q, c], one pair at a time.
    first = torch.cat([distance.of_query.weight, distance.of_prototype.weight], dim=1)
    for row, query in enumerate(QUERY):
        for column, prototype in enumerate(PROTOTYPES):
            x = first @ torch.cat([query, prototype]) + distance.of_query.bias
            for layer in distance.rest:
                x = layer(x.clamp(min=0))
            torch.testing.assert_close(distance(QUERY, PROTOTYPES)[row, column], x[0])


@pytest.mark.parametrize("layers", [2, 3, 5])
def test_parametric_distance_has_the_requested_number_of_layers(layers: int) -> None:
    distance = ParametricDistance(4, hidden=6, layers=layers)
    count = 6 * 4 * 2 + 6 + (layers - 2) * (6 * 6 + 6) + 6 + 1
    assert sum(parameter.numel() for parameter in distance.parameters()) == count


@pytest.mark.parametrize("name", NAMES)
def test_episodes_are_independent(name: DistanceName) -> None:
    torch.manual_seed(0)
    distance = build_distance(name, 5)
    query, prototypes = torch.randn(4, 6, 5), torch.randn(4, 3, 5)
    together = distance(query, prototypes)
    assert together.shape == (4, 6, 3)
    alone = [distance(q, p) for q, p in zip(query, prototypes, strict=True)]
    torch.testing.assert_close(together, torch.stack(alone))


@given(
    name=st.sampled_from(NAMES),
    sizes=st.tuples(*(st.integers(1, 5) for _ in range(4))),
    layers=st.integers(2, 4),
    spread=st.sampled_from([0.0, 1e-3, 1.0, 30.0]),
    seed=st.integers(0, 2**16),
)
def test_numpy_distances_are_the_same(
    name: DistanceName, sizes: tuple[int, int, int, int], layers: int, spread: float, seed: int
) -> None:
    torch.manual_seed(seed)
    episodes, queries, ways, dimension = sizes
    distance = build_distance(name, dimension, scale=4.0, hidden=7, layers=layers)
    query = spread * torch.randn(episodes, queries, dimension)
    prototypes = spread * torch.randn(episodes, ways, dimension)
    with torch.no_grad():
        ours: Tensor = distance(query, prototypes)
    theirs = read_distance(distance.spec()).logits(query.numpy(), prototypes.numpy())
    assert theirs.dtype == np.float32
    # Large squares that cancel cost float32 digits.
    atol = 1e-5 * max(1.0, spread**2 * dimension)
    np.testing.assert_allclose(theirs, ours.numpy(), rtol=1e-5, atol=atol)


@pytest.mark.parametrize("name", NAMES)
def test_description_has_plain_types_and_the_name(name: DistanceName) -> None:
    torch.manual_seed(0)
    distance = build_distance(name, 3, scale=5.0, hidden=4, layers=2)
    spec = distance.spec()
    assert spec["name"] == name
    rebuilt = read_distance(spec)
    assert rebuilt.name == name
    if name == "parametric":
        for key, value in distance.state_dict().items():
            assert np.array_equal(rebuilt.weights[key], value.numpy())  # type: ignore[attr-defined]


def test_distance_is_built_with_its_arguments() -> None:
    assert isinstance(build_distance("euclidean", 8), EuclideanDistance)
    cosine = build_distance("cosine", 8, scale=3.0)
    assert isinstance(cosine, CosineDistance)
    assert float(cosine.log_scale.detach().exp()) == pytest.approx(3.0)
    learned = build_distance("parametric", 8, hidden=5, layers=4)
    assert isinstance(learned, ParametricDistance)
    assert learned.of_query.weight.shape == (5, 8)
    assert len(learned.rest) == 3
