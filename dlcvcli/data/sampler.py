"""The global order of training samples, as a pure function of (seed, epoch).

The sampler has no state to save: the batch of a step follows from the step alone. So a run resumes
in the middle of an epoch, with other numbers of ranks and workers, without repeating or losing a
sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dlcvcli.errors import UsageError

Draw = tuple[int, int]
"""(epoch, sample index); with the seed, it determines the content of a training sample."""


@lru_cache(maxsize=4)
def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of `count` samples in an epoch, int64 [count]."""
    return np.random.default_rng((seed, epoch)).permutation(count)


@dataclass(frozen=True)
class BatchPlan:
    """The samples of the global batch of each step.

    The last incomplete batch of an epoch is dropped.

    Attributes:
        count: number of samples in the set.
        batch_size: size of the global batch, over all ranks.
        seed: seed of the order.
    """

    count: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        if self.batch_size > self.count:
            raise UsageError(
                f"batch size {self.batch_size} is larger than the training set of {self.count} "
                "images",
                f"choose --batch-size {self.count} or less",
            )

    @property
    def steps_per_epoch(self) -> int:
        """Number of full batches in an epoch."""
        return self.count // self.batch_size

    def draws(self, step: int, rank: int = 0, world_size: int = 1) -> list[Draw]:
        """Return a rank's part of the global batch of `step`, from 0.

        Raises:
            UsageError: the ranks cannot have equally many samples.
        """
        if self.batch_size % world_size:
            raise UsageError(
                f"batch size {self.batch_size} cannot be split over {world_size} ranks",
                f"choose a multiple of {world_size}: --batch-size counts the images of all ranks",
            )
        epoch, place = divmod(step, self.steps_per_epoch)
        share = self.batch_size // world_size
        start = place * self.batch_size + rank * share
        order = epoch_order(self.count, self.seed, epoch)
        return [(epoch, int(index)) for index in order[start : start + share]]


@dataclass(frozen=True)
class StepRange:
    """One rank's batches of the steps `start` to `stop`, in the order of the steps."""

    plan: BatchPlan
    start: int
    stop: int
    rank: int = 0
    world_size: int = 1

    def __len__(self) -> int:
        return max(0, self.stop - self.start)

    def __iter__(self) -> Iterator[list[Draw]]:
        for step in range(self.start, self.stop):
            yield self.plan.draws(step, self.rank, self.world_size)
