"""Writing an ONNX model: one file, or two where the weights are too large for one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from onnx.external_data_helper import set_external_data

from dlcvcli.files import sha256_of, write_atomically
from dlcvcli.runtime.model_file import EXTERNAL, with_digest

# Protobuf messages, and so ONNX files, hold less than 2 GiB. 64 MiB are left for all but weights.
LARGEST_WEIGHTS = (2 << 30) - (64 << 20)

# Smaller tensors stay in the model: the checker needs the values of shapes.
_SMALLEST_EXTERNAL = 1024
# ONNX Runtime maps external tensors into memory, which works on whole pages.
_PAGE = 4096


def data_path(path: Path) -> Path:
    """Return the file beside an ONNX file that holds its weights, where it does not itself."""
    return path.with_name(f"{path.name}.data")


def write_model(model: Any, path: Path, traced: Path, outputs: tuple[str, ...]) -> None:
    """Write a traced model as users get it, and as it was traced where that has more outputs.

    Weights that are too large for one file are written to `data_path(path)` and removed from the
    model, and so are the other outputs.

    Args:
        model: an `onnx.ModelProto`.
        path: the file for users.
        traced: the file with every output; may be `path`.
        outputs: those that users get.

    Raises:
        DlcvError, OSError: a file cannot be written.
    """
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) > LARGEST_WEIGHTS:
        _move_weights(model, data_path(path))
    if traced != path:
        write_atomically(traced, model.SerializeToString())
        kept = [value for value in model.graph.output if value.name in outputs]
        del model.graph.output[:]
        model.graph.output.extend(kept)
    write_atomically(path, with_digest(model.SerializeToString()))


def move_model(model: Any, path: Path, target: Path) -> list[Path]:
    """Move the files of a written model to their final names and return those, `target` first.

    Args:
        model: as `write_model` left it.
        path: what it was written to.
        target: the name to move it to, in the same file system.

    Raises:
        DlcvError, OSError: a file cannot be written.
    """
    data = data_path(path)
    if not data.exists():
        moved = _replace(path, target)
        # Weights that an earlier, larger export kept beside the file.
        data_path(target).unlink(missing_ok=True)
        return [moved]
    if path.name != target.name:
        _refer_to(model, data_path(target).name, sha256_of(data))
        write_atomically(path, with_digest(model.SerializeToString()))
    weights = _replace(data, data_path(target))
    return [_replace(path, target), weights]


def _move_weights(model: Any, path: Path) -> None:
    with path.open("wb") as file:
        for tensor in model.graph.initializer:
            size = len(tensor.raw_data)
            if size < _SMALLEST_EXTERNAL:
                continue
            file.write(bytes(-file.tell() % _PAGE))
            set_external_data(tensor, path.name, offset=file.tell(), length=size)
            file.write(tensor.raw_data)
            tensor.ClearField("raw_data")
        file.flush()
        os.fsync(file.fileno())
    _refer_to(model, path.name, sha256_of(path))


def _refer_to(model: Any, name: str, sha256: str) -> None:
    """Let a model's external tensors, and its metadata, name a file beside it."""
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = name
    for entry in [entry for entry in model.metadata_props if entry.key == EXTERNAL]:
        model.metadata_props.remove(entry)
    model.metadata_props.add(key=EXTERNAL, value=json.dumps({name: sha256}))


def _replace(path: Path, target: Path) -> Path:
    # Of a link, the file that it leads to is replaced.
    os.replace(path, target.resolve() if target.is_symlink() else target)
    return target
