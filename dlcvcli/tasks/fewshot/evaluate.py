"""`dlcv eval` of a few-shot model."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlcvcli.data.episode_file import drawn_episodes, read_episodes
from dlcvcli.data.episodes import EpisodeList, Shape, require_enough
from dlcvcli.data.few_shot import duplicate_remarks
from dlcvcli.data.few_shot_split import OpenedSplit, open_few_shot
from dlcvcli.data.seen_images import image_digest
from dlcvcli.errors import UsageError
from dlcvcli.files import write_atomically
from dlcvcli.inference.evaluation import (
    EvalRequest,
    Evaluator,
    ResultTable,
    Row,
    describe_model,
    seen_notes,
)
from dlcvcli.reporter import Reporter
from dlcvcli.tasks.fewshot.card import EncoderCard
from dlcvcli.tasks.fewshot.flags import EpisodeFlags, EvalFewshotFlags
from dlcvcli.tasks.fewshot.load import load_encoder
from dlcvcli.tasks.fewshot.scoring import evaluate_episodes, predictions_csv

DEFAULT_EPISODES = 2000


class FewshotEvaluator(Evaluator):
    """Scores few-shot models on episodes."""

    predictions = "--predictions"

    def check(self, request: EvalRequest) -> None:
        flags: EvalFewshotFlags = request.flags
        check_episodes(flags, flags.episodes)

    def evaluate(self, request: EvalRequest, reporter: Reporter) -> dict[str, Any]:
        flags: EvalFewshotFlags = request.flags
        predictor = load_encoder(request.ref, provider=request.provider)
        card = predictor.card
        opened = open_test_split(card, request.data, request.split, flags, reporter)
        data = opened.data
        episodes = chosen_episodes(opened, card, flags, flags.episodes)
        with reporter.counting("reading the images") as progress:
            data.read(card.cache_bytes, progress, as_fits=True)
        for line in duplicate_remarks([data]):
            reporter.say(line)
        with reporter.counting("computing embeddings") as progress:
            evaluation = evaluate_episodes(
                predictor, data, episodes, batch_size=request.batch_size, progress=progress
            )
        if flags.predictions is not None:
            text = predictions_csv(episodes.ids, evaluation.score.predictions)
            write_atomically(flags.predictions, text)
        digests = [image_digest(digest) for digest in data.digests]
        return {
            "task": card.task,
            "model": card.model,
            **describe_model(predictor),
            "data": {
                "path": str(data.root),
                "split": data.split,
                "images": len(data),
                "classes": len(data.sizes),
                "classes_trained_on": opened.trained_on,
                "trained_on": None if card.seen is None else card.seen.count_trained(digests),
                "sha256": data.sha256,
            },
            "metrics": evaluation.metrics,
            "speed": evaluation.speed,
        }

    def agreement(self, first: Path, second: Path) -> float:
        """Return the fraction of queries with the same label, over two files of predictions.

        Raises:
            ValueError: they are not of the same episodes; a bug of the caller.
        """
        tables = []
        for path in (first, second):
            with path.open(encoding="utf-8", newline="") as lines:
                tables.append(np.array(list(csv.reader(lines))))
        one, two = tables
        if one.shape != two.shape or (one[:, 0] != two[:, 0]).any():
            raise ValueError(f"{first} and {second} hold different episodes")
        return float((one[1:, 1:] == two[1:, 1:]).mean())

    def table(self, result: dict[str, Any]) -> ResultTable:
        metrics, data, speed = result["metrics"], result["data"], result["speed"]
        scale = f", scale {metrics['scale']:.2f}" if "scale" in metrics else ""
        scores = [
            Row(f"accuracy, {metrics['n_way']}-way {metrics['k_shot']}-shot", _accuracy),
            Row("episodes", lambda one: str(one["metrics"]["episodes"]), both=False),
            Row("queries of each way", lambda one: str(one["metrics"]["n_query"]), both=False),
            Row("distance", lambda one: one["metrics"]["distance"] + scale, both=False),
        ]
        speeds = [
            Row("images/s embedded", lambda one: f"{one['speed']['images_per_s']:,.0f}"),
            Row("episodes/s scored", lambda one: f"{speed['episodes_per_s']:,.0f}", both=False),
            Row("peak memory", lambda one: f"{speed['peak_memory_mb']} MiB", both=False),
        ]
        notes = [
            *seen_notes(data),
            f"± is the 95 % interval of the mean over episodes. Episodes: sha256 "
            f"{metrics['episodes_sha256'][:12]}",
        ]
        return ResultTable(
            f"{result['model']} on {data['images']} images of {data['classes']} classes "
            f"({data['split']})",
            (scores, speeds),
            "queries",
            notes,
        )


def open_test_split(
    card: EncoderCard, folder: Path, split: str, flags: EpisodeFlags, reporter: Reporter
) -> OpenedSplit:
    """Open a split as a model needs its images, and report how its classes were chosen."""
    opened = open_few_shot(
        folder,
        split,
        size=card.image_size,
        layout=card.layout if str(folder.resolve()) == card.data_path else "auto",
        splits=flags.splits or "auto",
        rotations=card.rotations if flags.rotations is None else flags.rotations,
        known=card.classes,
        allow_outside=bool(flags.allow_outside),
    )
    for line in opened.remarks:
        reporter.say(line)
    return opened


def chosen_episodes(
    opened: OpenedSplit, card: EncoderCard, flags: EpisodeFlags, episodes: str | None
) -> EpisodeList:
    """Return the episodes of a file, or draw them.

    Args:
        opened: the split.
        card: of the model, whose shape of episodes is the default.
        flags: what was typed of their shape and seed.
        episodes: a file, or how many to draw; None for the default number.

    Raises:
        UsageError: flags about drawn episodes beside a file.
        DataError: see `read_episodes` and `require_enough`.
    """
    data, count = opened.data, check_episodes(flags, episodes)
    if count is None:
        return read_episodes(Path(str(episodes)), data, opened.ids)
    shape = Shape(
        flags.n_way or card.shape[0], flags.k_shot or card.shape[1], flags.n_query or card.shape[2]
    )
    require_enough(data.sizes, shape, f"split '{data.split}' of {data.root}")
    return drawn_episodes(data, shape, flags.seed or 0, count)


def check_episodes(flags: EpisodeFlags, episodes: str | None) -> int | None:
    """Return how many episodes to draw; None where they are in a file.

    Raises:
        UsageError: flags about drawn episodes beside a file, or too few episodes.
    """
    chosen = episodes or str(DEFAULT_EPISODES)
    if chosen.isascii() and chosen.isdigit():
        count = int(chosen)
        if count < 2:
            raise UsageError("--episodes: at least 2, or there is no interval")
        return count
    for name in ("n_way", "k_shot", "n_query", "seed"):
        if getattr(flags, name) is not None:
            raise UsageError(
                f"--{name.replace('_', '-')} is about drawn episodes, and {chosen} has its own",
                "leave one of the two out",
            )
    return None


def _accuracy(one: Mapping[str, Any]) -> str:
    metrics = one["metrics"]
    half = "" if metrics["ci95"] is None else f" ± {metrics['ci95']:.4f}"
    return f"{metrics['accuracy']:.4f}{half}"
