"""Scoring a segmenter on an annotated set: one loop for PyTorch and ONNX Runtime."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlcvcli.boundary import BoundaryScore
from dlcvcli.data.batches import Batch, EvalBatches
from dlcvcli.data.fingerprint import fingerprint
from dlcvcli.data.masks import write_mask
from dlcvcli.data.reading import Pixels, Progress
from dlcvcli.errors import DataError
from dlcvcli.inference.evaluation import Speed, latency_ms
from dlcvcli.machine import peak_memory_mb
from dlcvcli.metrics import Convention, Counts, SegmentationMetrics, SegmentationScore
from dlcvcli.palette import ClassSet, Mask
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.segmentation.predictor import Predictor

Forward = Callable[[Pixels, tuple[int, int]], Mask]

STAGES = ("read", "copy", "run", "score")


@dataclass(frozen=True)
class Evaluation:
    """An evaluation, as the parts of its JSON."""

    counts: Counts
    metrics: SegmentationMetrics
    data: dict[str, Any]
    speed: Speed


def score(
    forward: Forward, batches: EvalBatches, *, stop: Callable[[], bool] = lambda: False
) -> Counts | None:
    """Return the confusion matrix over some batches, without clocks or files.

    This is validation during training; `evaluate` is the same walk with its times taken.

    Args:
        forward: returns the masks of images, at a size.
        batches: the images.
        stop: called before each batch; where it returns True, `score` returns None.
    """
    total = SegmentationScore(batches.data.classes)
    with closing(batches.read()) as source:
        for batch in source:
            if stop():
                return None
            total.update(batch.masks, forward(batch.images, _size_of(batch.masks)))
    return total.counts


def evaluate(
    predictor: Predictor,
    batches: EvalBatches,
    *,
    conventions: list[Convention],
    boundary: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
    masks_to: Path | None = None,
) -> Evaluation:
    """Score a predictor on a split.

    Memory does not grow with the number of images: batches are read ahead a few at a time, and
    masks become counts at once.

    Args:
        predictor: the model.
        batches: the split's images, all of them.
        conventions: metric conventions, the first being the main one.
        boundary: compute the boundary F-score too; it takes as long as everything else on small
            images.
        threads: that read ahead.
        progress: called with (images done, images in all).
        masks_to: write every predicted mask there as a palette PNG; outside the times.

    Raises:
        DataError: the set is empty, or a sample cannot be read.
        DlcvError: a mask cannot be written; those before it are complete.
    """
    data = batches.data
    if not len(data):
        raise DataError(f"split '{data.split}' of {data.root} holds no images")
    _warm_up(predictor, batches)
    clock = StageClock()
    total = SegmentationScore(data.classes, imagewise="smp-imagewise" in conventions)
    boundaries = BoundaryScore(data.classes) if boundary else None
    digests: list[tuple[str, bytes]] = []
    seen = predictor.card.seen
    trained_on = 0
    laps: list[float] = []
    aside = 0.0
    started = time.perf_counter()
    source = batches.read(threads)
    while True:
        with clock.stage("read"):
            batch = next(source, None)
        if batch is None:
            break
        called = time.perf_counter()
        masks = predictor(batch.images, _size_of(batch.masks), clock)
        laps.append(time.perf_counter() - called)
        with clock.stage("score"):
            total.update(batch.masks, masks)
            if boundaries is not None:
                boundaries.update(batch.masks, masks)
        digests += zip(batch.names, batch.digests, strict=True)
        trained_on += 0 if seen is None else seen.count_trained(batch.image_digests)
        paused = time.perf_counter()
        if masks_to is not None:
            _keep_masks(masks_to, batch, masks, data.classes)
        if progress is not None:
            progress(len(digests), len(data))
        aside += time.perf_counter() - paused
    wall = time.perf_counter() - started - aside
    return Evaluation(
        counts=total.counts,
        metrics=total.compute_all(
            conventions, None if boundaries is None else boundaries.compute()
        ),
        data={
            "path": str(data.root),
            "split": data.split,
            "images": len(data),
            "trained_on": None if seen is None else trained_on,
            "sha256": fingerprint(digests),
        },
        speed=_speed(clock, laps, wall, len(data), batches.batch_size),
    )


def _size_of(masks: Mask) -> tuple[int, int]:
    return masks.shape[1], masks.shape[2]


def _warm_up(predictor: Predictor, batches: EvalBatches) -> None:
    """Run the shapes of the first and the last batch, so that what is done once is not timed.

    A set of one size has no other shapes than these two. Of a large image one tile is enough.
    """
    seen = set()
    for indices in (batches.indices[0], batches.indices[-1]):
        sample = batches.data.read(indices[0])
        image, size = sample.image, (sample.mask.shape[0], sample.mask.shape[1])
        if predictor.tile is not None:
            image = image[: predictor.tile[0], : predictor.tile[1]]
            size = image.shape[0], image.shape[1]
        shape = (len(indices), *image.shape, *size)
        if shape not in seen:
            seen.add(shape)
            predictor(np.repeat(image[None], len(indices), axis=0), size, StageClock())


def _keep_masks(folder: Path, batch: Batch, masks: Mask, classes: ClassSet) -> None:
    for name, mask in zip(batch.names, masks, strict=True):
        write_mask(folder / f"{name}.png", mask, classes, compress_level=1)


def _speed(
    clock: StageClock, laps: list[float], wall: float, images: int, batch_size: int
) -> Speed:
    return {
        "images_per_s": images / wall,
        "peak_memory_mb": peak_memory_mb(),
        "latency_ms": latency_ms(laps),
        "batch_size": batch_size,
        "wall_s": wall,
        "share": {stage: clock.seconds.get(stage, 0.0) / wall for stage in STAGES},
    }
