"""Scoring episodes from embeddings that are computed once for each image; needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.episodes import EpisodeList
from dlcvcli.data.few_shot import FewShotSet
from dlcvcli.data.reading import Pixels, Progress, read_ahead
from dlcvcli.machine import usable_cores
from dlcvcli.prototypes import Distance, Floats, Interval, interval, prototypes_of

Ints = NDArray[np.int64]

Embed = Callable[[Pixels], Floats]
"""Returns the embeddings float32 [N, D] of images uint8 [N, H, W, 3]."""

_PIXELS_AT_ONCE = 1 << 19
_MOST_AT_ONCE = 256
# Values gathered at a time, so that they stay in the processor's cache.
_VALUES_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class EpisodeScore:
    """The predictions of a model for episodes.

    Attributes:
        predictions: int64 [E, M], which of the N classes is predicted for each query.
        accuracies: float64 [E].
    """

    predictions: Ints
    accuracies: NDArray[np.float64]

    @property
    def interval(self) -> Interval:
        """Mean accuracy over the episodes with its 95 % interval."""
        return interval(self.accuracies)


def images_at_once(size: tuple[int, int]) -> int:
    """Return how many images of a size (height, width) to embed at a time."""
    return max(1, min(_MOST_AT_ONCE, _PIXELS_AT_ONCE // (size[0] * size[1])))


def embed_images(
    embed: Embed,
    data: FewShotSet,
    indices: Ints,
    *,
    batch_size: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> Floats | None:
    """Return the embeddings of images, float32 [len(indices), D]; None where `stop` returned True.

    Args:
        embed: see `Embed`.
        data: the set.
        indices: which images, int64 [n]; at least one.
        batch_size: images a call; None to choose by their size.
        stop: called before each batch.
        progress: called with (images done, images in all).
    """
    at_once = batch_size or images_at_once(data.size)
    parts = [indices[start : start + at_once] for start in range(0, len(indices), at_once)]
    embeddings: list[Floats] = []
    done = 0
    for images in read_ahead(data.images, parts, threads=1, ahead=2):
        if stop():
            return None
        embeddings.append(embed(images))
        done += len(images)
        if progress is not None:
            progress(done, len(indices))
    return np.concatenate(embeddings)


def compact(episodes: EpisodeList) -> tuple[Ints, Ints, Ints]:
    """Return the images that episodes use, int64 [n], and support and query as places in it."""
    used, places = np.unique(
        np.concatenate([episodes.support.ravel(), episodes.query.ravel()]), return_inverse=True
    )
    count = episodes.support.size
    return (
        used,
        places[:count].reshape(episodes.support.shape),
        places[count:].reshape(episodes.query.shape),
    )


def predict_episodes(features: Floats, support: Ints, query: Ints, distance: Distance) -> Ints:
    """Return the class predicted for each query, int64 [E, M].

    Args:
        features: float32 [n, D].
        support: int64 [E, N, K], places in `features`.
        query: int64 [E, M].
        distance: from queries to prototypes.
    """
    queries, supports, between = distance.prepared(features)
    each = (support[0].size + query[0].size) * queries.shape[1]
    learned = distance.name == "parametric"
    if learned:
        # Its layers see every pair.
        each = query[0].size * support.shape[1] * queries.shape[1]
    chunk = max(1, _VALUES_AT_ONCE // each)

    def predict(start: int) -> Ints:
        part = slice(start, start + chunk)
        prototypes = prototypes_of(supports[support[part]])
        return between.nearest(np.take(queries, query[part], axis=0), prototypes)

    # Products large enough for the matrix library to use all cores by itself.
    threads = 0 if learned else usable_cores()
    starts = range(0, len(support), chunk)
    return np.concatenate(list(read_ahead(predict, starts, threads=threads, ahead=2 * threads)))


def score_episodes(
    features: Floats, support: Ints, query: Ints, answers: Ints, distance: Distance
) -> EpisodeScore:
    """Predict every query and compare; arguments are those of `predict_episodes`.

    Args:
        answers: int64 [E, M].
    """
    predictions = predict_episodes(features, support, query, distance)
    return EpisodeScore(predictions, (predictions == answers).mean(axis=1, dtype=np.float64))
