"""The ONNX file of a run: its path, and its export where it is missing or out of date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dlcvcli.errors import UsageError

if TYPE_CHECKING:
    from dlcvcli.runs import ModelRef


def default_onnx_path(ref: ModelRef, stem: str = "model") -> Path:
    """Return where the export of a checkpoint is written: into its run, else beside it.

    Args:
        ref: the checkpoint.
        stem: name of the file without its suffix, `model` for the usual graph.
    """
    if ref.run is not None:
        return ref.run.onnx.with_stem(stem)
    beside = ref.path.with_suffix(".onnx")
    return beside if stem == "model" else beside.with_stem(f"{beside.stem}-{stem}")


def ensure_onnx(ref: ModelRef, graph: str | None = None) -> ModelRef:
    """Return the ONNX file of a model, exporting it where it is missing or out of date.

    Args:
        ref: a checkpoint, or an ONNX file, which is returned as it is.
        graph: the switch of `dlcv export` that makes the graph wanted; such a file is kept beside
            the usual one.
    """
    if ref.kind == "onnx":
        return ref
    from dlcvcli.cli.console import say
    from dlcvcli.processes import run_dlcv
    from dlcvcli.runs import ModelRef

    path = default_onnx_path(ref)
    if graph is not None:
        path = path.with_stem(f"{path.stem}-{graph}")
    current = path.is_file() and _is_of(path, ref.path)
    if path.is_file() and not current:
        say(f"{path} was not exported from {ref.path.name} as it is now: exporting again")
    if not current:
        # In a process of its own: torch's threads would slow ONNX Runtime down in this one.
        switch = [] if graph is None else [f"--{graph}"]
        run_dlcv(["export", str(ref.path), "--out", str(path), *switch])
    return ModelRef("onnx", path, ref.run)


def _is_of(path: Path, checkpoint: Path) -> bool:
    """Return whether an ONNX file was exported from a checkpoint as it is now."""
    from dlcvcli.errors import ModelFileError
    from dlcvcli.files import sha256_of

    try:
        return checkpoint_of_file(path) == sha256_of(checkpoint)
    except ModelFileError:
        return False


def checkpoint_of_file(path: Path) -> str:
    """Return the SHA-256 of the checkpoint that an ONNX file was exported from.

    Raises:
        ModelFileError: the file cannot be used.
    """
    from dlcvcli.runtime.metadata import ModelCard
    from dlcvcli.runtime.session import read_metadata

    return ModelCard.read(read_metadata(path), path).checkpoint_sha256


def both_files(ref: ModelRef, graph: str | None = None) -> tuple[Path, Path]:
    """Return the checkpoint and the ONNX file that `--compare` runs.

    Raises:
        UsageError: an ONNX file without its run.
        MissingExtra: torch is missing.
    """
    from dlcvcli.extras import require_torch
    from dlcvcli.inference.compare import checkpoint_of

    require_torch("--compare")
    if ref.kind == "checkpoint":
        return ref.path, ensure_onnx(ref, graph).path
    checkpoint = checkpoint_of(ref, checkpoint_of_file(ref.path))
    if checkpoint is None:
        raise UsageError(
            f"--compare needs the checkpoint that {ref.path} was exported from, "
            "and its run is not beside it",
            "give the run folder instead of the .onnx file",
        )
    return checkpoint, ref.path
