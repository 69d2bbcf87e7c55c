"""Large images in tiles that overlap, their logits blended; memory is bounded by a row of tiles."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.reading import Pixels
from dlcvcli.errors import UsageError
from dlcvcli.palette import Mask
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.segmentation.predictor import Logits, Predictor, WrappedPredictor

Floats = NDArray[np.float32]


class Tiled(WrappedPredictor):
    """Cuts images into tiles, predicts each, and blends their logits where they overlap.

    A tile weighs less towards its edges, where the network sees only one side of a thing: its
    weight rises in a line over the overlap. Tiles are all of one size (the last of a row or column
    moves back instead of shrinking), so that a GPU prepares one shape only. An image no larger than
    a tile is predicted at once.

    Of an image of H x W, `__call__` keeps the logits of one row of tiles, [C, tile, W], never those
    of all; the image itself and its mask are the caller's.

    Args:
        inner: predicts a tile.
        tile: (height, width) of a tile, in pixels.
        overlap: how far neighbours reach into each other, in pixels.
        batch_size: tiles in a call.

    Raises:
        UsageError: the overlap is as large as half a tile or larger, or the model stretches images
            to a size of its own.
    """

    def __init__(
        self, inner: Predictor, tile: tuple[int, int], overlap: int, *, batch_size: int = 4
    ) -> None:
        super().__init__(inner, {"tile": list(tile), "overlap": overlap})
        if not 0 <= overlap <= min(tile) // 2:
            raise UsageError(
                f"--overlap {overlap} does not fit tiles of {tile[0]}x{tile[1]}",
                f"choose 0 to {min(tile) // 2}",
            )
        if inner.card.size is not None:
            raise UsageError(
                f"--tile does not go with a model that stretches images to "
                f"{inner.card.size[0]}x{inner.card.size[1]}",
                "leave --tile out, or train without --size",
            )
        self.tile: tuple[int, int] | None = tile
        self.overlap = overlap
        self.batch_size = batch_size

    def __call__(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Mask:
        """Return class ids, uint8 [N, H, W], of uint8 images [N, H, W, 3]; `size` is (H, W)."""
        masks = np.empty(images.shape[:3], dtype=np.uint8)
        for image, mask in zip(images, masks, strict=True):
            for top, rows in self._bands(image, size, clock):
                with clock.stage("score"):
                    # Weights are the same for every class: no need to divide by their sum.
                    mask[top : top + rows.shape[1]] = rows[:-1].argmax(axis=0)
        return masks

    def logits(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Logits:
        """Return float32 [N, C, H, W]: weighted means of the tiles' logits."""
        predictions = []
        for image in images:
            bands = [rows[:-1] / rows[-1] for _, rows in self._bands(image, size, clock)]
            predictions.append(np.concatenate(bands, axis=1))
        return np.stack(predictions)

    def _bands(
        self, image: Pixels, size: tuple[int, int], clock: StageClock
    ) -> Iterator[tuple[int, Floats]]:
        """Yield finished rows of an image from the top: where they begin, and [C + 1, rows, W].

        The last channel is the sum of the weights, by which the others are still to be divided.
        """
        assert self.tile is not None
        height, width = image.shape[:2]
        if (height, width) != size:
            raise ValueError(f"tiles give masks of the image's own size, not {size}")
        tile = min(self.tile[0], height), min(self.tile[1], width)
        tops, lefts = (
            starts(total, part, self.overlap)
            for total, part in zip((height, width), tile, strict=True)
        )
        weight = window(tile, self.overlap)
        open_rows: Floats | None = None
        for index, top in enumerate(tops):
            following = tops[index + 1] if index + 1 < len(tops) else height
            for left, logits in self._row(image[top : top + tile[0]], lefts, tile, clock):
                with clock.stage("score"):
                    if open_rows is None:
                        open_rows = np.zeros((len(logits) + 1, tile[0], width), dtype=np.float32)
                    part = open_rows[:, :, left : left + tile[1]]
                    part[:-1] += logits * weight
                    part[-1] += weight
            assert open_rows is not None
            done = following - top
            # A row is used before the next one is computed.
            yield top, open_rows[:, :done]
            with clock.stage("score"):
                open_rows[:, : tile[0] - done] = open_rows[:, done:].copy()
                open_rows[:, tile[0] - done :] = 0

    def _row(
        self, strip: Pixels, lefts: list[int], tile: tuple[int, int], clock: StageClock
    ) -> Iterator[tuple[int, Floats]]:
        """Yield the logits [C, tile height, tile width] of each tile of a row."""
        for begin in range(0, len(lefts), self.batch_size):
            some = lefts[begin : begin + self.batch_size]
            batch = np.stack([strip[:, left : left + tile[1]] for left in some])
            yield from zip(some, self.inner.logits(batch, tile, clock), strict=True)


def starts(total: int, part: int, overlap: int) -> list[int]:
    """Return the first pixels of parts that cover a side; the last part ends where the side ends.

    Args:
        total: pixels of the side.
        part: pixels of a part, at most `total`.
        overlap: pixels that two neighbours share at least; below `part` where several are needed.
    """
    if part >= total:
        return [0]
    step = part - overlap
    return [*range(0, total - part, step), total - part]


def window(tile: tuple[int, int], overlap: int) -> Floats:
    """Return the weights of a tile's pixels, float32 [height, width] in (0, 1].

    They rise in a line from the edges over the overlap; where two tiles overlap by exactly that
    much, their weights add up to 1.
    """

    def ramp(size: int) -> Floats:
        from_edge = np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5
        return np.minimum(1.0, from_edge / max(overlap, 0.5)).astype(np.float32)

    return np.outer(ramp(tile[0]), ramp(tile[1]))
