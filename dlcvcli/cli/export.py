"""`dlcv export`: an ONNX file with a certificate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dlcvcli.errors import UsageError

if TYPE_CHECKING:
    from dlcvcli.exporting.export import Exported

EPILOG = "dlcv export runs/first\n\ndlcv export runs/first --verify-data my-set --out street.onnx"


def export(
    model: Annotated[Path, typer.Argument(help="Run folder or .ckpt.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="The file.", show_default="RUN/model.onnx")
    ] = None,
    precision: Annotated[
        Literal["fp32"], typer.Option(help="Number format of the weights.")
    ] = "fp32",
    opset: Annotated[int, typer.Option(min=18, help="ONNX operator set.")] = 18,
    verify_data: Annotated[
        Path | None,
        typer.Option(help="Score PyTorch and the file on this set too.", show_default=False),
    ] = None,
    split: Annotated[str, typer.Option(help="Split of --verify-data.")] = "val",
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare with PyTorch.")
    ] = True,
    logits: Annotated[bool, typer.Option("--logits", help="Give out the logits too.")] = False,
) -> None:
    """Export a trained model to ONNX, and certify that it gives the same numbers."""
    from dlcvcli.cli.console import say
    from dlcvcli.inference.load import require_torch
    from dlcvcli.runs import find_model

    ref = find_model(model)
    if ref.kind == "onnx":
        raise UsageError(f"{model} is an ONNX file already", "give a run folder or a .ckpt")
    if verify_data is not None and not verify:
        raise UsageError("--verify-data and --no-verify contradict each other")
    target = out or default_onnx_path(ref)
    if target.suffix != ".onnx":
        raise UsageError(f"--out {target} does not end in .onnx")
    require_torch("export")
    data = None
    if verify_data is not None:
        data = _open_data(ref, verify_data, split)

    from dlcvcli.exporting.export import export as run_export

    done = run_export(
        ref, target, opset=opset, verify=verify, verify_data=data, with_logits=logits, say=say
    )
    _print(done)


def default_onnx_path(ref: Any) -> Path:
    """Return where the export of a checkpoint goes: the run's `model.onnx`, else beside it."""
    if ref.run is not None:
        path: Path = ref.run.onnx
        return path
    return Path(ref.path).with_suffix(".onnx")


def _open_data(ref: Any, folder: Path, split: str) -> Any:
    from dlcvcli.data.segmentation import open_split
    from dlcvcli.engine.checkpoint import load_checkpoint
    from dlcvcli.inference.restore import card_of

    card = card_of(load_checkpoint(ref.path), "")
    return open_split(
        folder,
        split,
        layout=card.layout,
        classes=card.classes,
        size=card.size,
        binarise=card.binarise,
    )


def _print(done: Exported) -> None:
    from dlcvcli.cli.console import facts, fraction, stdout
    from dlcvcli.exporting.export import certificate_path

    rows = [
        ("model", f"{done.card.model}, {len(done.card.classes)} classes"),
        ("size", f"{done.path.stat().st_size / 2**20:.1f} MiB"),
    ]
    if done.certificate is None:
        rows.append(("certificate", "none: not compared with PyTorch"))
    else:
        parity = done.certificate.as_dict()["parity"]
        rows += [
            ("largest logit error", f"{parity['max_logits_error']:.1e} of the largest"),
            ("pixels that agree", f"{parity['min_agreement']:.6f} at least"),
        ]
        scored = done.certificate.dataset
        if scored is not None:
            both = (fraction(scored[f"{backend}_miou"], 6) for backend in ("torch", "onnx"))
            worst = [f"{found['image']} {found['share']:.2%}" for found in scored["differ_most"]]
            rows += [
                (
                    f"mIoU on {scored['images']} images",
                    "PyTorch {}, ONNX Runtime {}".format(*both),
                ),
                ("differ most", ", ".join(worst[:3]) or "no pixel of any image differs"),
            ]
        rows.append(("certificate", f"passed; {certificate_path(done.path)}"))
    stdout().print(facts(str(done.path), rows))
