"""`dlcv predict`: masks of new images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from dlcvcli.cli.views import Overlap, Tile, Tta, TtaScales, read_views
from dlcvcli.errors import DataError

EPILOG = (
    "dlcv predict runs/first photo.jpg --out masks"
    "\n\ndlcv predict street.onnx folder/ --out masks"
    "\n\ndlcv predict street.onnx scene.tif --tile 512 --overlap 64 --out masks"
    "\n\nls *.jpg | dlcv predict street.onnx - --out masks"
)


def predict(
    model: Annotated[Path, typer.Argument(help="Run folder, .ckpt or .onnx.", show_default=False)],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Images, folders, or - for a list on stdin.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the masks.", show_default=False)],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Under ONNX Runtime; exports first where needed.")
    ] = False,
    provider: Annotated[
        Literal["auto", "cuda", "tensorrt", "cpu"], typer.Option(help="What runs it.")
    ] = "auto",
    overlay: Annotated[
        bool, typer.Option("--overlay/--no-overlay", help="Colours over the image, too.")
    ] = True,
    tile: Tile = None,
    overlap: Overlap = None,
    tta: Tta = False,
    tta_scales: TtaScales = None,
) -> None:
    """Write a mask and an overlay for each image, at its own size."""
    from dlcvcli.cli.console import counting, say, stdout
    from dlcvcli.inference.load import load_predictor
    from dlcvcli.inference.predict import find_images
    from dlcvcli.inference.predict import predict as run_predict
    from dlcvcli.runs import find_model

    views = read_views(tile, overlap, tta, tta_scales)
    images = find_images(inputs, sys.stdin)
    ref = find_model(model)
    if onnx and ref.kind != "onnx":
        from dlcvcli.cli.evaluate import ensure_onnx

        ref = ensure_onnx(ref, logits=views.need_logits)
    # Tiles are all of one size; whole images are of any.
    fixed = views.tile is not None
    predictor = views.around(load_predictor(ref, provider=provider, fixed_shapes=fixed))
    failed = 0
    with counting("predicting") as progress:
        for done in run_predict(predictor, images, out, overlay=overlay, progress=progress):
            if done.error is not None:
                failed += 1
                say(f"skipped: {done.error.message}")
                continue
            found = ", ".join(
                f"{name} {share:.0%}" for name, share in list(done.shares.items())[:4]
            )
            stdout().print(f"{done.mask}  {found}", markup=False, soft_wrap=True)
    if failed:
        raise DataError(f"{failed} of {len(images)} images could not be read; the rest is in {out}")
