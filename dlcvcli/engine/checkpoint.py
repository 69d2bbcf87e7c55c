"""Checkpoints: tensors and plain types only, written atomically and verified when loaded.

A checkpoint is a zip archive with a CRC-32 of each entry. torch.save writes these checksums, but
torch.load does not verify them.
"""

from __future__ import annotations

import os
import pickle
import re
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict, Field
from torch import Tensor

from dlcvcli.config.load import validate
from dlcvcli.config.values import Settings
from dlcvcli.data.seen_images import SeenImages
from dlcvcli.engine.soundness import first_not_finite
from dlcvcli.errors import CheckpointError, ConfigError
from dlcvcli.files import replacing
from dlcvcli.models.averaging import NETWORK

FORMAT = 1
# Prefixes of the trained network in checkpoints of older versions.
_OLD_PREFIXES = frozenset({"segmenter", "protonet"})
_ZIP = b"PK\x03\x04"
_HINT = (
    "use the run's other checkpoint (checkpoints/last.ckpt or best.ckpt) or a backup of this one"
)

Checkpoint = dict[str, Any]

_exact = ConfigDict(strict=True)
_open = ConfigDict(strict=True, extra="ignore")


class _Best(Settings):
    model_config = _exact
    metric: str
    value: float | None
    step: int = Field(ge=0)


class _Totals(Settings):
    model_config = _exact
    images: int = Field(ge=0)
    seconds: float
    waited: float


class _Window(Settings):
    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True)
    scalars: dict[str, Tensor]
    steps: int = Field(ge=0)
    waited: float
    seconds: float


class _Last(Settings):
    model_config = _open
    step: int


class _Data(Settings):
    model_config = _open
    classes: dict[str, Any] | tuple[str, ...] = Field(default_factory=dict)
    sha256: dict[str, str] = Field(default_factory=dict)


class _Layout(Settings):
    """The keys of a checkpoint and the types of their values; more keys are allowed."""

    model_config = ConfigDict(strict=True, extra="ignore", arbitrary_types_allowed=True)
    format: int
    task: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    step: int = Field(ge=0)
    best: _Best
    last: _Last | None
    seconds: float
    totals: _Totals
    # Older checkpoints have none.
    window: _Window | None = None
    config: dict[str, Any]
    data: _Data
    versions: dict[str, str]


_REQUIRED = {name for name, field in _Layout.model_fields.items() if field.is_required()}


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically: a crash or a full disk leaves the old file intact.

    Raises:
        CheckpointError: it cannot be written; names the reason.
    """
    # The name has no process id: the next save overwrites the file of a killed process.
    partial = path.with_name(f".{path.name}.tmp")
    try:
        with replacing(path, partial) as file:
            torch.save({"format": FORMAT, **checkpoint}, file)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        # torch.save raises RuntimeError when it cannot write to the file.
        hint = (
            "the last good checkpoint stays intact: free disk space and continue with --resume"
            if path.exists()
            else "the run has no checkpoint yet: free disk space, delete its folder and restart it"
        )
        reason = _reason(error, path)
        raise CheckpointError(f"cannot save the checkpoint {path}: {reason}", hint) from error


def _reason(error: BaseException, path: Path) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
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
    """Hard-link a checkpoint to a second path atomically, or copy it where links fail.

    Raises:
        CheckpointError: neither is possible.
    """
    partial = target.with_name(f".{target.name}.tmp")
    partial.unlink(missing_ok=True)
    # os.replace does nothing if both paths are links to one file, and would leave `partial`.
    if target.exists() and target.samefile(source):
        return
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
    """Load a checkpoint onto the CPU.

    A file with anything but tensors and plain types is refused, and code in it does not run.

    Raises:
        CheckpointError: the file is missing, truncated or damaged, contains other objects, is not
            a checkpoint of dlcv, or has a value of the wrong type or a non-finite weight.
    """
    _require_file(path)
    _require_checksums(path)
    data = _load_checked(path)
    data["task"] = {_current_name(name): value for name, value in data["task"].items()}
    name = first_not_finite(data["task"])
    if name is not None:
        raise CheckpointError(
            f"checkpoint {path} is damaged: its weight '{name}' is not finite", _HINT
        )
    return data


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings that a checkpoint was trained with, without loading its tensors.

    Raises:
        CheckpointError: the file is missing, damaged, holds other objects or is no checkpoint of
            dlcv.
    """
    _require_file(path)
    config: dict[str, Any] = _load_checked(path, mmap=_is_zip(path))["config"]
    return config


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path} does not exist")


