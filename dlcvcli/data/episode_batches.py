"""Training episodes, step by step; the episodes of a step are a function of (seed, step)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dlcvcli.config.schema import JitterSettings
from dlcvcli.data.episodes import Shape, draw_episode
from dlcvcli.data.few_shot import FewShotSet
from dlcvcli.data.jitter import jitter
from dlcvcli.data.reading import read_ahead

Batch = dict[str, Tensor]

# Makes the generator of transforms different from those that draw episodes.
_TRANSFORMS = 1 << 41


@dataclass(frozen=True)
class EpisodePlan:
    """Number of steps in an epoch and of images in a step, for the log and its speeds."""

    steps_per_epoch: int
    batch_size: int


class EpisodeBatches:
    """The episodes of every step, from any step on.

    Args:
        data: the training split.
        shape: shape of an episode; `require_enough` checks that the set has enough images.
        seed: seed of the draw.
        jitter: random transforms of the images.
        episodes: number of episodes in a step, over all ranks.
        steps_per_epoch: number of steps that the log counts as an epoch.
        pin_memory: return batches in page-locked memory, for a GPU.
    """

    def __init__(
        self,
        data: FewShotSet,
        shape: Shape,
        seed: int,
        *,
        jitter: JitterSettings | None = None,
        episodes: int = 1,
        steps_per_epoch: int = 100,
        pin_memory: bool = False,
    ) -> None:
        self.data = data
        self.shape = shape
        self.seed = seed
        self.jitter = jitter or JitterSettings()
        self.episodes = episodes
        self.pin_memory = pin_memory
        images = shape.n_way * (shape.k_shot + shape.n_query) * episodes
        self.plan = EpisodePlan(steps_per_epoch, images)

    def steps(
        self,
        start: int,
        stop: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        workers: int | None = None,
    ) -> Generator[Batch]:
        """Yield a rank's episodes of each step from `start` to `stop`.

        `support` is uint8 ``[B, N, K, H, W, 3]`` and `query` uint8 ``[B, N Q, H, W, 3]``, ordered
        by way.

        Raises:
            DataError: an image that is not kept in memory cannot be read.
        """
        own = self.episodes // world_size

        def make(step: int) -> Batch:
            first = step * self.episodes + rank * own
            parts = [self._episode(number) for number in range(first, first + own)]
            support, query = (torch.stack(images) for images in zip(*parts, strict=True))
            batch = {"support": support, "query": query}
            return {k: v.pin_memory() for k, v in batch.items()} if self.pin_memory else batch

        # One thread suffices: `images` copies from memory, and decodes other files in threads.
        threads = 1 if workers is None else min(1, workers)
        yield from read_ahead(make, range(start, stop), threads=threads, ahead=2)

    def _episode(self, number: int) -> tuple[Tensor, Tensor]:
        """Return the support [N, K, H, W, 3] and the queries [N Q, H, W, 3] of an episode."""
        drawn = draw_episode(self.data.sizes, self.shape, self.seed, number)
        places = np.concatenate([drawn.support.ravel(), drawn.query.ravel()])
        images = torch.from_numpy(self.data.images(places))
        rng = np.random.default_rng((self.seed, number, _TRANSFORMS))
        moved = jitter(images, self.jitter, rng)
        support, query = moved[: drawn.support.size], moved[drawn.support.size :]
        return support.reshape(*drawn.support.shape, *support.shape[1:]), query
