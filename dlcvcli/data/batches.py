"""Batches of an evaluation: grouped by size, read ahead by threads, memory bounded."""

from __future__ import annotations

from collections.abc import Generator
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
        digests, image_digests: one per sample, see `Sample`.
    """

    names: tuple[str, ...]
    images: Pixels
    masks: Mask
    digests: tuple[bytes, ...]
    image_digests: tuple[bytes, ...]


class EvalBatches:
    """The batches of one rank's share of a set; they can be walked any number of times.

    Samples are grouped by the size of their image, so that sets of mixed sizes can be batched;
    ranks share the samples without repeating any. The headers of the images are read at once.

    Args:
        data: the set.
        batch_size: images in a batch; the last one of each size may be smaller.
        rank, world_size: whose share.

    Attributes:
        indices: the samples of each batch.
        shapes: how many sizes of image there are.
    """

    def __init__(
        self, data: SegmentationSet, batch_size: int, *, rank: int = 0, world_size: int = 1
    ) -> None:
        self.data = data
        self.batch_size = batch_size
        mine = range(rank, len(data), world_size)
        groups: dict[tuple[int, int], list[int]] = {}
        sizes = read_ahead(lambda i: image_size(data.pairs[i].image), mine, threads=2, ahead=64)
        for index, size in zip(mine, sizes, strict=True):
            groups.setdefault(size, []).append(index)
        self.shapes = len(groups)
        self.indices = [
            group[start : start + batch_size]
            for _, group in sorted(groups.items())
            for start in range(0, len(group), batch_size)
        ]

    def read(self, threads: int = 1) -> Generator[Batch]:
        """Yield the batches, the next ones being read while one is used.

        Raises:
            DataError: a sample cannot be read; see `SegmentationSet.read`.
        """
        order = [index for indices in self.indices for index in indices]
        samples = read_ahead(self.data.read, order, threads=threads, ahead=2 * self.batch_size)
        for indices in self.indices:
            yield _stack([next(samples) for _ in indices])


def _stack(samples: list[Sample]) -> Batch:
    return Batch(
        names=tuple(sample.name for sample in samples),
        images=np.stack([sample.image for sample in samples]),
        masks=np.stack([sample.mask for sample in samples]),
        digests=tuple(sample.digest for sample in samples),
        image_digests=tuple(sample.image_digest for sample in samples),
    )
