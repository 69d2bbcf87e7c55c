"""Export a checkpoint: trace, certify, and only then give the file its name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import torch

from dlcvcli import __version__
from dlcvcli.data.batches import EvalBatches
from dlcvcli.data.segmentation import SegmentationSet
from dlcvcli.engine.checkpoint import load_checkpoint
from dlcvcli.errors import CheckFailed, UsageError
from dlcvcli.exporting.certify import Certificate, check_structure, compare
from dlcvcli.exporting.graph import DEFAULT_OPSET, trace, without_logits
from dlcvcli.files import sha256_of, write_atomically, write_json
from dlcvcli.inference.onnx_predictor import OnnxPredictor
from dlcvcli.inference.predictor import StageClock
from dlcvcli.inference.restore import card_of, load_segmenter
from dlcvcli.inference.torch_predictor import TorchPredictor
from dlcvcli.metrics import SegmentationScore
from dlcvcli.runs import ModelRef
from dlcvcli.runtime.metadata import SegmenterCard
from dlcvcli.runtime.session import open_session

Say = Callable[[str], None]

# How far the mIoU over a whole set may fall: 0.01 points.
METRIC_FALL = 1e-4
# How many images are named in which the two differ most.
_LISTED = 10


@dataclass(frozen=True)
class Exported:
    """An exported file and its certificate; `certificate` is None where none was asked for."""

    path: Path
    card: SegmenterCard
    certificate: Certificate | None


def export(
    ref: ModelRef,
    out: Path,
    *,
    opset: int = DEFAULT_OPSET,
    verify: bool = True,
    verify_data: SegmentationSet | None = None,
    with_logits: bool = False,
    say: Say = lambda text: None,
) -> Exported:
    """Export a checkpoint to an ONNX file and certify it.

    Args:
        ref: the checkpoint.
        out: the file to write; its certificate is written beside it (see `certificate_path`).
        opset: of the file.
        verify: compare with PyTorch and write the certificate.
        verify_data: a split on which both backends are scored too.
        with_logits: give the logits out as a second output.
        say: told what is going on.

    Raises:
        UsageError: not a checkpoint, or an opset that cannot be written.
        CheckFailed: the file is not within the tolerances; it is kept as `NAME.failed.onnx`.
        CheckpointError, DlcvError: the checkpoint cannot be read, or the tracer fails.
    """
    if ref.kind != "checkpoint":
        raise UsageError(f"{ref.path} is an ONNX file already", "give a run folder or a .ckpt")
    newest = onnx.defs.onnx_opset_version()
    if not DEFAULT_OPSET <= opset <= newest:
        raise UsageError(f"--opset {opset}: the exporter writes opset {DEFAULT_OPSET} to {newest}")
    checkpoint = load_checkpoint(ref.path)
    segmenter = load_segmenter(checkpoint)
    card = card_of(checkpoint, sha256_of(ref.path))
    card = replace(card, versions={**card.versions, **_exporter_versions()})
    say(f"tracing {card.model} ({ref.path})")
    model = trace(segmenter, card, opset)
    final = model if with_logits else without_logits(model)
    content = final.SerializeToString()
    certificate = None
    if verify:
        say("comparing with PyTorch")
        certificate = Certificate(
            structure=check_structure(final),
            cases=tuple(compare(segmenter, content, model.SerializeToString(), _own_size(card))),
        )
        if verify_data is not None:
            say(f"scoring both on {len(verify_data)} images")
            scored = _score_both(segmenter, card, content, verify_data)
            certificate = replace(certificate, dataset=scored)
    failed = certificate is not None and not certificate.passed
    path = out.with_name(f"{out.stem}.failed.onnx") if failed else out
    write_atomically(path, content)
    if certificate is not None:
        write_json(
            certificate_path(path),
            {
                "file": path.name,
                "sha256": sha256_of(path),
                "checkpoint_sha256": card.checkpoint_sha256,
                "model": card.model,
                "opset": opset,
                "versions": card.versions,
                **certificate.as_dict(),
            },
        )
    if failed:
        assert certificate is not None
        raise CheckFailed(
            f"the exported file is not within the tolerances: {certificate.failures[0]}",
            f"it is kept as {path}; {certificate_path(path).name} beside it has every figure",
        )
    return Exported(path, card, certificate)


def certificate_path(file: Path) -> Path:
    """Return where a file's certificate lies: `certificate.json` beside a run's `model.onnx`."""
    name = "certificate.json" if file.name == "model.onnx" else f"{file.stem}.certificate.json"
    return file.with_name(name)


def _own_size(card: SegmenterCard) -> tuple[int, int] | None:
    if card.size is not None:
        return card.size
    crop = card.config["data"].get("crop")
    return None if crop is None else (crop[0], crop[1])


def _exporter_versions() -> dict[str, str]:
    import onnxruntime

    return {
        "export.dlcv": __version__,
        "export.torch": str(torch.__version__),
        "export.onnx": onnx.__version__,
        "export.onnxruntime": onnxruntime.__version__,
    }


def _score_both(
    segmenter: Any, card: SegmenterCard, content: bytes, data: SegmentationSet
) -> dict[str, Any]:
    """Score PyTorch and the file on one split, both on the CPU, and note where they differ."""
    predictors = (
        TorchPredictor(segmenter, card, torch.device("cpu")),
        OnnxPredictor(open_session(content, "cpu"), card),
    )
    scores = [SegmentationScore(data.classes) for _ in predictors]
    differing: dict[str, float] = {}
    with closing(EvalBatches(data, 4).read()) as source:
        for batch in source:
            size = batch.masks.shape[1], batch.masks.shape[2]
            masks = [predictor(batch.images, size, StageClock()) for predictor in predictors]
            for score, found in zip(scores, masks, strict=True):
                score.update(batch.masks, found)
            shares = (masks[0] != masks[1]).mean(axis=(1, 2))
            differing |= dict(zip(batch.names, shares.tolist(), strict=True))
    before, after = (score.compute()["miou"] for score in scores)
    worst = sorted((name for name in differing if differing[name]), key=lambda n: -differing[n])
    return {
        "images": len(data),
        "split": data.split,
        "torch_miou": before,
        "onnx_miou": after,
        "differ_most": [{"image": name, "share": differing[name]} for name in worst[:_LISTED]],
        "passed": (before or 0.0) - (after or 0.0) <= METRIC_FALL,
    }
