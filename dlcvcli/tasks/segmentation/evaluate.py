"""`dlcv eval` of a segmentation model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from dlcvcli.config.sizes import read_size
from dlcvcli.data.batches import EvalBatches
from dlcvcli.data.masks import read_written_mask
from dlcvcli.data.reading import read_ahead
from dlcvcli.errors import UsageError, nearest
from dlcvcli.files import make_folder, write_atomically
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
from dlcvcli.metrics import CONVENTIONS, Convention
from dlcvcli.reporter import Reporter
from dlcvcli.tasks.segmentation.annotated import open_annotated
from dlcvcli.tasks.segmentation.flags import EvalSegFlags
from dlcvcli.tasks.segmentation.load import load_predictor
from dlcvcli.tasks.segmentation.scores import SCORES
from dlcvcli.tasks.segmentation.scoring import evaluate
from dlcvcli.tasks.segmentation.views import read_views

# The search for the fastest convolution takes seconds for each size of image.
SEARCHED_SHAPES = 4


class SegmentationEvaluator(Evaluator):
    """Scores segmentation models on annotated images."""

    predictions = "--masks"
    compared = ("iou_per_class", "boundary")

    def check(self, request: EvalRequest) -> None:
        flags = _flags(request)
        _conventions(flags.metric)
        read_views(flags)
        if flags.size is not None and flags.tile is not None:
            raise UsageError(
                "--size and --tile contradict each other: stretched images need no tiles",
                "leave one of them out",
            )
        if flags.confusion is not None:
            require_target(flags.confusion, "--confusion", (".csv", *FIGURES))

    def evaluate(self, request: EvalRequest, reporter: Reporter) -> dict[str, Any]:
        flags = _flags(request)
        views = read_views(flags)
        predictor = load_predictor(request.ref, provider=request.provider)
        card, on_gpu = predictor.card, predictor.on_gpu
        size = _size(flags.size, card.size)
        data = open_annotated(card, request.data, request.split, reporter, size=size)
        # Large scenes come one by one, none of them ahead; the batch is then one of tiles.
        tiled = views.tile is not None
        batches = EvalBatches(data, 1 if tiled else request.batch_size or (16 if on_gpu else 4))
        if on_gpu and batches.shapes > SEARCHED_SHAPES:
            predictor = load_predictor(request.ref, provider=request.provider, fixed_shapes=False)
        predictor = views.around(predictor, request.batch_size)
        if flags.masks is not None:
            make_folder(flags.masks)
        with reporter.counting("evaluating") as progress:
            evaluation = evaluate(
                predictor,
                batches,
                conventions=_conventions(flags.metric),
                boundary=bool(flags.boundary),
                threads=0 if tiled else 4 if on_gpu else 1,
                progress=progress,
                masks_to=flags.masks,
            )
        return {
            "task": card.task,
            "model": card.model,
            **describe_model(predictor),
            "data": evaluation.data,
            "metrics": evaluation.metrics,
            "speed": evaluation.speed,
        }

    def agreement(self, first: Path, second: Path) -> float:
        """Return the fraction of pixels with the same class, over all masks of two folders.

        Raises:
            ValueError: the folders do not hold the same masks; a bug of the caller.
        """
        names = sorted(path.name for path in first.iterdir())
        if names != sorted(path.name for path in second.iterdir()):
            raise ValueError(f"{first} and {second} hold different masks")

        def count(name: str) -> tuple[int, int]:
            same = read_written_mask(first / name) == read_written_mask(second / name)
            return int(same.sum()), same.size

        agreed = total = 0
        for same, pixels in read_ahead(count, names, threads=2, ahead=16):
            agreed += same
            total += pixels
        return agreed / total

    def table(self, result: dict[str, Any]) -> ResultTable:
        metrics, data = result["metrics"], result["data"]
        scores = [
            Row("metric", lambda one: one["metrics"]["convention"], both=False),
            *(Row(score.name, _metric(score.key)) for score in SCORES),
        ]
        if "boundary" in metrics:
            within = f"within {metrics['boundary']['tolerance']:.2%} of the diagonal"
            scores.append(
                Row(f"boundary F1 ({within})", lambda one: _shown(one["metrics"]["boundary"]["f1"]))
            )
        scores += [
            Row(f"mIoU ({name})", _of_convention(name), both=False)
            for name in list(metrics["by_convention"])[1:]
        ]
        absent = absent_classes(metrics["confusion"])
        classes = [Row(f"IoU {name}", _iou(name, absent)) for name in metrics["iou_per_class"]]
        speed = [
            Row("images/s", lambda one: f"{one['speed']['images_per_s']:.2f}"),
            Row(f"ms per batch of {result['speed']['batch_size']}", _latency, both=False),
            Row("peak memory", lambda one: f"{one['speed']['peak_memory_mb']} MiB", both=False),
        ]
        notes = seen_notes(data)
        if metrics["convention"] != "smp-imagewise":
            scored, known = metrics["classes_scored"], len(metrics["iou_per_class"])
            notes.append(f"{scored} of {known} classes are in the mean")
        if list(metrics["by_convention"]) != ["voc"]:
            notes += [f"{name}: {one['rule']}" for name, one in metrics["by_convention"].items()]
        return ResultTable(
            f"{result['model']} on {data['images']} images ({data['split']})",
            (scores, classes, speed),
            "pixels",
            notes,
        )

    def finish(self, request: EvalRequest, result: dict[str, Any]) -> None:
        """Write the confusion matrix: as counts in a `.csv`, else as a figure."""
        path, confusion = _flags(request).confusion, result["metrics"]["confusion"]
        if path is None:
            return
        if path.suffix.lower() == ".csv":
            write_atomically(path, confusion_csv(confusion))
            return
        from dlcvcli.figures.confusion import confusion_figure
        from dlcvcli.figures.style import save

        save(confusion_figure(confusion["classes"], confusion["counts"]), path)


def absent_classes(confusion: dict[str, Any]) -> set[str]:
    """Return the classes without a pixel in ground truth and predictions."""
    counts = confusion["counts"]
    return {
        name
        for index, name in enumerate(confusion["classes"])
        if not any(counts[index]) and not any(row[index] for row in counts)
    }


def _flags(request: EvalRequest) -> EvalSegFlags:
    flags: EvalSegFlags = request.flags
    return flags


def _conventions(names: list[str] | None) -> list[Convention]:
    for name in names or ():
        if name not in CONVENTIONS:
            raise UsageError(f"unknown metric '{name}'", nearest(name, CONVENTIONS))
    return cast("list[Convention]", list(dict.fromkeys(names or ["voc"])))


def _size(typed: str | None, trained: tuple[int, int] | None) -> tuple[int, int] | None:
    if typed is None:
        return trained
    size = read_size(typed)
    if trained is not None and trained != size:
        raise UsageError(
            f"--size {typed} contradicts the model, which stretches images to "
            f"{trained[0]}x{trained[1]}",
            "leave --size out",
        )
    return size


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _metric(key: str) -> Any:
    return lambda one: _shown(one["metrics"][key])


def _of_convention(name: str) -> Any:
    return lambda one: _shown(one["metrics"]["by_convention"][name]["miou"])


def _iou(name: str, absent: set[str]) -> Any:
    def shown(one: Mapping[str, Any]) -> str:
        value = one["metrics"]["iou_per_class"][name]
        return "absent" if value is None and name in absent else _shown(value)

    return shown


def _latency(one: Mapping[str, Any]) -> str:
    latency = one["speed"]["latency_ms"]
    return f"{latency['p50']:.1f} (p95 {latency['p95']:.1f})"
