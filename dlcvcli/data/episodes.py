"""Episodes: a few classes, a few examples of each to learn from, and queries to classify.

An episode is a function of (seed, number) and of the classes' sizes alone, so that any of them can
be made again, on any machine and in any order. It names images by their index in a set whose images
lie class by class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlcvcli.errors import DataError

Ints = NDArray[np.int64]


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


def draw_episode(sizes: Sequence[int], shape: Shape, seed: int, number: int) -> Episode:
    """Draw an episode: no class twice, no image twice.

    Args:
        sizes: images of each class; the images of class c follow those of class c - 1.
        shape: see `require_enough`.
        seed, number: which episode it is; the same pair gives the same episode.
    """
    rng = np.random.default_rng((seed, number))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    needed = shape.k_shot + shape.n_query
    chosen = rng.choice(len(sizes), shape.n_way, replace=False)
    images = np.stack(
        [starts[c] + rng.choice(sizes[c], needed, replace=False) for c in chosen]
    ).astype(np.int64)
    return Episode(images[:, : shape.k_shot], images[:, shape.k_shot :])
