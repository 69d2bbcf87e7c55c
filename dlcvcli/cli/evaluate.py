"""`dlcv eval`: score a model on an annotated set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlcvcli.cli.evaluate_fewshot import FewshotFlags, evaluate_fewshot
from dlcvcli.cli.evaluate_seg import SegFlags, evaluate_seg
from dlcvcli.cli.fewshot_flags import FEWSHOT, AllowOutside, KShot, NQuery, NWay, Rotations, Splits
from dlcvcli.cli.flags import JsonTo, Provider
from dlcvcli.cli.views import Overlap, Tile, Tta, TtaScales
from dlcvcli.errors import DataError, UsageError

SEG = "Segmentation"

EPILOG = (
    "dlcv eval runs/first --data my-set"
    "\n\ndlcv eval runs/first --data my-set --onnx --compare"
    "\n\ndlcv eval street.onnx --data my-set --min-miou 0.6 --json -"
    "\n\ndlcv eval runs/first --data scenes --tile 512 --overlap 64 --tta --confusion matrix.png"
    "\n\ndlcv eval runs/omniglot --data omniglot --n-way 20 --k-shot 5 --episodes 10000"
)


def evaluate(
    model: Annotated[Path, typer.Argument(help="Run folder, .ckpt or .onnx.", show_default=False)],
    data: Annotated[
        Path, typer.Option(help="Folder of images and masks, or by class.", show_default=False)
    ],
    split: Annotated[str, typer.Option(help="Split; a set without splits gives all.")] = "val",
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Under ONNX Runtime; exports first where needed.")
    ] = False,
    provider: Annotated[Provider, typer.Option(help="What runs it.")] = "auto",
    compare: Annotated[
        bool,
        typer.Option("--compare", help="PyTorch and ONNX Runtime, prediction by prediction."),
    ] = False,
    json_to: JsonTo = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=SEG,
            help="Convention: voc, dlcv, mmseg, torchvision, smp-imagewise. Repeatable.",
            show_default="voc",
        ),
    ] = None,
    boundary: Annotated[
        bool,
        typer.Option(
            "--boundary", rich_help_panel=SEG, help="The boundary F-score, too: how outlines lie."
        ),
    ] = False,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images (or tiles) per call.",
            show_default="16 on a GPU, else 4; few-shot: by their size",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(rich_help_panel=SEG, help="Stretch images to HxW.", show_default="as trained"),
    ] = None,
    min_miou: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, rich_help_panel=SEG, help="Exit 3 below this mIoU.", show_default=False
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=SEG,
            help="Write predicted masks to this folder.",
            show_default=False,
        ),
    ] = None,
    confusion: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=SEG,
            help="Write the confusion matrix: .csv, .png or .pdf.",
            show_default=False,
        ),
    ] = None,
    tile: Tile = None,
    overlap: Overlap = None,
    tta: Tta = False,
    tta_scales: TtaScales = None,
    episodes: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|N",
            rich_help_panel=FEWSHOT,
            help="Episodes in a file, or how many to draw.",
            show_default="2000",
        ),
    ] = None,
    n_way: NWay = None,
    k_shot: KShot = None,
    n_query: NQuery = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, rich_help_panel=FEWSHOT, help="Of the draw.", show_default="0"),
    ] = None,
    rotations: Rotations = None,
    splits: Splits = None,
    allow_outside: AllowOutside = False,
    min_accuracy: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            rich_help_panel=FEWSHOT,
            help="Exit 3 below this accuracy.",
            show_default=False,
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=FEWSHOT,
            help="Write the predicted labels of all episodes to this CSV.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Score a model on an annotated set: mIoU or accuracy of episodes, and speed."""
    from dlcvcli.inference.load import task_of
    from dlcvcli.runs import find_model

    ref = find_model(model)
    if not data.exists():
        raise DataError(f"data folder {data} does not exist")
    seg = SegFlags(
        metric, boundary, size, min_miou, masks, confusion, tile, overlap, tta, tta_scales
    )
    fewshot = FewshotFlags(
        episodes,
        n_way,
        k_shot,
        n_query,
        seed,
        rotations,
        splits,
        min_accuracy,
        predictions,
        allow_outside or None,
    )
    task = task_of(ref)
    _refuse_alien(model, task, seg.typed() if task == "fewshot" else fewshot.typed())
    if task == "fewshot":
        evaluate_fewshot(
            ref,
            data,
            split,
            fewshot,
            onnx=onnx,
            provider=provider,
            compare=compare,
            batch_size=batch_size,
            json_to=json_to,
        )
        return
    evaluate_seg(
        ref,
        data,
        split,
        seg,
        onnx=onnx,
        provider=provider,
        compare=compare,
        batch_size=batch_size,
        json_to=json_to,
    )


def _refuse_alien(model: Path, task: str, typed: list[str]) -> None:
    """Refuse flags that are about models of another task."""
    if typed:
        kinds = {"seg": "a segmenter", "fewshot": "a few-shot model"}
        raise UsageError(
            f"--{typed[0].replace('_', '-')} does not go with {model}, which is {kinds[task]}",
            "dlcv eval --help lists the flags of each",
        )
