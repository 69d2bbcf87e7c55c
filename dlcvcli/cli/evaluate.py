"""`dlcv eval`: score a model on an annotated set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from dlcvcli.cli.flags import JsonTo
from dlcvcli.cli.views import Overlap, Tile, Tta, TtaScales, as_flags, read_views
from dlcvcli.errors import CheckFailed, DataError, UsageError

if TYPE_CHECKING:
    from dlcvcli.inference.views import Views
    from dlcvcli.metrics import Convention
    from dlcvcli.runs import ModelRef

EPILOG = (
    "dlcv eval runs/first --data my-set"
    "\n\ndlcv eval runs/first --data my-set --onnx --compare"
    "\n\ndlcv eval street.onnx --data my-set --min-miou 0.6 --json -"
    "\n\ndlcv eval runs/first --data scenes --tile 512 --overlap 64 --tta --confusion matrix.png"
)

Provider = Literal["auto", "cuda", "tensorrt", "cpu"]

# The search for the fastest convolution takes seconds for each size of image.
SEARCHED_SHAPES = 4


def evaluate(
    model: Annotated[Path, typer.Argument(help="Run folder, .ckpt or .onnx.", show_default=False)],
    data: Annotated[Path, typer.Option(help="Folder of images and masks.", show_default=False)],
    split: Annotated[str, typer.Option(help="Split; a set without splits gives all.")] = "val",
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Under ONNX Runtime; exports first where needed.")
    ] = False,
    provider: Annotated[Provider, typer.Option(help="What runs it.")] = "auto",
    compare: Annotated[
        bool, typer.Option("--compare", help="PyTorch beside ONNX Runtime, pixel by pixel.")
    ] = False,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Convention: voc, dlcv, mmseg, torchvision, smp-imagewise. Repeatable.",
            show_default="voc",
        ),
    ] = None,
    boundary: Annotated[
        bool, typer.Option("--boundary", help="The boundary F-score, too: how outlines lie.")
    ] = False,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images (or tiles) per call.", show_default="16 on a GPU, else 4"),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Stretch images to HxW.", show_default="as trained"),
    ] = None,
    min_miou: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Exit 3 below this mIoU.", show_default=False),
    ] = None,
    json_to: JsonTo = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="Write the predicted masks to this folder.", show_default=False),
    ] = None,
    confusion: Annotated[
        Path | None,
        typer.Option(help="Write the confusion matrix: .csv, .png or .pdf.", show_default=False),
    ] = None,
    tile: Tile = None,
    overlap: Overlap = None,
    tta: Tta = False,
    tta_scales: TtaScales = None,
) -> None:
    """Score a model on an annotated set: mIoU, accuracy, every class, speed."""
    from dlcvcli.runs import find_model

    conventions = _conventions(metric)
    views = read_views(tile, overlap, tta, tta_scales)
    if size is not None and tile is not None:
        raise UsageError(
            "--size and --tile contradict each other: stretched images need no tiles",
            "leave one of them out",
        )
    _check_confusion(confusion)
    ref = find_model(model)
    if not data.exists():
        raise DataError(f"data folder {data} does not exist")
    if compare:
        if masks is not None:
            raise UsageError("--masks does not go with --compare")
        flags = _passed_on(split, provider, conventions, batch_size, size)
        flags += as_flags(tile, overlap, tta, tta_scales) + (("--boundary",) if boundary else ())
        result = _compare(ref, data, flags, logits=views.need_logits)
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
            size=size,
            views=views,
            boundary=boundary,
            masks=masks,
        )
    from dlcvcli.cli.console import stdout, write_result
    from dlcvcli.cli.scores import result_table, write_confusion

    write_result(result, json_to)
    if json_to != "-":
        stdout().print(result_table(result))
    if confusion is not None:
        write_confusion(result, confusion)
    miou = result["metrics"]["miou"]
    if min_miou is not None and (miou is None or miou < min_miou):
        raise CheckFailed(f"mIoU {miou} is below --min-miou {min_miou}")


def _check_confusion(path: Path | None) -> None:
    if path is None:
        return
    if path.suffix.lower() not in {".csv", ".png", ".pdf"}:
        raise UsageError(f"--confusion {path} ends in none of .csv, .png, .pdf")
    if path.is_dir():
        raise UsageError(f"--confusion {path} is a folder", "name a file")
    if path.suffix.lower() != ".csv":
        from dlcvcli.inference.load import require_part

        require_part("matplotlib", "drawing the confusion matrix")


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
    from dlcvcli.inference.compare import EvalRequest, checkpoint_of, compare
    from dlcvcli.inference.load import require_torch

    require_torch("--compare")
    if ref.kind == "checkpoint":
        checkpoint, onnx = ref.path, ensure_onnx(ref, logits=logits).path
    else:
        found = checkpoint_of(ref, _card_of(ref.path))
        if found is None:
            raise UsageError(
                f"--compare needs the checkpoint that {ref.path} was exported from, "
                "and its run is not beside it",
                "give the run folder instead of the .onnx file",
            )
        checkpoint, onnx = found, ref.path
    return compare(checkpoint, onnx, EvalRequest(data, flags))


def _card_of(path: Path) -> Any:
    from dlcvcli.runtime.metadata import read_card
    from dlcvcli.runtime.session import read_metadata

    return read_card(read_metadata(path), path)


def ensure_onnx(ref: ModelRef, *, logits: bool = False) -> ModelRef:
    """Return the ONNX file of a checkpoint, exporting it where it is missing or out of date.

    One that gives out logits as well lies beside the other, which is smaller in what it hands over.
    """
    from dlcvcli.cli.console import say
    from dlcvcli.cli.export import default_onnx_path
    from dlcvcli.errors import ModelFileError
    from dlcvcli.files import sha256_of
    from dlcvcli.processes import run_dlcv
    from dlcvcli.runs import ModelRef

    path = default_onnx_path(ref)
    if logits:
        path = path.with_stem(f"{path.stem}-logits")
    current = False
    if path.is_file():
        try:
            current = _card_of(path).checkpoint_sha256 == sha256_of(ref.path)
        except ModelFileError:
            current = False
        if not current:
            say(f"{path} was not made from {ref.path.name} as it is now: exporting again")
    if not current:
        # In a process of its own: torch's threads would slow ONNX Runtime down in this one.
        more = ["--logits"] if logits else []
        run_dlcv(["export", str(ref.path), "--out", str(path), *more])
    return ModelRef("onnx", path, ref.run)


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
    from dlcvcli.cli.console import counting, say
    from dlcvcli.data.batches import EvalBatches
    from dlcvcli.data.layouts import ALL
    from dlcvcli.data.segmentation import open_split
    from dlcvcli.files import make_folder
    from dlcvcli.inference.evaluate import evaluate
    from dlcvcli.inference.load import load_predictor

    predictor = load_predictor(ref, provider=provider)
    card = predictor.card
    found = open_split(
        data,
        split,
        layout=card.layout,
        classes=card.classes,
        size=_size(size, card.size),
        binarise=card.binarise,
    )
    if found.split == ALL and str(found.root) == card.config["data"]["path"]:
        say(f"{data} has no splits: the images that the model was trained on are scored too")
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
    from dlcvcli.config.schema import parse_size

    try:
        height, width = parse_size(asked)
    except ValueError as error:
        raise UsageError(f"--size: {error}") from None
    if height < 1 or width < 1:
        raise UsageError(f"--size {asked} is not a size")
    if trained is not None and trained != (height, width):
        raise UsageError(
            f"--size {asked} contradicts the model, which stretches images to "
            f"{trained[0]}x{trained[1]}",
            "leave --size out",
        )
    return height, width
