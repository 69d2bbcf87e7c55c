"""Checkpoints: tensors and plain types only, written atomically, read without trust."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch

from dlcvcli.data.seen_images import SeenImages
from dlcvcli.errors import CheckpointError

FORMAT = 1
_KEYS = frozenset(
    {
        *("format", "task", "optimizer", "scaler", "step", "best", "last", "seconds", "totals"),
        *("config", "data", "versions"),
    }
)

Checkpoint = dict[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint so that a crash or a full disk leaves the old one whole.

    Raises:
        CheckpointError: it cannot be written; names the reason.
    """
    partial = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            torch.save({"format": FORMAT, **checkpoint}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        # torch reports a failed write of the file below it as a RuntimeError.
        partial.unlink(missing_ok=True)
        reason = _reason(error, path)
        raise CheckpointError(
            f"cannot save the checkpoint {path}: {reason}",
            "the last good checkpoint stays; make room and go on with --resume",
        ) from error


def _reason(error: BaseException, path: Path) -> str:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        seen = seen.__cause__ or seen.__context__
    free = shutil.disk_usage(path.parent).free >> 20
    return f"writing failed, with {free} MiB free on the disk"


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def link_checkpoint(source: Path, target: Path) -> None:
    """Give a checkpoint a second name, atomically; a copy where links are not possible.

    Raises:
        CheckpointError: neither is possible.
    """
    partial = target.with_name(f".{target.name}.tmp")
    partial.unlink(missing_ok=True)
    try:
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)
        os.replace(partial, target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise CheckpointError(f"cannot save the checkpoint {target}: {error.strerror}") from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Only tensors and plain types are read; anything else in the file is refused, never run.

    Raises:
        CheckpointError: the file is missing, cut short, holds other objects, or is no checkpoint
            of dlcv.
    """
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path} does not exist")
    try:
        with warnings.catch_warnings():
            # Of torch on strange files; the error below says it all.
            warnings.simplefilter("ignore")
            data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"(?:GLOBAL|global|class|type)\s+`?([\w.]+)", str(error))
        what = f" ({found[1]})" if found else ""
        raise CheckpointError(
            f"checkpoint {path} holds more than tensors and plain types{what}, or is damaged; "
            "it was not loaded",
            "loading such a file can run code: use a checkpoint that `dlcv train` wrote",
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read: it is cut short or no checkpoint",
            "use another one of the run's checkpoints/ (last.ckpt, best.ckpt)",
        ) from error
    if not isinstance(data, dict) or not data.keys() >= _KEYS:
        raise CheckpointError(
            f"{path} is not a checkpoint of dlcv",
            "a plain state dict can be used as --weights PATH",
        )
    if data["format"] != FORMAT:
        raise CheckpointError(
            f"checkpoint {path} has format {data['format']}; this dlcv reads format {FORMAT}"
        )
    return data


def seen_images_of(checkpoint: Checkpoint) -> SeenImages | None:
    """Return which images a checkpoint was trained and validated on; None where it has no record.

    Raises:
        CheckpointError: the record is damaged.
    """
    kept = checkpoint["data"].get("seen")
    if kept is None:
        return None
    try:
        return SeenImages.from_dict(kept)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"the checkpoint's record of its images is damaged ({error!r})"
        ) from error


def keep_numbered(folder: Path, source: Path, step: int, keep: int) -> None:
    """Keep `source` as `step-NNNNNNN.ckpt` and delete all but the newest `keep` of those."""
    if keep < 1:
        return
    link_checkpoint(source, folder / f"step-{step:07d}.ckpt")
    for old in sorted(folder.glob("step-*.ckpt"))[:-keep]:
        old.unlink(missing_ok=True)