def _load_checked(path: Path, *, mmap: bool = False) -> Checkpoint:
    """Load a checkpoint, and refuse one without the keys and types of `_Layout`."""
    data = _load(path, mmap=mmap)
    if not isinstance(data, dict) or not data.keys() >= _REQUIRED:
        raise CheckpointError(
            f"{path} is not a checkpoint of dlcv",
            "use --weights PATH to start from a plain state dict",
        )
    if isinstance(data["format"], int) and data["format"] != FORMAT:
        raise CheckpointError(
            f"checkpoint {path} has format {data['format']}; this dlcv reads format {FORMAT}"
        )
    try:
        validate(_Layout, data)
    except ConfigError as error:
        raise CheckpointError(f"checkpoint {path} is damaged: {error.message}", _HINT) from error
    checkpoint: Checkpoint = data
    return checkpoint


def _current_name(name: str) -> str:
    """Return the current name of a tensor of an older checkpoint.

    Those call the trained network by its class, and its image encoder an embedder.
    """
    first, dot, rest = name.partition(".")
    if dot and first in _OLD_PREFIXES:
        name = f"{NETWORK}{rest}"
    return re.sub(r"^(network|average)\.embedder\.", r"\1.encoder.", name)


def _require_checksums(path: Path) -> None:
    """Verify the checksums in a checkpoint; files in torch's old format have none.

    Takes 0.08 s for 180 MB.

    Raises:
        CheckpointError: a checksum does not match, or the file is truncated.
    """
    try:
        if not _is_zip(path):
            return
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:
        # Damaged headers can raise nearly anything.
        raise _unreadable(path) from error
    if damaged is not None:
        raise CheckpointError(
            f"checkpoint {path} is damaged: the checksum of '{damaged}' in it does not match", _HINT
        )


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_ZIP)) == _ZIP


def _load(path: Path, *, mmap: bool) -> Any:
    try:
        with warnings.catch_warnings():
            # torch warns about unusual files; the errors below suffice.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        match = re.search(r"(?:GLOBAL|global|class|type)\s+`?([\w.]+)", str(error))
        what = f" ({match[1]})" if match else ""
        raise CheckpointError(
            f"checkpoint {path} contains more than tensors and plain types{what}, or is damaged; "
            "it was not loaded",
            "loading such a file can run code: use a checkpoint that `dlcv train` wrote",
        ) from error
    except Exception as error:
        # Files in another format can raise nearly anything.
        raise _unreadable(path) from error


def _unreadable(path: Path) -> CheckpointError:
    return CheckpointError(
        f"checkpoint {path} cannot be read: it is truncated or not a checkpoint", _HINT
    )


def seen_images_of(checkpoint: Checkpoint, source: object = "the checkpoint") -> SeenImages | None:
    """Return the images that a checkpoint was trained and validated on; None without a record.

    Args:
        checkpoint: a loaded checkpoint.
        source: its name in error messages.

    Raises:
        CheckpointError: the record is damaged.
    """
    record = checkpoint["data"].get("seen")
    if record is None:
        return None
    try:
        return SeenImages.from_dict(record)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{source}: its record of training images is damaged", _HINT
        ) from error


def keep_numbered(folder: Path, source: Path, step: int, keep: int) -> None:
    """Link `source` to `step-NNNNNNN.ckpt` and delete all but the newest `keep` such files."""
    if keep < 1:
        return
    link_checkpoint(source, folder / f"step-{step:07d}.ckpt")
    for old in sorted(folder.glob("step-*.ckpt"))[:-keep]:
        old.unlink(missing_ok=True)
