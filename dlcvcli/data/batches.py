"""Batches of an evaluation: grouped by size, read ahead by threads, memory bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dlcvcli.data.reading import Pixels, image_size, read_ahead
from dlcvcli.data.segmentation import Sample, SegmentationSet
from dlcvcli.palette import Mask


@dataclass(frozen=True)
class Batch:
    """Images of one size whose annotations share one size.

    Attributes:
        names: what users call them.
        images: uint8 [N, H, W, 3], RGB.
        masks: uint8 [N, h, w], class ids.
        digests: one per sample, see `Sample.digest`.
    """

    names: tuple[str, ...]
    images: Pixels
    masks: Mask
    digests: tuple[bytes, ...]


def batch_indices(
    data: SegmentationSet, batch_size: int, *, rank: int = 0, world_size: int = 1
) -> list[list[int]]:
    """Return the indices of each batch of one rank.

    Samples are grouped by the size of the image and of its annotation, so that sets of mixed sizes
    can be batched; ranks share the samples without repeating any.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    mine = range(rank, len(data), world_size)
    sizes = read_ahead(lambda index: image_size(data.pairs[index].image), mine, threads=2, ahead=64)
    for index, size in zip(mine, sizes, strict=True):
        groups.setdefault(size, []).append(index)
    return [
        indices[start : start + batch_size]
        for _, indices in sorted(groups.items())
        for start in range(0, len(indices), batch_size)
    ]


def batches(
    data: SegmentationSet,
    batch_size: int,
    *,
    threads: int = 1,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Batch]:
    """Yield a rank's batches, the next ones being read while one is used.

    Raises:
        DataError: a sample cannot be read; see `SegmentationSet.read`.
    """
    plan = batch_indices(data, batch_size, rank=rank, world_size=world_size)
    order = [index for indices in plan for index in indices]
    samples = read_ahead(data.read, order, threads=threads, ahead=2 * batch_size)
    for indices in plan:
        yield _stack([next(samples) for _ in indices])


def _stack(samples: list[Sample]) -> Batch:
    return Batch(
        names=tuple(sample.name for sample in samples),
        images=np.stack([sample.image for sample in samples]),
        masks=np.stack([sample.mask for sample in samples]),
        digests=tuple(sample.digest for sample in samples),
    )
