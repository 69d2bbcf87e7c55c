"""Export a checkpoint: trace, certify, and only then give the file its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import torch

from dlcvcli import __version__
from dlcvcli.engine.checkpoint import Checkpoint, load_checkpoint
from dlcvcli.errors import CheckFailed, UsageError, naming
from dlcvcli.exporting.certify import Certificate, check_structure
from dlcvcli.exporting.subject import Subject, VerifyData
from dlcvcli.exporting.tracing import DEFAULT_OPSET
from dlcvcli.files import sha256_of, write_atomically, write_json
from dlcvcli.runs import ModelRef
from dlcvcli.runtime.metadata import ModelCard
from dlcvcli.runtime.model_file import with_digest
from dlcvcli.tasks.fewshot.export import EmbedderSubject
from dlcvcli.tasks.segmentation.export import SegmenterSubject

Say = Callable[[str], None]


@dataclass(frozen=True)
class Exported:
    """An exported file and its certificate; `certificate` is None where none was asked for."""

    path: Path
    card: ModelCard
    certificate: Certificate | None


def export(
    ref: ModelRef,
    out: Path,
    *,
    opset: int = DEFAULT_OPSET,
    verify: bool = True,
    verify_data: VerifyData | None = None,
    with_logits: bool = False,
    episode: bool = False,
    say: Say = lambda text: None,
) -> Exported:
    """Export a checkpoint to an ONNX file and certify it.

    Args:
        ref: the checkpoint.
        out: the file to write; its certificate is written beside it (see `certificate_path`).
        opset: of the file.
        verify: compare with PyTorch and write the certificate.
        verify_data: a split on which both backends are scored too, of the checkpoint's task.
        with_logits: of a segmenter, give the logits out as a second output.
        episode: of a few-shot model, export the graph of whole episodes, not the encoder.
        say: told what is going on.

    Raises:
        UsageError: not a checkpoint, an option of another task, or an opset that cannot be written.
        CheckFailed: the file is not within the tolerances; it is kept as `NAME.failed.onnx`.
        CheckpointError, DlcvError: the checkpoint cannot be read, or the tracer fails.
    """
    if ref.kind != "checkpoint":
        raise UsageError(f"{ref.path} is an ONNX file already", "give a run folder or a .ckpt")
    newest = onnx.defs.onnx_opset_version()
    if not DEFAULT_OPSET <= opset <= newest:
        raise UsageError(f"--opset {opset}: the exporter writes opset {DEFAULT_OPSET} to {newest}")
    checkpoint = load_checkpoint(ref.path)
    with naming(ref.path):
        subject = _subject(
            checkpoint, sha256_of(ref.path), with_logits=with_logits, episode=episode
        )
    say(f"tracing {subject.card.model} ({ref.path})")
    traced = subject.trace(opset)
    final = subject.given_out(traced)
    content = final.SerializeToString()
    certificate = None
    if verify:
        say("comparing with PyTorch")
        certificate = Certificate(
            check_structure(final, subject.inputs, subject.outputs),
            subject.compare(content, traced.SerializeToString()),
        )
        if verify_data is not None:
            say(f"scoring both on {subject.amount(verify_data)}")
            certificate = replace(certificate, dataset=subject.score(content, verify_data))
    return _write(out, content, subject.card, certificate, opset)


def require_fitting(task: object, *, with_logits: bool, episode: bool) -> None:
    """Refuse options that are another task's.

    Args:
        task: of the checkpoint.
        with_logits, episode: see `export`.

    Raises:
        UsageError: one is.
    """
    if with_logits and task == "fewshot":
        raise UsageError(
            "--logits is for segmenters, and the checkpoint holds a few-shot model",
            "--episode exports a graph that gives the logits of whole episodes",
        )
    if episode and task == "seg":
        raise UsageError(
            "--episode is for few-shot models, and the checkpoint holds a segmenter",
            "leave --episode out",
        )


def _subject(checkpoint: Checkpoint, sha256: str, *, with_logits: bool, episode: bool) -> Subject:
    task = checkpoint["config"].get("task")
    require_fitting(task, with_logits=with_logits, episode=episode)
    versions = _exporter_versions()
    if task == "fewshot":
        return EmbedderSubject(checkpoint, sha256, versions, episode=episode)
    return SegmenterSubject(checkpoint, sha256, versions, with_logits=with_logits)


def _write(
    out: Path, content: bytes, card: ModelCard, certificate: Certificate | None, opset: int
) -> Exported:
    """Write the file and its certificate, under names that say so where the certificate failed."""
    failed = certificate is not None and not certificate.passed
    path = out.with_name(f"{out.stem}.failed.onnx") if failed else out
    write_atomically(path, with_digest(content))
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


def _exporter_versions() -> dict[str, str]:
    import onnxruntime

    return {
        "export.dlcv": __version__,
        "export.torch": str(torch.__version__),
        "export.onnx": onnx.__version__,
        "export.onnxruntime": onnxruntime.__version__,
    }
