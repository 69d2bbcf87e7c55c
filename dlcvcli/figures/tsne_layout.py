"""t-SNE layouts of features, and how well features separate the classes; needs scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlcvcli.errors import DataError
from dlcvcli.inference.features import Features, Floats, Ints
from dlcvcli.reporter import Progress

Layout = NDArray[np.float64]

PERPLEXITY = 30.0
NEIGHBOURS = 5
MOST_POINTS = 2000
# Below, a perplexity of (N - 1) / 3 is less than 1.
_FEWEST = 5
# The scale of scikit-learn's own initialisation by PCA: from there, points are free to move.
_START_SD = 1e-4


@dataclass(frozen=True)
class Panel:
    """The layout of one model, or of one epoch of a training.

    Attributes:
        title: e.g. `epoch 75`.
        points: float64 [N, 2].
        silhouette: in [-1, 1], of the features; None with fewer than two classes.
        knn: leave-one-out accuracy of the nearest neighbours, of the features.
        k: number of those neighbours.
    """

    title: str
    points: Layout
    silhouette: float | None
    knn: float
    k: int

    @property
    def scores(self) -> str:
        """The two numbers in one line."""
        neighbours = f"{self.k}-NN {self.knn:.2f}"
        if self.silhouette is None:
            return neighbours
        # The sum with 0 turns -0.0 into 0.0.
        return f"silhouette {round(self.silhouette, 2) + 0.0:.2f} · {neighbours}"


@dataclass(frozen=True)
class Tsne:
    """Layouts of the same images, each begun from the one before.

    Attributes:
        panels: at least one.
        labels: int64 [N], places in `classes`.
        classes: names of the classes.
        caption: how the layouts were computed.
    """

    panels: tuple[Panel, ...]
    labels: Ints
    classes: tuple[str, ...]
    caption: str


def compute_tsne(
    stages: Mapping[str, Features],
    *,
    perplexity: float = PERPLEXITY,
    seed: int = 0,
    k: int = NEIGHBOURS,
    max_points: int = MOST_POINTS,
    progress: Progress = lambda done, total: None,
) -> Tsne:
    """Return the layouts of one set's features at several stages of a training.

    Args:
        stages: title -> features, in order, all of the same images.
        perplexity: at most (N - 1) / 3 is used for N points.
        seed: of t-SNE, and of the choice of images.
        k: number of nearest neighbours.
        max_points: of a larger set, this many images are drawn, the same fraction of each class.
        progress: called with (stages done, stages in all).

    Raises:
        DataError: the stages are of different images, or these are fewer than five.
    """
    first = next(iter(stages.values()))
    for title, features in stages.items():
        if features.names != first.names or not np.array_equal(features.labels, first.labels):
            raise DataError(f"the features of {title} are not of the same images as the others")
    if len(first) < _FEWEST:
        raise DataError(f"t-SNE needs at least {_FEWEST} images, and the split has {len(first)}")
    chosen = stratified(first.labels, max_points, seed)
    labels, used = first.labels[chosen], limited_perplexity(perplexity, len(chosen))
    panels: list[Panel] = []
    for title, features in stages.items():
        values = features.comparable()[chosen]
        start = panels[-1].points if panels else None
        panels.append(
            Panel(
                title,
                tsne_layout(values, perplexity=used, seed=seed, start=start),
                silhouette(values, labels),
                knn_accuracy(values, labels, k),
                min(k, len(chosen) - 1),
            )
        )
        progress(len(panels), len(stages))
    caption = _caption(first, len(chosen), used, seed, several=len(panels) > 1)
    return Tsne(tuple(panels), labels, first.classes, caption)


def tsne_layout(
    values: Floats,
    *,
    perplexity: float = PERPLEXITY,
    seed: int = 0,
    start: Layout | None = None,
) -> Layout:
    """Return a t-SNE layout, float64 [N, 2] (van der Maaten and Hinton 2008, JMLR 9).

    Args:
        values: float32 [N, D], compared by the Euclidean distance.
        perplexity: at most (N - 1) / 3 is used.
        seed: of the principal components.
        start: an earlier layout [N, 2], so that its points can be followed; None starts from the
            first two principal components.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if start is None:
        start = _principal_components(values, seed)
    spread = float(start[:, 0].std())
    tsne = TSNE(
        init=np.asarray((start - start.mean(axis=0)) * (_START_SD / (spread or 1.0)), np.float32),
        perplexity=limited_perplexity(perplexity, len(values)),
        random_state=seed,
    )
    # Several threads add their sums in any order, which changes the layout.
    with threadpool_limits(1):
        return np.asarray(tsne.fit_transform(values), np.float64)


