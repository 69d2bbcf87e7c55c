"""Scoring a classifier on a labelled set: one loop for PyTorch and ONNX Runtime. Needs no torch."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.labelled_images import LabelledImages
from dlcvcli.data.reading import Pixels, Progress
from dlcvcli.errors import DataError
from dlcvcli.inference.evaluation import Speed, latency_ms
from dlcvcli.machine import peak_memory_mb
from dlcvcli.runs import RunFolder
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.classification.metrics import (
    ClassificationMetrics,
    ClassificationScore,
    Ints,
    log_softmax,
)
from dlcvcli.tasks.classification.predictor import Floats, Predictor

STAGES = ("read", "copy", "run", "score")


@dataclass(frozen=True)
class Predictions:
    """What a classifier predicted for every image of a set, in the set's order.

    Attributes:
        predicted: classes, int64 [N].
        probability: of the predicted class, float64 [N].
    """

    predicted: Ints
    probability: NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """An evaluation: its predictions, and the parts of its JSON."""

    predictions: Predictions
    metrics: ClassificationMetrics
    speed: Speed


def score(
    forward: Callable[[Pixels], Floats],
    data: LabelledImages,
    batch_size: int,
    *,
    rank: int = 0,
    world_size: int = 1,
    stop: Callable[[], bool] = lambda: False,
) -> ClassificationScore | None:
    """Return the sums over a rank's part of a set, without clocks or files.

    This is validation during training; `evaluate` is the same walk with its times taken.

    Args:
        forward: returns logits of images.
        data: the set.
        batch_size: images a call.
        rank, world_size: this rank, and how many there are.
        stop: called before each batch; where it returns True, `score` returns None.
    """
    total = ClassificationScore(data.classes)
    with closing(data.batches(batch_size, rank=rank, world_size=world_size)) as batches:
        for batch in batches:
            if stop():
                return None
            total.update(batch.labels, forward(batch.images))
    return total


def evaluate(
    predictor: Predictor,
    data: LabelledImages,
    *,
    batch_size: int,
    threads: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a predictor on a split; only the predictions grow with the number of images.

    Args:
        predictor: the model.
        data: the split.
        batch_size: images a call.
        threads: that read ahead.
        progress: called with (images done, images in all).

    Raises:
        DataError: the set is empty, or an image cannot be read.
    """
    if not len(data):
        raise DataError(f"split '{data.split}' of {data.root} holds no images")
    _warm_up(predictor, data, batch_size)
    clock, total = StageClock(), ClassificationScore(data.classes)
    predicted, probability = np.zeros(len(data), np.int64), np.zeros(len(data))
    laps: list[float] = []
    done = 0
    started = time.perf_counter()
    batches = data.batches(batch_size, threads=threads)
    while True:
        with clock.stage("read"):
            batch = next(batches, None)
        if batch is None:
            break
        called = time.perf_counter()
        logits = predictor(batch.images, clock)
        laps.append(time.perf_counter() - called)
        with clock.stage("score"):
            predicted[batch.indices] = total.update(batch.labels, logits)
            probability[batch.indices] = np.exp(log_softmax(logits).max(axis=1))
        done += len(batch.indices)
        if progress is not None:
            progress(done, len(data))
    wall = time.perf_counter() - started
    return Evaluation(
        Predictions(predicted, probability),
        total.compute(),
        {
            "images_per_s": len(data) / wall,
            "peak_memory_mb": peak_memory_mb(),
            "latency_ms": latency_ms(laps),
            "batch_size": batch_size,
            "wall_s": wall,
            "share": {stage: clock.seconds.get(stage, 0.0) / wall for stage in STAGES},
        },
    )


def _warm_up(predictor: Predictor, data: LabelledImages, batch_size: int) -> None:
    """Run the batch sizes that will come, so that work that is done once is not timed."""
    image = data.read(0).image
    for size in {min(batch_size, len(data)), len(data) % batch_size} - {0}:
        predictor(np.repeat(image[None], size, axis=0), StageClock())


def predictions_file(run: RunFolder) -> Path:
    """Return where the predictions of a run's best checkpoint on its validation images are kept."""
    return run.path / "predictions.csv"


def predictions_csv(data: LabelledImages, predictions: Predictions) -> str:
    """Return a line for each image: `filename,label,predicted,probability`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["filename", "label", "predicted", "probability"])
    rows = zip(
        data.labels.tolist(),
        predictions.predicted.tolist(),
        predictions.probability.tolist(),
        strict=True,
    )
    for index, (label, predicted, probability) in enumerate(rows):
        names = data.classes[label], data.classes[predicted]
        writer.writerow([data.name_of(index), *names, f"{probability:.6f}"])
    return out.getvalue()
