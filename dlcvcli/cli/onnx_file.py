"""The ONNX file of a run: where it is, and made where it is missing or out of date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcvcli.errors import UsageError

if TYPE_CHECKING:
    from dlcvcli.runs import ModelRef


def default_onnx_path(ref: ModelRef, *, episode: bool = False) -> Path:
    """Return where the export of a checkpoint goes: into its run, else beside it.

    A run's encoder or segmenter is `model.onnx`, its graph of whole episodes `episode.onnx`.
    """
    if ref.run is None:
        beside = ref.path.with_suffix(".onnx")
        return beside.with_stem(f"{beside.stem}-episode") if episode else beside
    return ref.run.onnx.with_stem("episode") if episode else ref.run.onnx


def card_of_file(path: Path) -> Any:
    """Return what an exported file says of itself."""
    from dlcvcli.runtime.metadata import read_card
    from dlcvcli.runtime.session import read_metadata

    return read_card(read_metadata(path), path)


def ensure_onnx(ref: ModelRef, *, logits: bool = False) -> ModelRef:
    """Return the ONNX file of a checkpoint, exporting it where it is missing or out of date.

    One that gives out logits as well lies beside the other, which is smaller in what it hands over.
    """
    from dlcvcli.cli.console import say
    from dlcvcli.errors import ModelFileError
    from dlcvcli.files import sha256_of
    from dlcvcli.processes import run_dlcv
    from dlcvcli.runs import ModelRef

    path = default_onnx_path(ref)
    if logits:
        path = path.with_stem(f"{path.stem}-logits")
    current = False
    if path.is_file():
        try:
            current = card_of_file(path).checkpoint_sha256 == sha256_of(ref.path)
        except ModelFileError:
            current = False
        if not current:
            say(f"{path} was not made from {ref.path.name} as it is now: exporting again")
    if not current:
        # In a process of its own: torch's threads would slow ONNX Runtime down in this one.
        more = ["--logits"] if logits else []
        run_dlcv(["export", str(ref.path), "--out", str(path), *more])
    return ModelRef("onnx", path, ref.run)


def both_files(ref: ModelRef, *, logits: bool = False) -> tuple[Path, Path]:
    """Return the checkpoint and the ONNX file that `--compare` runs.

    Raises:
        UsageError: an ONNX file without its run.
        MissingExtra: torch is missing.
    """
    from dlcvcli.extras import require_torch
    from dlcvcli.inference.compare import checkpoint_of

    require_torch("--compare")
    if ref.kind == "checkpoint":
        return ref.path, ensure_onnx(ref, logits=logits).path
    found = checkpoint_of(ref, card_of_file(ref.path))
    if found is None:
        raise UsageError(
            f"--compare needs the checkpoint that {ref.path} was exported from, "
            "and its run is not beside it",
            "give the run folder instead of the .onnx file",
        )
    return found, ref.path
