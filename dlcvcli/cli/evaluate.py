"""`dlcv eval`: score a model on an annotated set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from dlcvcli.errors import CheckFailed, DataError, UsageError

if TYPE_CHECKING:
    from dlcvcli.metrics import Convention
    from dlcvcli.runs import ModelRef

EPILOG = (
    "dlcv eval runs/first --data my-set"
    "\n\ndlcv eval runs/first --data my-set --onnx --compare"
    "\n\ndlcv eval street.onnx --data my-set --min-miou 0.6 --json -"
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
            help="Convention: voc, dlcv, mmseg, torchvision. Repeatable.", show_default="voc"
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images per call.", show_default="16 on a GPU, else 4"),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Stretch images to HxW.", show_default="as trained"),
    ] = None,
    min_miou: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Exit 3 below this mIoU.", show_default=False),
    ] = None,
    json_to: Annotated[
        str | None,
        typer.Option(
            "--json", help="Write the result to FILE, or - for stdout.", show_default=False
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="Write the predicted masks to this folder.", show_default=False),
    ] = None,
) -> None:
    """Score a model on an annotated set: mIoU, accuracy, every class, speed."""
    from dlcvcli.runs import find_model

    conventions = _conventions(metric)
    ref = find_model(model)
    if not data.exists():
        raise DataError(f"data folder {data} does not exist")
    if compare:
        if masks is not None:
            raise UsageError("--masks does not go with --compare")
        flags = _passed_on(split, provider, conventions, batch_size, size)
        result = _compare(ref, data, flags)
    else:
        if onnx and ref.kind != "onnx":
            ref = ensure_onnx(ref)
        result = _evaluate(ref, data, split, provider, conventions, batch_size, size, masks)
    from dlcvcli.cli.console import stdout, write_result

    write_result(result, json_to)
    if json_to != "-":
        stdout().print(result_table(result))
    miou = result["metrics"]["miou"]
    if min_miou is not None and (miou is None or miou < min_miou):
        raise CheckFailed(f"mIoU {miou} is below --min-miou {min_miou}")


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


def _compare(ref: ModelRef, data: Path, flags: tuple[str, ...]) -> dict[str, Any]:
    from dlcvcli.inference.compare import EvalRequest, checkpoint_of, compare
    from dlcvcli.inference.load import require_torch

    require_torch("--compare")
    if ref.kind == "checkpoint":
        checkpoint, onnx = ref.path, ensure_onnx(ref).path
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
    from dlcvcli.runtime.metadata import ModelCard
    from dlcvcli.runtime.session import read_metadata

    return ModelCard.from_metadata(read_metadata(path), path)


def ensure_onnx(ref: ModelRef) -> ModelRef:
    """Return the ONNX file of a checkpoint, exporting it where it is missing or out of date."""
    from dlcvcli.cli.console import say
    from dlcvcli.cli.export import default_onnx_path
    from dlcvcli.errors import ModelFileError
    from dlcvcli.files import sha256_of
    from dlcvcli.inference.compare import run_dlcv
    from dlcvcli.runs import ModelRef

    path = default_onnx_path(ref)
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
        run_dlcv(["export", str(ref.path), "--out", str(path)])
    return ModelRef("onnx", path, ref.run)


def _evaluate(
    ref: ModelRef,
    data: Path,
    split: str,
    provider: Provider,
    conventions: list[Convention],
    batch_size: int | None,
    size: str | None,
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
    batches = EvalBatches(found, batch_size or (16 if on_gpu else 4))
    if on_gpu and batches.shapes > SEARCHED_SHAPES:
        predictor = load_predictor(ref, provider=provider, fixed_shapes=False)
    if masks is not None:
        make_folder(masks)
    with counting("evaluating") as progress:
        done = evaluate(
            predictor,
            batches,
            conventions=conventions,
            threads=4 if on_gpu else 1,
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


def result_table(result: dict[str, Any]) -> Any:
    """Return an evaluation as a table for people, PyTorch beside ONNX Runtime where both ran."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from dlcvcli.cli.console import fraction

    both = result.get("compare")
    metrics, speed, data = result["metrics"], result["speed"], result["data"]
    title = (
        f"{result['model']} on {data['images']} images ({data['split']}), "
        f"{result['backend']}, {result['provider']}, {result['precision']}"
    )
    table = Table()
    table.add_column("")
    table.add_column(result["backend"], justify="right")
    if both:
        table.add_column("torch", justify="right")

    def row(name: str, own: str, other: str = "") -> None:
        # Names of classes may hold brackets, which are no markup here.
        table.add_row(Text(name), own, *([other] if both else []))

    def score_row(name: str, key: str) -> None:
        row(name, fraction(metrics[key]), fraction(both["torch"][key]) if both else "")

    row("metric", metrics["convention"])
    score_row("mIoU", "miou")
    score_row("pixel accuracy", "overall_acc")
    score_row("mean class accuracy", "mean_acc")
    score_row("frequency-weighted IoU", "freqw_acc")
    for other in list(metrics["by_convention"])[1:]:
        row(f"mIoU ({other})", fraction(metrics["by_convention"][other]["miou"]))
    table.add_section()
    for name, value in metrics["iou_per_class"].items():
        peer = both["torch"]["iou_per_class"][name] if both else None
        row(f"IoU {name}", fraction(value), fraction(peer))
    table.add_section()
    row(
        "images/s",
        f"{speed['images_per_s']:.2f}",
        f"{both['torch']['images_per_s']:.2f}" if both else "",
    )
    latency = speed["latency_ms"]
    row(
        f"ms per batch of {speed['batch_size']}", f"{latency['p50']:.1f} (p95 {latency['p95']:.1f})"
    )
    row("peak memory", f"{speed['peak_memory_mb']} MiB")
    notes = [
        f"{metrics['classes_scored']} of {len(metrics['iou_per_class'])} classes are in the mean"
    ]
    if both:
        notes.append(
            f"{both['argmax_agreement']:.6f} of all pixels agree; ONNX Runtime is "
            f"{both['speedup']:.2f} times as fast as PyTorch"
        )
    return Group(Text(title), table, *notes)
