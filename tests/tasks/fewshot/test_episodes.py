"""Episodes are scored from embeddings, and each image is embedded once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcvcli.data.episodes import EpisodeList
from dlcvcli.models.distances import ParametricDistance
from dlcvcli.prototypes import Cosine, Distance, Euclidean, prototypes_of, read_distance
from dlcvcli.tasks.fewshot import episodes as module
from dlcvcli.tasks.fewshot.episodes import (
    compact,
    embed_images,
    images_at_once,
    predict_episodes,
    score_episodes,
)
from tests.synthetic_characters import request_for

DISTANCES: list[Distance] = [
    Euclidean(),
    Cosine(7.0),
    read_distance(ParametricDistance(6, hidden=5, layers=3).spec()),
]


@pytest.mark.parametrize("distance", DISTANCES, ids=lambda one: one.name)
@pytest.mark.parametrize("at_once", [1, 300, 1 << 20])
def test_each_query_is_predicted_as_the_class_of_the_largest_logit(
    distance: Distance, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_VALUES_AT_ONCE", at_once)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 6)).astype(np.float32)
    support = rng.integers(0, 40, (9, 4, 2))
    query = rng.integers(0, 40, (9, 7))
    predicted = predict_episodes(features, support, query, distance)
    assert predicted.shape == (9, 7)
    for number in range(9):
        prototypes = prototypes_of(features[support[number]])
        logits = distance.logits(features[query[number]], prototypes)
        assert np.array_equal(predicted[number], logits.argmax(axis=1))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(2, 6), st.integers(1, 2000), st.integers(0, 99))
def test_large_matrix_products_equal_a_single_call(m: int, n: int, d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    query = rng.normal(size=(2, m, d)).astype(np.float32)
    prototypes = rng.normal(size=(2, n, d)).astype(np.float32)
    for distance in (Euclidean(), Cosine(3.0)):
        logits = distance.logits(query, prototypes)
        near = distance.nearest(query, prototypes)
        chosen = np.take_along_axis(logits, near[..., None], axis=-1)[..., 0]
        np.testing.assert_allclose(chosen, logits.max(axis=-1), rtol=1e-4, atol=1e-3)


def test_accuracy_is_computed_per_episode() -> None:
    features = np.array([[0.0], [1.0], [0.2], [0.9]], np.float32)
    support = np.array([[[0], [1]], [[1], [0]]])
    query, answers = np.array([[2, 3], [2, 3]]), np.array([[0, 1], [0, 0]])
    score = score_episodes(features, support, query, answers, Euclidean())
    assert score.predictions.tolist() == [[0, 1], [1, 0]]
    assert score.accuracies.tolist() == [1.0, 0.5]
    assert score.interval.mean == 0.75
    # s of 1 and 0.5 with ddof 1 is 0.3536; 1.96 s / sqrt(2) = 0.49.
    assert score.interval.ci95 == pytest.approx(0.49)


def test_each_image_of_the_episodes_is_embedded_once() -> None:
    support, query = np.array([[[7], [3]]]), np.array([[9, 7, 3, 9]])
    listed = EpisodeList(("a",), support, query, np.zeros((1, 4), np.int64), "")
    used, shown, asked = compact(listed)
    assert used.tolist() == [3, 7, 9]
    assert used[shown].tolist() == support.tolist()
    assert used[asked].tolist() == query.tolist()


def test_embedding_is_independent_of_batches_and_can_be_stopped(characters: Path) -> None:
    data = request_for(Path("unused"), characters).data.val  # type: ignore[attr-defined]
    indices = np.arange(len(data))

    def embed(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1)[:, :5].astype(np.float32)

    seen: list[tuple[int, int]] = []
    complete = embed_images(embed, data, indices)
    parts = embed_images(embed, data, indices, batch_size=5, progress=lambda *at: seen.append(at))
    assert complete is not None
    assert parts is not None
    assert np.array_equal(complete, parts)
    assert np.array_equal(complete, embed(data.images(indices)))
    assert seen[0] == (5, 18)
    assert seen[-1] == (18, 18)
    assert embed_images(embed, data, indices, stop=lambda: True) is None
    assert images_at_once((28, 28)) == 256
    assert images_at_once((84, 84)) == 74
    assert images_at_once((2000, 2000)) == 1
