"""`dlcv export`: an ONNX file with a certificate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dlcvcli.cli.fewshot_flags import AllowOutside
from dlcvcli.cli.onnx_file import default_onnx_path
from dlcvcli.errors import UsageError

if TYPE_CHECKING:
    from dlcvcli.data.few_shot import FewShotSet
    from dlcvcli.data.segmentation import SegmentationSet
    from dlcvcli.exporting.certify import Certificate
    from dlcvcli.exporting.export import Exported
    from dlcvcli.runs import ModelRef
    from dlcvcli.tasks.fewshot.card import EncoderCard

Rows = list[tuple[str, str]]

EPILOG = (
    "dlcv export runs/first"
    "\n\ndlcv export runs/first --verify-data my-set --out street.onnx"
    "\n\ndlcv export runs/characters --episode"
)


def export(
    model: Annotated[Path, typer.Argument(help="Run folder or .ckpt.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="The file.", show_default="RUN/model.onnx or episode.onnx")
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
    allow_outside: AllowOutside = False,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare with PyTorch.")
    ] = True,
    logits: Annotated[
        bool, typer.Option("--logits", help="Give out the logits too. Segmentation.")
    ] = False,
    episode: Annotated[
        bool,
        typer.Option(
            "--episode",
            help="A graph of whole episodes: support and queries in, logits out. Few-shot.",
        ),
    ] = False,
) -> None:
    """Export a trained model to ONNX, and certify that it gives the same numbers."""
    from dlcvcli.cli.console import say
    from dlcvcli.extras import require_torch
    from dlcvcli.inference.load import task_of
    from dlcvcli.runs import find_model

    ref = find_model(model)
    if ref.kind == "onnx":
        raise UsageError(f"{model} is an ONNX file already", "give a run folder or a .ckpt")
    if verify_data is not None and not verify:
        raise UsageError("--verify-data and --no-verify contradict each other")
    target = out or default_onnx_path(ref, episode=episode)
    if target.suffix != ".onnx":
        raise UsageError(f"--out {target} does not end in .onnx")
    require_torch("export")
    from dlcvcli.exporting.export import export as run_export
    from dlcvcli.exporting.export import require_fitting

    task = task_of(ref)
    require_fitting(task, with_logits=logits, episode=episode)
    data: SegmentationSet | FewShotSet | None = None
    if verify_data is not None:
        data = (
            _open_images_by_class(ref, verify_data, split, allow_outside=allow_outside)
            if task == "fewshot"
            else _open_annotated(ref, verify_data, split)
        )
    done = run_export(
        ref,
        target,
        opset=opset,
        verify=verify,
        verify_data=data,
        with_logits=logits,
        episode=episode,
        say=say,
    )
    _print(done)


def _open_annotated(ref: ModelRef, folder: Path, split: str) -> SegmentationSet:
    from dlcvcli.cli.annotated_data import open_annotated, warn_of_seen
    from dlcvcli.engine.checkpoint import load_checkpoint
    from dlcvcli.tasks.segmentation.torch import card_of

    card = card_of(load_checkpoint(ref.path), "")
    data = open_annotated(card, folder, split, size=card.size)
    warn_of_seen({str(ref.path): card}, data)
    return data


def _open_images_by_class(
    ref: ModelRef, folder: Path, split: str, *, allow_outside: bool
) -> FewShotSet:
    from dlcvcli.cli.console import counting, say
    from dlcvcli.cli.evaluate_fewshot import open_test_split
    from dlcvcli.data.episodes import Shape, require_enough
    from dlcvcli.engine.checkpoint import load_checkpoint
    from dlcvcli.tasks.fewshot.torch import card_of, load_protonet

    checkpoint = load_checkpoint(ref.path)
    card = card_of(checkpoint, load_protonet(checkpoint), "")
    opened = open_test_split(card, folder, split, allow_outside=allow_outside)
    for line in opened.remarks:
        say(line)
    data = opened.data
    require_enough(data.sizes, Shape(*card.shape), f"split '{data.split}' of {data.root}")
    with counting("reading the images") as progress:
        data.read(int(card.config["data"]["cache"]), progress)
    return data


def _print(done: Exported) -> None:
    from dlcvcli.cli.console import facts, stdout
    from dlcvcli.exporting.export import certificate_path
    from dlcvcli.tasks.fewshot.card import EncoderCard
    from dlcvcli.tasks.segmentation.card import SegmenterCard

    size = f"{done.path.stat().st_size / 2**20:.1f} MiB"
    card, certificate = done.card, done.certificate
    if isinstance(card, EncoderCard):
        rows = [*_model_rows(card), ("size", size)]
    else:
        assert isinstance(card, SegmenterCard)
        rows = [("model", f"{card.model}, {len(card.classes)} classes"), ("size", size)]
    if certificate is None:
        rows.append(("certificate", "none: not compared with PyTorch"))
    else:
        rows += _parity_rows(certificate)
        rows += _score_rows(certificate)
        rows.append(("certificate", f"passed; {certificate_path(done.path)}"))
    stdout().print(facts(str(done.path), rows))


def _model_rows(card: EncoderCard) -> Rows:
    from dlcvcli.tasks.fewshot.card import EPISODE

    distance = card.distance["name"]
    if "scale" in card.distance:
        distance += f", scale {card.distance['scale']:.2f}"
    takes = "images in, embeddings out"
    if card.graph == EPISODE:
        takes = "support and queries in, logits out"
    assert card.size is not None
    return [
        ("model", f"{card.model}, {card.dimension} values an image"),
        ("distance", distance),
        ("graph", f"{card.graph}: {takes}"),
        ("images", f"{card.size[0]}x{card.size[1]}"),
    ]


def _parity_rows(certificate: Certificate) -> Rows:
    parity = certificate.as_dict()["parity"]
    if "max_embedding_error" in parity:
        return [("largest embedding error", f"{parity['max_embedding_error']:.1e} of the largest")]
    compared = "queries" if "differing_queries" in parity else "pixels"
    agreement = f"{parity['min_agreement']:.6f} at least"
    if parity.get("differing_queries"):
        agreement += "; the others nearly tie"
    return [
        ("largest logit error", f"{parity['max_logits_error']:.1e} of the largest"),
        (f"{compared} that agree", agreement),
    ]


def _score_rows(certificate: Certificate) -> Rows:
    from dlcvcli.cli.console import fraction

    scored = certificate.dataset
    if scored is None:
        return []
    both = f"PyTorch {fraction(scored.torch, 6)}, ONNX Runtime {fraction(scored.onnx, 6)}"
    rows = [(f"{scored.metric} on {scored.over}", both)]
    if "differ_most" in scored.facts:
        worst = [f"{one['image']} {one['share']:.2%}" for one in scored.facts["differ_most"]]
        rows.append(("differ most", ", ".join(worst[:3]) or "no pixel of any image differs"))
    return rows
