"""`dlcv predict`: masks of new images."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcvcli.cli.fewshot_flags import FEWSHOT, AllowOutside
from dlcvcli.cli.flags import Provider
from dlcvcli.cli.onnx_file import ensure_onnx
from dlcvcli.cli.views import Overlap, Tile, Tta, TtaScales, read_views
from dlcvcli.errors import DataError, UsageError

if TYPE_CHECKING:
    from dlcvcli.runs import ModelRef
    from dlcvcli.tasks.segmentation.views import Views

EPILOG = (
    "dlcv predict runs/first photo.jpg --out masks"
    "\n\ndlcv predict street.onnx folder/ --out masks"
    "\n\ndlcv predict street.onnx scene.tif --tile 512 --overlap 64 --out masks"
    "\n\nls *.jpg | dlcv predict street.onnx - --out masks"
    "\n\ndlcv predict runs/protonet cases.csv --data mini --out labels"
)


def predict(
    model: Annotated[Path, typer.Argument(help="Run folder, .ckpt or .onnx.", show_default=False)],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Images, folders, or - for a list on stdin; of a few-shot model, episode files.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for the masks; of a few-shot model, for CSVs of labels.",
            show_default=False,
        ),
    ],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Under ONNX Runtime; exports first where needed.")
    ] = False,
    provider: Annotated[Provider, typer.Option(help="What runs it.")] = "auto",
    overlay: Annotated[
        bool | None,
        typer.Option(
            "--overlay/--no-overlay", help="Colours over the image, too.", show_default="overlay"
        ),
    ] = None,
    tile: Tile = None,
    overlap: Overlap = None,
    tta: Tta = False,
    tta_scales: TtaScales = None,
    data: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=FEWSHOT,
            help="Folder that episode files name images of.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=FEWSHOT,
            help="The CSV whose ids they use, where there are several.",
            show_default=False,
        ),
    ] = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Write a mask and an overlay for each image, at its own size; or the labels of episodes."""
    from dlcvcli.inference.load import task_of
    from dlcvcli.runs import find_model

    ref = find_model(model)
    if task_of(ref) == "fewshot":
        alien = {"--overlay": overlay, "--tile": tile, "--overlap": overlap, "--tta": tta or None}
        alien["--tta-scales"] = tta_scales
        _refuse_alien(alien, "segmenters")
        _predict_episodes(
            ref,
            inputs,
            out,
            data,
            split,
            allow_outside=allow_outside,
            onnx=onnx,
            provider=provider,
        )
        return
    flags = {"--data": data, "--split": split, "--allow-outside": allow_outside or None}
    _refuse_alien(flags, "few-shot models")
    views = read_views(tile, overlap, tta, tta_scales)
    _predict_masks(ref, inputs, out, views, onnx=onnx, provider=provider, overlay=overlay)


def _refuse_alien(flags: dict[str, Any], kind: str) -> None:
    for name, value in flags.items():
        if value is not None:
            raise UsageError(f"{name} is about {kind}, and the model is none")


def _predict_episodes(
    ref: ModelRef,
    inputs: list[str],
    out: Path,
    data: Path | None,
    split: str | None,
    *,
    allow_outside: bool,
    onnx: bool,
    provider: Provider,
) -> None:
    from dlcvcli.cli.console import counting, stdout
    from dlcvcli.data.episode_file import read_table
    from dlcvcli.files import make_folder, write_atomically
    from dlcvcli.tasks.fewshot.predict import predict_table
    from dlcvcli.tasks.fewshot.predictor import load_encoder
    from dlcvcli.tasks.fewshot.scoring import predictions_csv

    if data is None:
        raise UsageError(
            "a few-shot model predicts the episodes of a file, and needs the images that it names",
            "give their folder with --data DIR",
        )
    tables = {Path(name): read_table(Path(name)) for name in inputs}
    results = {path: out / f"{path.stem}.csv" for path in tables}
    if out.suffix.lower() == ".csv" and len(tables) == 1:
        results = dict.fromkeys(tables, out)
    for path, target in results.items():
        if target.resolve() == path.resolve() or len(set(results.values())) < len(tables):
            raise UsageError(f"{target} would be written over, or twice", "choose another --out")
    if onnx and ref.kind != "onnx":
        ref = ensure_onnx(ref)
    predictor = load_encoder(ref, provider=provider)
    for path, table in tables.items():
        with counting("embedding") as progress:
            labels = predict_table(
                predictor,
                table,
                data,
                source=str(path),
                split=split,
                allow_outside=allow_outside,
                progress=progress,
            )
        make_folder(results[path].parent)
        write_atomically(results[path], predictions_csv(table.ids, labels))
        stdout().print(f"{results[path]}  {len(table)} episodes", markup=False, soft_wrap=True)


def _listed() -> Iterator[str]:
    """Yield the lines of stdin as names of files, which need not be UTF-8."""
    yield from map(os.fsdecode, sys.stdin.buffer)


def _predict_masks(
    ref: ModelRef,
    inputs: list[str],
    out: Path,
    views: Views,
    *,
    onnx: bool,
    provider: Provider,
    overlay: bool | None,
) -> None:
    from dlcvcli.cli.console import counting, say, stdout
    from dlcvcli.tasks.segmentation.predict import find_images
    from dlcvcli.tasks.segmentation.predict import predict as run_predict
    from dlcvcli.tasks.segmentation.predictor import load_predictor

    images = find_images(inputs, _listed(), say=say)
    if onnx and ref.kind != "onnx":
        ref = ensure_onnx(ref, logits=views.need_logits)
    # Tiles are all of one size; whole images are of any.
    fixed = views.tile is not None
    predictor = views.around(load_predictor(ref, provider=provider, fixed_shapes=fixed))
    failed: list[DataError] = []
    with counting("predicting") as progress:
        overlays = overlay is not False
        for done in run_predict(predictor, images, out, overlay=overlays, progress=progress):
            if done.error is not None:
                failed.append(done.error)
                say(f"skipped: {done.error.message}")
                continue
            found = ", ".join(
                f"{name} {share:.0%}" for name, share in list(done.shares.items())[:4]
            )
            stdout().print(f"{done.mask}  {found}", markup=False, soft_wrap=True)
    if failed:
        hints = {error.hint for error in failed}
        raise DataError(
            f"{len(failed)} of {len(images)} images could not be read; the rest is in {out}",
            hints.pop() if len(hints) == 1 else "the lines above name each and say why",
        )
