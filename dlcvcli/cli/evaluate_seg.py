"""`dlcv eval` of a segmenter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dlcvcli.cli.onnx_file import both_files, ensure_onnx
from dlcvcli.cli.views import as_flags, read_views
from dlcvcli.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from dlcvcli.cli.flags import Provider
    from dlcvcli.metrics import Convention
    from dlcvcli.runs import ModelRef
    from dlcvcli.tasks.segmentation.views import Views

# The search for the fastest convolution takes seconds for each size of image.
SEARCHED_SHAPES = 4


@dataclass(frozen=True)
class SegFlags:
    """The flags of `dlcv eval` that are about segmenters, as typed; see there."""

    metric: list[str] | None
    boundary: bool
    size: str | None
    min_miou: float | None
    masks: Path | None
    confusion: Path | None
    tile: str | None
    overlap: int | None
    tta: bool
    tta_scales: str | None

    def typed(self) -> list[str]:
        """Return the names of those that were given."""
        return [name for name, value in vars(self).items() if value not in (None, False)]


def evaluate_seg(
    ref: ModelRef,
    data: Path,
    split: str,
    flags: SegFlags,
    *,
    onnx: bool,
    provider: Provider,
    compare: bool,
    batch_size: int | None,
    json_to: str | None,
) -> None:
    """Score a segmenter, print the table and write what was asked for."""
    conventions = _conventions(flags.metric)
    views = read_views(flags.tile, flags.overlap, flags.tta, flags.tta_scales)
    if flags.size is not None and flags.tile is not None:
        raise UsageError(
            "--size and --tile contradict each other: stretched images need no tiles",
            "leave one of them out",
        )
    _check_confusion(flags.confusion)
    if compare:
        if flags.masks is not None:
            raise UsageError("--masks does not go with --compare")
        passed = _passed_on(split, provider, conventions, batch_size, flags.size)
        passed += as_flags(flags.tile, flags.overlap, flags.tta, flags.tta_scales)
        passed += ("--boundary",) if flags.boundary else ()
        result = _compare(ref, data, passed, logits=views.need_logits)
    else:
        if onnx and ref.kind != "onnx":
            ref = ensure_onnx(ref, logits=views.need_logits)
        result = _evaluate(
            ref,
            data,
            split,
            provider,
            conventions,
            batch_size=batch_size,
            size=flags.size,
            views=views,
            boundary=flags.boundary,
            masks=flags.masks,
        )
    from dlcvcli.cli.console import stdout, write_result
    from dlcvcli.cli.scores import result_table, write_confusion

    write_result(result, json_to)
    if json_to != "-":
        stdout().print(result_table(result))
    if flags.confusion is not None:
        write_confusion(result, flags.confusion)
    miou, least = result["metrics"]["miou"], flags.min_miou
    if least is not None and (miou is None or miou < least):
        raise CheckFailed(f"mIoU {miou} is below --min-miou {least}")


def _check_confusion(path: Path | None) -> None:
    if path is None:
        return
    if path.suffix.lower() not in {".csv", ".png", ".pdf"}:
        raise UsageError(f"--confusion {path} ends in none of .csv, .png, .pdf")
    if path.is_dir():
        raise UsageError(f"--confusion {path} is a folder", "name a file")
    if path.suffix.lower() != ".csv":
        from dlcvcli.extras import require_package

        require_package("matplotlib", "drawing the confusion matrix")


def _conventions(names: list[str] | None) -> list[Convention]:
    from dlcvcli.errors import nearest
    from dlcvcli.metrics import CONVENTIONS

    for name in names or ():
        if name not in CONVENTIONS:
            raise UsageError(f"unknown metric '{name}'", nearest(name, CONVENTIONS))
    return cast("list[Convention]", list(dict.fromkeys(names or ["voc"])))


def _passed_on(
    split: str,
    provider: str,
    conventions: list[Convention],
    batch_size: int | None,
    size: str | None,
) -> tuple[str, ...]:
    """Return the flags that both halves of a comparison get."""
    flags = ["--split", split, "--provider", provider]
    for name in conventions:
        flags += ["--metric", name]
    if batch_size is not None:
        flags += ["--batch-size", str(batch_size)]
    if size is not None:
        flags += ["--size", size]
    return tuple(flags)


def _compare(ref: ModelRef, data: Path, flags: tuple[str, ...], *, logits: bool) -> dict[str, Any]:
    from dlcvcli.inference.compare import EvalRequest, compare

    checkpoint, onnx = both_files(ref, logits=logits)
    return compare(checkpoint, onnx, EvalRequest(data, flags))


def _evaluate(
    ref: ModelRef,
    data: Path,
    split: str,
    provider: Provider,
    conventions: list[Convention],
    *,
    batch_size: int | None,
    size: str | None,
    views: Views,
    boundary: bool,
    masks: Path | None,
) -> dict[str, Any]:
    from dlcvcli.cli.annotated_data import open_annotated
    from dlcvcli.cli.console import counting
    from dlcvcli.data.batches import EvalBatches
    from dlcvcli.files import make_folder
    from dlcvcli.tasks.segmentation.predictor import load_predictor
    from dlcvcli.tasks.segmentation.scoring import evaluate

    predictor = load_predictor(ref, provider=provider)
    card = predictor.card
    found = open_annotated(card, data, split, size=_size(size, card.size))
    on_gpu = predictor.provider not in {"cpu", "CPUExecutionProvider"}
    # Large scenes come one by one, none of them ahead; the batch is then one of tiles.
    at_once = 1 if views.tile is not None else batch_size or (16 if on_gpu else 4)
    batches = EvalBatches(found, at_once)
    if on_gpu and batches.shapes > SEARCHED_SHAPES:
        predictor = load_predictor(ref, provider=provider, fixed_shapes=False)
    predictor = views.around(predictor, batch_size)
    if masks is not None:
        make_folder(masks)
    with counting("evaluating") as progress:
        done = evaluate(
            predictor,
            batches,
            conventions=conventions,
            boundary=boundary,
            threads=0 if views.tile is not None else 4 if on_gpu else 1,
            progress=progress,
            masks_to=masks,
        )
    return {
        "task": card.task,
        "model": card.model,
        "backend": predictor.backend,
        "provider": predictor.provider,
        "precision": predictor.precision,
        **predictor.notes,
        "data": done.data,
        "metrics": done.metrics,
        "speed": done.speed,
    }


def _size(asked: str | None, trained: tuple[int, int] | None) -> tuple[int, int] | None:
    if asked is None:
        return trained
    from dlcvcli.cli.networks import read_size

    size = read_size(asked)
    if trained is not None and trained != size:
        raise UsageError(
            f"--size {asked} contradicts the model, which stretches images to "
            f"{trained[0]}x{trained[1]}",
            "leave --size out",
        )
    return size
