"""Export a checkpoint: trace it, certify the files, and only then give them their names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import torch

from dlcvcli import __version__
from dlcvcli.errors import CheckFailed, DlcvError, UsageError
from dlcvcli.exporting.certify import Case, Certificate
from dlcvcli.exporting.structure import check_structure
from dlcvcli.exporting.subject import Graph, Subject
from dlcvcli.exporting.tracing import DEFAULT_OPSET
from dlcvcli.exporting.writing import move_model, write_model
from dlcvcli.files import make_folder, sha256_of, write_json
from dlcvcli.runtime.metadata import ModelCard

Say = Callable[[str], None]


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        out: the ONNX file, or the folder of a model with several graphs.
        paths: every file of the model; external data follows its ONNX file.
        card: what the model says of itself.
        certificate: None where none was asked for.
        facts: what users want to know of the model.
    """

    out: Path
    paths: tuple[Path, ...]
    card: ModelCard
    certificate: Certificate | None
    facts: list[tuple[str, str]]


@dataclass(frozen=True)
class _Written:
    """A graph in the temporary folder.

    Attributes:
        graph: the graph.
        model: its `onnx.ModelProto`, as `write_model` left it.
        path: the file that users get.
        traced: the file with every output that was traced; may be the same.
    """

    graph: Graph
    model: Any
    path: Path
    traced: Path


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
    """Export a model to ONNX and certify it.

    The files get their names when all are complete and certified, so that an export that fails or
    is killed leaves those of an earlier one as they were.

    Args:
        subject: the model.
        out: the file to write; for a model of several graphs, the folder of their files.
        opset: version of the operator set.
        verify: compare with PyTorch and write the certificate, see `certificate_path`.
        verify_data: a set on which both backends are scored too, from `Subject.open_data`.
        say: called with a line for each stage.

    Raises:
        UsageError: an opset that cannot be written.
        CheckFailed: a file is not within the tolerances; they are kept as `NAME.failed.onnx`.
        DlcvError: the exporter fails, or a file cannot be written.
    """
    check_opset(opset)
    subject.card = replace(subject.card, versions={**subject.card.versions, **_exporter_versions()})
    several = len(subject.graphs) > 1
    with _temporary_folder(out if several else out.parent, out) as folder:
        say(f"tracing {subject.card.model}")
        files = [
            _trace(graph, graph.name if several else out.stem, folder, out, opset)
            for graph in subject.graphs
        ]
        certificate = None
        if verify:
            say("comparing with PyTorch")
            certificate = _certify(files)
            if verify_data is not None:
                say(f"scoring both on {subject.amount(verify_data)}")
                score = subject.score([file.path for file in files], verify_data)
                certificate = replace(certificate, dataset=score)
        return _publish(files, out, subject, certificate, opset)


def certificate_path(out: Path) -> Path:
    """Return the certificate of an exported file, or of a folder of them.

    It is `certificate.json` in a folder and beside `model.onnx`, else `NAME.certificate.json`.
    """
    if out.suffix != ".onnx":
        return out / "certificate.json"
    name = "certificate.json" if out.name == "model.onnx" else f"{out.stem}.certificate.json"
    return out.with_name(name)


def _trace(graph: Graph, name: str, folder: Path, out: Path, opset: int) -> _Written:
    model = graph.trace(opset)
    path = folder / f"{name}.onnx"
    same = [value.name for value in model.graph.output] == list(graph.outputs)
    traced = path if same else folder / f"{name}.traced.onnx"
    with _naming(out):
        write_model(model, path, traced, graph.outputs)
    return _Written(graph, model, path, traced)


def _certify(files: Sequence[_Written]) -> Certificate:
    structure: dict[str, str | None] = {}
    cases: list[Case] = []
    for file in files:
        prefix = f"{file.graph.name}." if len(files) > 1 else ""
        checks = check_structure(file.path, file.graph.inputs, file.graph.outputs)
        structure |= {f"{prefix}{name}": reason for name, reason in checks.items()}
        cases += file.graph.compare(file.path, file.traced)
    return Certificate(structure, tuple(cases))


def _publish(
    files: Sequence[_Written],
    out: Path,
    subject: Subject,
    certificate: Certificate | None,
    opset: int,
) -> Exported:
    """Move the files to their names, which say so where the certificate failed, and certify them.

    Raises:
        CheckFailed: the certificate failed.
    """
    failed = certificate is not None and not certificate.passed
    suffix = ".failed.onnx" if failed else ".onnx"
    several = len(files) > 1
    paths: list[Path] = []
    models: list[Path] = []
    for file in files:
        place = out / f"{file.path.stem}{suffix}" if several else out.with_suffix(suffix)
        with _naming(place):
            paths += move_model(file.model, file.path, place)
        models.append(place)
    if certificate is not None:
        digests = {path.name: sha256_of(path) for path in models}
        name, digest = next(iter(digests.items()))
        report = certificate_path(out if several else models[0])
        if several and failed:
            report = report.with_name("failed.certificate.json")
        write_json(
            report,
            {
                **({"files": digests} if several else {"file": name, "sha256": digest}),
                "checkpoint_sha256": subject.card.checkpoint_sha256,
                "model": subject.card.model,
                "opset": opset,
                "versions": subject.card.versions,
                **certificate.as_dict(),
            },
        )
        if failed:
            raise CheckFailed(
                f"the exported file is not within the tolerances: {certificate.failures[0]}",
                f"it is kept as {', '.join(map(str, models))}; {report.name} beside it has every "
                "figure",
            )
    return Exported(out, tuple(paths), subject.card, certificate, subject.facts())


@contextlib.contextmanager
def _temporary_folder(parent: Path, out: Path) -> Iterator[Path]:
    """Yield a folder in the file system of the results, which is deleted at the end."""
    make_folder(parent)
    with _naming(out):
        held = TemporaryDirectory(prefix=f".{out.stem}.", suffix=".partial", dir=parent)
    with held as name:
        yield Path(name)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Report errors of the file system as a failure to write `path`."""
    try:
        yield
    except OSError as error:
        raise DlcvError(f"cannot write {path}: {error.strerror or error}") from error


def _exporter_versions() -> dict[str, str]:
    import onnxruntime

    return {
        "export.dlcv": __version__,
        "export.torch": str(torch.__version__),
        "export.onnx": onnx.__version__,
        "export.onnxruntime": onnxruntime.__version__,
    }
