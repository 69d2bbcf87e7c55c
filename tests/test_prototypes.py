"""Prototypes, distances and intervals without torch, against hand computations."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dlcvcli.prototypes import (
    Cosine,
    Euclidean,
    Floats,
    Interval,
    Parametric,
    interval,
    packed,
    prototypes_of,
    read_distance,
    unpacked,
)

QUERY = np.array([[1, 2], [0, -2]], np.float32)
PROTOTYPES = np.array([[1, 0], [3, 4], [0, 0]], np.float32)


def test_a_prototype_is_the_mean_of_its_class() -> None:
    # Two classes of three examples of two values.
    support = np.array([[[0, 1], [3, 1], [3, 4]], [[-1, 0], [1, 0], [0, 6]]], np.float32)
    prototypes = prototypes_of(support)
    assert prototypes.tolist() == [[2, 2], [0, 2]]
    assert prototypes.dtype == np.float32
    # Several episodes are computed separately.
    assert prototypes_of(np.stack([support, -support]))[1].tolist() == [[-2, -2], [0, -2]]


def test_euclidean_is_minus_the_squared_distance() -> None:
    logits = Euclidean().logits(QUERY, PROTOTYPES)
    # (1, 2) to (1, 0), (3, 4) and (0, 0); (0, -2) likewise. The root of 8 is not 8.
    assert logits.tolist() == [[-4, -8, -5], [-5, -45, -4]]
    assert logits.dtype == np.float32


def test_cosine_is_scaled_and_zero_for_a_zero_vector() -> None:
    logits = Cosine(10.0).logits(QUERY, PROTOTYPES)
    five = math.sqrt(5)
    expected = [[10 / five, 10 * 11 / (five * 5), 0], [0, -10 * 4 / 5, 0]]
    np.testing.assert_allclose(logits, expected, atol=1e-6)
    assert logits.dtype == np.float32


def test_a_learned_function_of_the_pair_is_computed_layer_by_layer() -> None:
    weights = {
        "of_query.weight": np.array([[1, 0], [0, 1]], np.float32),
        "of_query.bias": np.array([0, 1], np.float32),
        "of_prototype.weight": np.array([[-1, 0], [0, -1]], np.float32),
        "rest.0.weight": np.array([[1, 2]], np.float32),
        "rest.0.bias": np.array([0.5], np.float32),
    }
    logits = Parametric(weights).logits(QUERY, PROTOTYPES)
    # Of (1, 2) and (1, 0): ReLU of (0, 3), so 0 + 6 + 0.5.
    assert logits.tolist() == [[6.5, 0.5, 7.5], [0.5, 0.5, 0.5]]
    deeper = {
        **weights,
        "rest.0.weight": np.array([[1, 2], [-1, 0]], np.float32),
        "rest.0.bias": np.array([0, -1], np.float32),
        "rest.1.weight": np.array([[2, 1]], np.float32),
        "rest.1.bias": np.array([-1], np.float32),
    }
    assert Parametric(deeper).logits(QUERY, PROTOTYPES).tolist() == [[11, -1, 13], [-1, -1, -1]]


@pytest.mark.parametrize("distance", [Euclidean(), Cosine(3.0)])
def test_episodes_are_independent(distance: Euclidean | Cosine) -> None:
    rng = np.random.default_rng(0)
    query = rng.normal(size=(4, 6, 5)).astype(np.float32)
    prototypes = rng.normal(size=(4, 3, 5)).astype(np.float32)
    together = distance.logits(query, prototypes)
    assert together.shape == (4, 6, 3)
    alone = [distance.logits(q, p) for q, p in zip(query, prototypes, strict=True)]
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-5, atol=1e-5)


def test_a_distance_is_read_from_its_description() -> None:
    assert read_distance({"name": "euclidean"}) == Euclidean()
    assert read_distance({"name": "cosine", "scale": 7}) == Cosine(7.0)
    one = packed(np.ones((1, 2), np.float32))
    distance = read_distance({"name": "parametric", "weights": {"of_query.weight": one}})
    assert isinstance(distance, Parametric)
    assert distance.weights["of_query.weight"].tolist() == [[1, 1]]
    for damaged in ({}, {"name": "cosine"}, {"name": "parametric"}):
        with pytest.raises(KeyError):
            read_distance(damaged)


@given(
    arrays(
        np.float32,
        array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements=st.floats(width=32),
    )
)
def test_an_array_survives_json_bit_for_bit(values: Floats) -> None:
    text = json.dumps(packed(values), allow_nan=False)
    back = unpacked(json.loads(text))
    assert back.shape == values.shape
    assert back.dtype == np.float32
    assert back.tobytes() == values.tobytes()


def test_an_array_that_is_a_view_is_packed_in_its_own_order() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert unpacked(packed(values)).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert packed(np.array([1.0], np.float32))["float32"] == "AACAPw=="  # 00 00 80 3f


def test_the_interval_is_that_of_the_sample() -> None:
    # Deviations -0.1, 0.1, -0.2, 0.2: squares that sum to 0.1, over 3 and not over 4.
    result = interval(np.array([0.5, 0.7, 0.4, 0.8]))
    assert result.mean == pytest.approx(0.6)
    assert result.ci95 == pytest.approx(1.96 * math.sqrt(0.1 / 3) / math.sqrt(4))
    assert result.count == 4
    assert str(result) == "0.6000 ± 0.1789"


def test_one_value_has_no_interval_and_equal_values_one_of_zero() -> None:
    assert interval(np.array([0.25])) == Interval(0.25, None, 1)
    assert str(interval(np.array([0.25]))) == "0.2500"
    assert interval(np.array([0.25, 0.25])) == Interval(0.25, 0.0, 2)
