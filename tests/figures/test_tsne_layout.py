"""t-SNE layouts, and how well features separate classes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcvcli.errors import DataError
from dlcvcli.figures.tsne_layout import (
    compute_tsne,
    knn_accuracy,
    limited_perplexity,
    silhouette,
    stratified,
    tsne_layout,
)
from dlcvcli.inference.features import Features


def clusters(apart: float, *, classes: int = 3, each: int = 8, seed: int = 0) -> Features:
    """Return features of classes whose centres are further apart the larger `apart`."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    centres = np.eye(classes, 6) * apart
    values = (centres[labels] + rng.normal(size=(len(labels), 6))).astype(np.float32)
    names = tuple(f"{index}.png" for index in range(len(labels)))
    return Features(values, labels, tuple(f"class {i}" for i in range(classes)), names, "net")


def test_layout_repeats_exactly_and_begins_from_the_one_before() -> None:
    first, second = clusters(1.0), clusters(20.0)
    one, again = (compute_tsne({"epoch 0": first, "epoch 5": second}) for _ in range(2))
    for panel, other in zip(one.panels, again.panels, strict=True):
        np.testing.assert_array_equal(panel.points, other.points)
    start = one.panels[0].points
    np.testing.assert_array_equal(
        one.panels[1].points, tsne_layout(second.values, perplexity=30, start=start)
    )
    assert [panel.title for panel in one.panels] == ["epoch 0", "epoch 5"]
    assert one.panels[1].scores.endswith(" · 5-NN 1.00")
    assert "perplexity 7.67" in one.caption
    assert one.caption.startswith("net · 24 images")


def test_perplexity_is_limited_to_a_third_of_the_other_points() -> None:
    assert limited_perplexity(30, 1000) == 30
    assert limited_perplexity(30, 31) == 10


def test_separated_classes_have_larger_scores() -> None:
    mixed, separated = clusters(0.0), clusters(20.0)
    low, high = (silhouette(one.values, one.labels) for one in (mixed, separated))
    assert low is not None
    assert high is not None
    assert low < 0.1 < 0.8 < high
    assert knn_accuracy(separated.values, separated.labels) == 1


def test_silhouette_needs_two_classes() -> None:
    values = np.eye(3, dtype=np.float32)
    assert silhouette(values, np.zeros(3, np.int64)) is None
    assert silhouette(values, np.arange(3)) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 25), st.integers(1, 4), st.integers(1, 7), st.integers(0, 2**31))
def test_neighbours_vote_and_the_nearer_ones_break_ties(
    count: int, classes: int, k: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values, labels = rng.normal(size=(count, 3)).astype(np.float32), rng.integers(0, classes, count)
    right = 0
    for index in range(count):
        gaps = np.linalg.norm(values - values[index], axis=1)
        gaps[index] = np.inf
        order = np.argsort(gaps)[: min(k, count - 1)]
        votes = Counter(labels[order].tolist())
        most = [label for label, number in votes.items() if number == max(votes.values())]
        # Of equal votes, the class whose members come earlier in sum.
        near = {one: sum(k - p for p, i in enumerate(order) if labels[i] == one) for one in most}
        best = max(near.values())
        right += labels[index] == min(one for one in most if near[one] == best)
    assert knn_accuracy(values, labels, k) == pytest.approx(right / count)


def test_fraction_of_each_class_is_kept_and_small_sets_are_complete() -> None:
    labels = np.repeat([0, 1, 2], [100, 60, 40])
    chosen = stratified(labels, 20, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [10, 6, 4]
    assert np.unique(chosen).tolist() == chosen.tolist()
    assert chosen.tolist() != stratified(labels, 20, seed=1).tolist()
    assert stratified(labels, 200, seed=0).tolist() == list(range(200))


def test_few_or_different_images_are_refused() -> None:
    with pytest.raises(DataError, match="at least 5 images, and the split has 4"):
        compute_tsne({"": clusters(1, classes=2, each=2)})
    with pytest.raises(DataError, match="epoch 1 are not of the same images"):
        compute_tsne({"epoch 0": clusters(1), "epoch 1": clusters(1, each=9)})
