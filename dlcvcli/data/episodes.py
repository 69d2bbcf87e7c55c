"""Episodes: a few classes, a few examples of each to learn from, and queries to classify.

An episode is a function of (seed, number) and of the classes' sizes alone, so that any of them can
be made again, on any machine and in any order. It names images by their index in a set whose images
lie class by class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dlcvcli.errors import DataError

Ints = NDArray[np.int64]

_BLOCK = 256


@dataclass(frozen=True)
class Shape:
    """What an episode is made of: N ways, K shots, Q queries of each way, each at least 1."""

    n_way: int
    k_shot: int
    n_query: int

    def __str__(self) -> str:
        return f"{self.n_way}-way {self.k_shot}-shot"


@dataclass(frozen=True)
class Episode:
    """Indices of images.

    Attributes:
        support: int64 [N, K], a row for each way.
        query: int64 [N, Q]; the right answer to row i is i.
    """

    support: Ints
    query: Ints


def require_enough(sizes: Sequence[int], shape: Shape, where: str) -> None:
    """Refuse a set that is too small for episodes of a shape.

    Args:
        sizes: images of each class.
        shape: of the episodes.
        where: the set, for the message.

    Raises:
        DataError: too few classes, or too few of them with enough images.
    """
    needed = shape.k_shot + shape.n_query
    if len(sizes) < shape.n_way:
        raise DataError(
            f"{where} has {len(sizes)} classes, too few for {shape.n_way} ways",
            "choose fewer with --n-way, or add classes",
        )
    small = [size for size in sizes if size < needed]
    if small:
        raise DataError(
            f"{len(small)} of {len(sizes)} classes of {where} have fewer than {needed} images "
            f"(the smallest {min(small)}), too few for {shape.k_shot} shots and {shape.n_query} "
            "queries",
            "choose fewer with --k-shot or --n-query, or take these classes out",
        )


@dataclass(frozen=True)
class EpisodeList:
    """Many episodes of one shape.

    Attributes:
        ids: what each is called.
        support: int64 [E, N, K], indices of images.
        query: int64 [E, M].
        answers: int64 [E, M], which of the N classes each query is of.
        sha256: of the file that says the same.
    """

    ids: tuple[str, ...]
    support: Ints
    query: Ints
    answers: Ints
    sha256: str

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def shape(self) -> Shape:
        """N, K and the queries of each way, rounded down where the ways have not as many each."""
        _, ways, shots = self.support.shape
        return Shape(ways, shots, self.query.shape[1] // ways)


def draw_episode(sizes: Sequence[int], shape: Shape, seed: int, number: int) -> Episode:
    """Draw an episode: no class twice, no image twice.

    Args:
        sizes: images of each class; the images of class c follow those of class c - 1.
        shape: see `require_enough`.
        seed, number: which episode it is; the same pair gives the same episode.
    """
    block, place = divmod(number, _BLOCK)
    support, query = _block(tuple(sizes), shape, seed, block)
    return Episode(support[place], query[place])


def draw_episodes(sizes: Sequence[int], shape: Shape, seed: int, count: int) -> tuple[Ints, Ints]:
    """Draw the episodes 0 to `count` - 1 of `draw_episode`: int64 [E, N, K] and [E, N, Q]."""
    blocks = [_block(tuple(sizes), shape, seed, b) for b in range(-(-count // _BLOCK))]
    support, query = (np.concatenate(parts)[:count] for parts in zip(*blocks, strict=True))
    return support, query


@lru_cache(maxsize=8)
def _block(sizes: tuple[int, ...], shape: Shape, seed: int, number: int) -> tuple[Ints, Ints]:
    """Draw as many episodes as one generator serves: to start one costs as much as to draw ten."""
    rng = np.random.default_rng((seed, number))
    counts = np.array(sizes, np.int64)
    starts = np.cumsum(counts) - counts
    classes = _choose(rng, np.full(_BLOCK, len(counts)), shape.n_way).ravel()
    needed = shape.k_shot + shape.n_query
    images = starts[classes][:, None] + _choose(rng, counts[classes], needed)
    images = images.reshape(_BLOCK, shape.n_way, needed)
    images.setflags(write=False)
    return images[..., : shape.k_shot], images[..., shape.k_shot :]


def _choose(rng: np.random.Generator, counts: Ints, needed: int) -> Ints:
    """Return `needed` different numbers below each of the counts, int64 [R, needed].

    The first steps of a shuffle (Durstenfeld 1964, Algorithm 235), all rows at once.
    """
    rows = np.arange(len(counts))
    order = np.tile(np.arange(counts.max()), (len(counts), 1))
    dice = rng.random((needed, len(counts)))
    for place in range(needed):
        other = place + (dice[place] * (counts - place)).astype(np.int64)
        taken = order[rows, other]
        order[rows, other] = order[:, place]
        order[:, place] = taken
    return order[:, :needed].copy()
