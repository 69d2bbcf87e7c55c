"""Scoring a few-shot model on episodes, under PyTorch and ONNX Runtime alike; needs no torch."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np

from dlcvcli.data.episodes import EpisodeList
from dlcvcli.data.few_shot import FewShotSet
from dlcvcli.data.reading import Pixels, Progress
from dlcvcli.files import write_atomically
from dlcvcli.inference.evaluation import Speed, latency_ms
from dlcvcli.machine import peak_memory_mb
from dlcvcli.prototypes import Cosine, Floats, read_distance
from dlcvcli.runs import RunFolder
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.fewshot.episodes import (
    EpisodeScore,
    Ints,
    compact,
    embed_images,
    images_at_once,
    score_episodes,
)
from dlcvcli.tasks.fewshot.predictor import EncoderPredictor


class EpisodeMetrics(TypedDict):
    """The scores of a few-shot model; `ci95` is half of the 95 % interval of the accuracy."""

    accuracy: float
    ci95: float | None
    episodes: int
    n_way: int
    k_shot: int
    n_query: int
    distance: str
    scale: NotRequired[float]  # that the cosine distance learned
    episodes_sha256: str


@dataclass(frozen=True)
class EpisodeEvaluation:
    """An evaluation, as the parts of its JSON."""

    score: EpisodeScore
    metrics: EpisodeMetrics
    speed: Speed


def evaluate_episodes(
    predictor: EncoderPredictor,
    data: FewShotSet,
    episodes: EpisodeList,
    *,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> EpisodeEvaluation:
    """Score a model on episodes of a set; each image is embedded once.

    Args:
        predictor: the model.
        data: the set.
        episodes: at least one.
        batch_size: images a call; None to choose by their size.
        progress: called with (images done, images in all).

    Raises:
        DataError: an image cannot be read.
    """
    used, support, query = compact(episodes)
    at_once = batch_size or images_at_once(data.size)
    _warm_up(predictor, data, len(used), at_once)
    clock = StageClock()
    laps: list[float] = []

    def embed(images: Pixels) -> Floats:
        called = time.perf_counter()
        embeddings = predictor(images, clock)
        laps.append(time.perf_counter() - called)
        return embeddings

    started = time.perf_counter()
    features = embed_images(embed, data, used, batch_size=at_once, progress=progress)
    assert features is not None
    embedded = time.perf_counter()
    distance = read_distance(predictor.card.distance)
    score = score_episodes(features, support, query, episodes.answers, distance)
    ended = time.perf_counter()
    wall = ended - started
    accuracy, shape = score.interval, episodes.shape
    metrics: EpisodeMetrics = {
        "accuracy": accuracy.mean,
        "ci95": accuracy.ci95,
        "episodes": accuracy.count,
        "n_way": shape.n_way,
        "k_shot": shape.k_shot,
        "n_query": shape.n_query,
        "distance": distance.name,
        "episodes_sha256": episodes.sha256,
    }
    if isinstance(distance, Cosine):
        metrics["scale"] = distance.scale
    return EpisodeEvaluation(
        score,
        metrics,
        {
            "images_per_s": len(used) / max(embedded - started, 1e-9),
            "episodes_per_s": len(episodes) / max(ended - embedded, 1e-9),
            "peak_memory_mb": peak_memory_mb(),
            "latency_ms": latency_ms(laps),
            "batch_size": at_once,
            "wall_s": wall,
            "share": {
                # The time of embedding that is neither copying nor running is waiting for pixels.
                "read": max(0.0, embedded - started - sum(laps)) / wall,
                "copy": clock.seconds.get("copy", 0.0) / wall,
                "run": clock.seconds.get("run", 0.0) / wall,
                "score": (ended - embedded) / wall,
            },
        },
    )


def _warm_up(predictor: EncoderPredictor, data: FewShotSet, count: int, at_once: int) -> None:
    """Run the batches that will come, so that work that is done once is not timed."""
    image = data.images([0])
    for size in {min(at_once, count), count % at_once} - {0}:
        predictor(np.repeat(image, size, axis=0), StageClock())


def scores_file(run: RunFolder) -> Path:
    """Return where the accuracy of each episode that a run was scored on is kept."""
    return run.path / "episodes.csv"


def write_scores(path: Path, episodes: EpisodeList, score: EpisodeScore) -> None:
    """Write the accuracy of each episode as CSV."""
    lines = [
        f"{name},{value:.6f}" for name, value in zip(episodes.ids, score.accuracies, strict=True)
    ]
    write_atomically(path, "\n".join(["episode_id,accuracy", *lines]) + "\n")


def predictions_csv(ids: tuple[str, ...], predictions: Ints) -> str:
    """Return predicted labels as CSV: `episode_id`, and the class of each query.

    This is the format of the NTU DLCV course.

    Args:
        ids: of the episodes.
        predictions: int64 [E, M], places among the classes of the episode.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["episode_id", *(f"query{index}" for index in range(predictions.shape[1]))])
    for name, row in zip(ids, predictions.tolist(), strict=True):
        writer.writerow([name, *row])
    return out.getvalue()
