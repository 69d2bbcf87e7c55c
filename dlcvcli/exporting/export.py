"""Export a checkpoint: trace, certify, and only then give the file its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import torch

from dlcvcli import __version__
from dlcvcli.errors import CheckFailed, UsageError
from dlcvcli.exporting.certify import Certificate, check_structure
from dlcvcli.exporting.subject import Subject
from dlcvcli.exporting.tracing import DEFAULT_OPSET
from dlcvcli.files import sha256_of, write_atomically, write_json
from dlcvcli.runtime.metadata import ModelCard
from dlcvcli.runtime.model_file import with_digest

Say = Callable[[str], None]


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        paths: the files, the model's first.
        card: what the model says of itself.
        certificate: None where none was asked for.
        facts: what users want to know of the file.
    """

    paths: tuple[Path, ...]
    card: ModelCard
    certificate: Certificate | None
    facts: list[tuple[str, str]]


def check_opset(opset: int) -> None:
    """Refuse a version of the operator set that cannot be written.

    Raises:
        UsageError: it cannot.
    """
    newest = onnx.defs.onnx_opset_version()
    if not DEFAULT_OPSET <= opset <= newest:
        raise UsageError(f"--opset {opset}: the exporter writes opset {DEFAULT_OPSET} to {newest}")


def export(
    subject: Subject,
    out: Path,
    *,
    opset: int = DEFAULT_OPSET,
    verify: bool = True,
    verify_data: Any = None,
    say: Say = lambda text: None,
) -> Exported:
    """Export a model to an ONNX file and certify it.

    Args:
        subject: the model.
        out: the file to write; its certificate is written beside it (see `certificate_path`).
        opset: of the file.
        verify: compare with PyTorch and write the certificate.
        verify_data: a set on which both backends are scored too; see `Subject.open_data`.
        say: called with a line for each stage.

    Raises:
        UsageError: an opset that cannot be written.
        CheckFailed: the file is not within the tolerances; it is kept as `NAME.failed.onnx`.
        DlcvError: the exporter fails.
    """
    check_opset(opset)
    subject.card = replace(subject.card, versions={**subject.card.versions, **_exporter_versions()})
    say(f"tracing {subject.card.model}")
    traced = subject.trace(opset)
    final = subject.final(traced)
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
    return _write(out, content, subject, certificate, opset)


def _write(
    out: Path, content: bytes, subject: Subject, certificate: Certificate | None, opset: int
) -> Exported:
    """Write the file and its certificate, under names that say so where the certificate failed."""
    card = subject.card
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
    return Exported((path,), card, certificate, subject.facts())


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
