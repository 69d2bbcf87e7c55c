"""Evaluation batches, grouped by image size and read ahead by threads in bounded memory."""

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
        names: the names that users see.
        images: uint8 [N, H, W, 3], RGB.
        masks: uint8 [N, h, w], class ids.
        digests, image_digests: one per sample, as in `Sample`.
    """

    names: tuple[str, ...]
    images: Pixels
    masks: Mask
    digests: tuple[bytes, ...]
    image_digests: tuple[bytes, ...]


class EvalBatches:
    """The evaluation batches of one rank, which can be read any number of times.

    Samples are grouped by the size of their image, so that sets of mixed sizes can be batched.
    Every sample belongs to exactly one rank. The constructor reads the headers of the images.

    Args:
        data: the set.
        batch_size: images in a batch; the last batch of each size may be smaller.
        rank, world_size: this rank, from 0, and the number of ranks.

    Attributes:
        indices: sample indices of each batch.
        shapes: number of different image sizes.
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
        """Yield the batches, and read the next ones in threads meanwhile.

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
