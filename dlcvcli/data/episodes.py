"""Draw episodes: a few classes, a support set of each, and queries to classify.

An episode is a function of (seed, number) and of the classes' sizes alone, so that any episode can
be drawn again, on any machine and in any order. Images are indices into a set that is ordered by
class.
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
    """The size of an episode: N ways, K shots, Q queries per way, each at least 1."""

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
        query: int64 [N, Q]; the queries of row i are of way i.
    """

    support: Ints
    query: Ints


def require_enough(sizes: Sequence[int], shape: Shape, where: str) -> None:
    """Refuse a set that is too small for episodes of a shape.

    Args:
        sizes: number of images of each class.
        shape: shape of the episodes.
        where: the set, for the message.

    Raises:
        DataError: too few classes, or too few of them with enough images.
    """
    needed = shape.k_shot + shape.n_query
    if len(sizes) < shape.n_way:
        raise DataError(
            f"{where} has {len(sizes)} classes, too few for {shape.n_way} ways",
            f"choose --n-way {len(sizes)} or less, or add classes",
        )
    small = [size for size in sizes if size < needed]
    if small:
        raise DataError(
            f"{len(small)} of {len(sizes)} classes of {where} have fewer than {needed} images "
            f"(the smallest {min(small)}), too few for {shape.k_shot} shots and {shape.n_query} "
            "queries",
            "choose a smaller --k-shot or --n-query, or remove these classes",
        )


@dataclass(frozen=True)
class EpisodeList:
    """Many episodes of one shape.

    Attributes:
        ids: name of each episode.
        support: int64 [E, N, K], indices of images.
        query: int64 [E, M], indices of images.
        answers: int64 [E, M], the way (0 to N - 1) that each query belongs to.
        sha256: SHA-256 of the episodes' file.
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
        """N, K and the queries per way, rounded down if the ways have unequal numbers."""
        _, ways, shots = self.support.shape
        return Shape(ways, shots, self.query.shape[1] // ways)


def draw_episode(sizes: Sequence[int], shape: Shape, seed: int, number: int) -> Episode:
    """Return a random episode, without repeated classes or images.

    Args:
        sizes: number of images of each class; the images of class c follow those of class c - 1.
        shape: shape of the episode; `require_enough` checks that the set has enough images.
        seed, number: identify the episode; the same pair gives the same episode.
    """
    block, place = divmod(number, _BLOCK)
    support, query = _block(tuple(sizes), shape, seed, block)
    return Episode(support[place], query[place])


def draw_episodes(sizes: Sequence[int], shape: Shape, seed: int, count: int) -> tuple[Ints, Ints]:
    """Return support int64 [E, N, K] and queries int64 [E, N, Q] of the episodes 0 to `count` - 1.

    They are those of `draw_episode`.
    """
    blocks = [_block(tuple(sizes), shape, seed, b) for b in range(-(-count // _BLOCK))]
    support, query = (np.concatenate(parts)[:count] for parts in zip(*blocks, strict=True))
    return support, query


@lru_cache(maxsize=8)
def _block(sizes: tuple[int, ...], shape: Shape, seed: int, number: int) -> tuple[Ints, Ints]:
    """Return a block of episodes from one generator: to start one takes as long as ten draws."""
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
    """Return `needed` different random numbers below each of the counts, int64 [R, needed].

    These are the first steps of a shuffle (Durstenfeld 1964, Algorithm 235), for all rows at once.
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