def _principal_components(values: Floats, seed: int) -> Layout:
    """Return the first two principal components [N, 2]; zeros where there is only one."""
    from sklearn.decomposition import PCA

    components = PCA(min(2, values.shape[1]), random_state=seed).fit_transform(values)
    start = np.zeros((len(values), 2))
    start[:, : components.shape[1]] = components
    return start


def limited_perplexity(wanted: float, count: int) -> float:
    """Return the perplexity for a number of points: at most a third of the others."""
    return min(wanted, (count - 1) / 3)


def silhouette(values: Floats, labels: Ints) -> float | None:
    """Return the mean silhouette coefficient (Rousseeuw 1987) under the Euclidean distance.

    Args:
        values: float32 [N, D].
        labels: int64 [N].

    Returns:
        In [-1, 1]; None where there are not at least two classes and fewer classes than images.
    """
    from sklearn.metrics import silhouette_score

    if not 2 <= len(np.unique(labels)) < len(labels):
        return None
    return float(silhouette_score(values, labels))


def knn_accuracy(values: Floats, labels: Ints, k: int = NEIGHBOURS) -> float:
    """Return the fraction of images that their nearest neighbours put into the right class.

    Each image is left out in turn. The majority of its neighbours decides; of classes with as many
    votes, the one of the nearer neighbours.

    Args:
        values: float32 [N, D], compared by the Euclidean distance; at least two.
        labels: int64 [N].
        k: number of neighbours; at most N - 1 are used.
    """
    from sklearn.neighbors import NearestNeighbors

    k = min(k, len(labels) - 1)
    nearest = NearestNeighbors(n_neighbors=k).fit(values).kneighbors(return_distance=False)
    votes = np.zeros((len(labels), int(labels.max()) + 1), np.int64)
    # Together, the additions for nearness are less than a vote. Whole numbers tie exactly.
    weights = (k + 1) ** 2 + np.arange(k, 0, -1)
    np.add.at(votes, (np.arange(len(labels))[:, None], labels[nearest]), weights)
    return float((votes.argmax(axis=1) == labels).mean())


def stratified(labels: Ints, most: int, seed: int) -> Ints:
    """Return the places of at most `most` images, in order, the same fraction of each class.

    Args:
        labels: int64 [N].
        most: of no more than these, all are chosen.
        seed: of the choice.
    """
    if len(labels) <= most:
        return np.arange(len(labels))
    # Every n-th image of the images in random order, sorted by class.
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    return np.sort(by_class[np.arange(most) * len(labels) // most])


def _caption(features: Features, count: int, used: float, seed: int, *, several: bool) -> str:
    of_all = f" of {len(features):,}" if count < len(features) else ""
    scaled = " of features scaled to length 1" if features.metric == "cosine" else ""
    start = "first from PCA, then each from the layout before" if several else "from PCA"
    parts = (
        f"{count:,}{of_all} images",
        f"t-SNE with perplexity {used:.3g}, initialised {start}, seed {seed}",
        f"silhouette and k-NN by the Euclidean distance{scaled or ' of the features'}",
    )
    return " · ".join([features.title] * bool(features.title) + list(parts))
