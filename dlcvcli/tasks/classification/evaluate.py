"""`dlcv eval` of a classifier."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlcvcli.files import write_atomically
from dlcvcli.inference.evaluation import (
    FIGURES,
    EvalRequest,
    Evaluator,
    ResultTable,
    Row,
    confusion_csv,
    describe_model,
    require_target,
    seen_notes,
)
from dlcvcli.reporter import Reporter
from dlcvcli.tasks.classification.flags import EvalClsFlags
from dlcvcli.tasks.classification.labelled import describe_data, open_labelled
from dlcvcli.tasks.classification.load import load_predictor
from dlcvcli.tasks.classification.scoring import evaluate, predictions_csv

# More classes than this are in the JSON and in the figure, not in the table.
_LISTED = 30


class ClassificationEvaluator(Evaluator):
    """Scores classifiers on labelled images."""

    predictions = "--predictions"
    compared = ("per_class",)

    def check(self, request: EvalRequest) -> None:
        flags = _flags(request)
        if flags.confusion is not None:
            require_target(flags.confusion, "--confusion", (".csv", *FIGURES))
        if flags.reliability is not None:
            require_target(flags.reliability, "--reliability", FIGURES)

    def evaluate(self, request: EvalRequest, reporter: Reporter) -> dict[str, Any]:
        flags = _flags(request)
        predictor = load_predictor(request.ref, provider=request.provider)
        card, on_gpu = predictor.card, predictor.on_gpu
        outside = bool(flags.allow_outside)
        data = open_labelled(card, request.data, request.split, reporter, allow_outside=outside)
        with reporter.counting("evaluating") as progress:
            evaluation = evaluate(
                predictor,
                data,
                batch_size=request.batch_size or (64 if on_gpu else 8),
                threads=4 if on_gpu else 1,
                progress=progress,
            )
        if flags.predictions is not None:
            write_atomically(flags.predictions, predictions_csv(data, evaluation.predictions))
        return {
            "task": card.task,
            "model": card.model,
            **describe_model(predictor),
            "data": describe_data(card, data),
            "metrics": evaluation.metrics,
            "speed": evaluation.speed,
        }

    def agreement(self, first: Path, second: Path) -> float:
        """Return the fraction of images with the same class, over two files of predictions.

        Raises:
            ValueError: they are not of the same images; a bug of the caller.
        """
        tables = []
        for path in (first, second):
            with path.open(encoding="utf-8", newline="") as lines:
                tables.append(np.array(list(csv.reader(lines))[1:]))
        one, two = tables
        if one.shape != two.shape or (one[:, 0] != two[:, 0]).any():
            raise ValueError(f"{first} and {second} hold predictions of different images")
        return float((one[:, 2] == two[:, 2]).mean())

    def table(self, result: dict[str, Any]) -> ResultTable:
        metrics, data, speed = result["metrics"], result["data"], result["speed"]
        scores = [Row("top-1 accuracy", _top1)]
        if metrics["top5"] is not None:
            scores.append(Row("top-5 accuracy", _metric("top5")))
        scores += [
            Row("balanced accuracy", _metric("balanced_accuracy")),
            Row("calibration error (ECE)", _metric("ece")),
            Row("majority class", _metric("majority_baseline"), both=False),
        ]
        per_class = metrics["per_class"]
        classes = [Row(f"accuracy {name}", _of_class(name)) for name in per_class]
        speeds = [
            Row("images/s", lambda one: f"{one['speed']['images_per_s']:.2f}"),
            Row(f"ms per batch of {speed['batch_size']}", _latency, both=False),
            Row("peak memory", lambda one: f"{one['speed']['peak_memory_mb']} MiB", both=False),
        ]
        notes = [*seen_notes(data), "± is half of the 95 % Wilson interval over the images"]
        absent = len(per_class) - metrics["classes_present"]
        if absent:
            notes.append(f"{absent} of {len(per_class)} classes have no image in the set")
        if len(classes) > _LISTED:
            notes.append(
                f"the accuracies of the {len(classes)} classes are in --json and --confusion"
            )
            classes = []
        return ResultTable(
            f"{result['model']} on {data['images']} images of {metrics['classes_present']} "
            f"classes ({data['split']})",
            [part for part in (scores, classes, speeds) if part],
            "images",
            notes,
        )

    def finish(self, request: EvalRequest, result: dict[str, Any]) -> None:
        """Write the confusion matrix and the reliability diagram."""
        flags, metrics = _flags(request), result["metrics"]
        confusion = metrics["confusion"]
        if flags.confusion is not None and flags.confusion.suffix.lower() == ".csv":
            write_atomically(flags.confusion, confusion_csv(confusion))
        elif flags.confusion is not None:
            from dlcvcli.figures.confusion import confusion_figure
            from dlcvcli.figures.style import save

            figure = confusion_figure(confusion["classes"], confusion["counts"], unit="images")
            save(figure, flags.confusion)
        if flags.reliability is not None:
            from dlcvcli.figures.reliability import reliability_figure
            from dlcvcli.figures.style import save

            save(reliability_figure(metrics["reliability"], metrics["ece"]), flags.reliability)


def _flags(request: EvalRequest) -> EvalClsFlags:
    flags: EvalClsFlags = request.flags
    return flags


def _top1(one: Mapping[str, Any]) -> str:
    return f"{one['metrics']['top1']:.4f} ± {one['metrics']['ci95']:.4f}"


def _metric(key: str) -> Any:
    return lambda one: f"{one['metrics'][key]:.4f}"


def _of_class(name: str) -> Any:
    def shown(one: Mapping[str, Any]) -> str:
        value = one["metrics"]["per_class"][name]
        return "absent" if value is None else f"{value:.4f}"

    return shown


def _latency(one: Mapping[str, Any]) -> str:
    latency = one["speed"]["latency_ms"]
    return f"{latency['p50']:.1f} (p95 {latency['p95']:.1f})"
