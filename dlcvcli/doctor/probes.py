"""Probe PyTorch and ONNX Runtime, each in a process of its own.

A broken installation may die by a signal instead of raising an error, and two runtimes in the same
process share the libraries of the first one loaded. So `ask("torch")` runs this file as a program.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# y = x + x on two floats, opset 18: the bytes that `onnx.helper` gives for one Add node. The
# torch-free install has no package that could write them.
ONE_NODE = bytes.fromhex(
    "080a3a350a0e0a01780a017812017922034164641201675a0f0a0178120a0a08080112040a020802620f0a0179"
    "120a0a08080112040a02080242040a001012"
)
_TIMEOUT = 120


def ask(what: str, *arguments: str) -> dict[str, Any]:
    """Run a probe in a process of its own.

    Args:
        what: name of the probe: torch, onnxruntime, session or model.
        arguments: arguments of the probe.

    Returns:
        The result of the probe; `{"error": reason}` if it failed or died.
    """
    with TemporaryDirectory(prefix="dlcv-doctor-") as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "dlcvcli.doctor.probes", str(answer), what, *arguments]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired:
            return {"error": f"no answer within {_TIMEOUT} seconds"}
        if answer.is_file():
            result: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
            return result
    if done.returncode < 0:
        return {"error": f"its process was killed by signal {-done.returncode}"}
    said = done.stderr.strip().splitlines()
    return {"error": said[-1] if said else f"exit status {done.returncode}"}


def probe_torch() -> dict[str, Any]:
    """Return versions, devices and the training precision of PyTorch and torchvision."""
    import torch
    import torchvision

    # A torchvision that was compiled for another torch loads, and fails here.
    torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    result: dict[str, Any] = {
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "cuda_available": torch.cuda.is_available(),
        "gpus": [],
    }
    if result["cuda_available"]:
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            result["gpus"].append({"name": about.name, "memory_mb": about.total_memory >> 20})
        x = torch.randn(8, 8, device="cuda")
        result["computes"] = bool(torch.isfinite(x @ x).all())
    from dlcvcli.engine.precision import choose_precision

    precision = choose_precision("auto", "cuda" if result["cuda_available"] else "cpu")
    return {**result, "precision": precision.name, "precision_reason": precision.reason}


def probe_onnxruntime() -> dict[str, Any]:
    """Return the version and providers of ONNX Runtime, and which of CUDA's libraries are missing.

    `missing_libraries` is None where it is unknown: without CUDA, and on Windows.
    """
    import onnxruntime as ort

    from dlcvcli.doctor.libraries import missing, needed_by
    from dlcvcli.runtime.session import PROVIDERS

    built = ort.get_available_providers()
    result: dict[str, Any] = {
        "version": ort.__version__,
        "cuda": getattr(ort, "cuda_version", "") or None,
        "cudnn": _cudnn_major(),
        "providers": [flag for flag, (name, _) in PROVIDERS.items() if name in built],
        "missing_libraries": None,
    }
    library = Path(ort.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
    if library.is_file():
        ort.preload_dlls()
        own = "libonnxruntime_providers_shared.so"
        needed = [name for name in needed_by(library) if name != own]
        if result["cudnn"]:
            # cuDNN is loaded by name at run time, and the library's table does not list it.
            needed.append(f"libcudnn.so.{result['cudnn']}")
        result["missing_libraries"] = missing(needed)
    return result


def _cudnn_major() -> str | None:
    """Return the major version of cuDNN from the requirements of ONNX Runtime's wheel.

    ONNX Runtime does not report it anywhere else.
    """
    try:
        asked = metadata.requires("onnxruntime-gpu") or []
    except metadata.PackageNotFoundError:
        return None
    matches = (re.match(r"nvidia-cudnn-cu\d+\D+(\d+)", requirement) for requirement in asked)
    return next((match[1] for match in matches if match), None)


def probe_session(provider: Any) -> dict[str, Any]:
    """Run a model of one node under a provider; a broken provider may crash the process."""
    import numpy as np

    from dlcvcli.runtime.session import open_session

    session = open_session(ONE_NODE, provider).session
    (result,) = session.run(None, {"x": np.array([1.0, 2.5], np.float32)})
    if result.tolist() != [2.0, 5.0]:
        return {"error": f"wrong result {result.tolist()}"}
    return {"ok": True}


def probe_model(path: str) -> dict[str, Any]:
    """Return model, task and classes of an ONNX file, and the number of nodes per provider."""
    from dlcvcli.errors import ModelFileError
    from dlcvcli.runtime.metadata import read_task
    from dlcvcli.runtime.session import open_session
    from dlcvcli.tasks.registry import task_named

    session = open_session(Path(path), count_nodes=True)
    result: dict[str, Any] = {
        "provider": session.provider,
        "provider_reason": session.reason,
        "nodes": session.nodes,
    }
    try:
        card = task_named(read_task(session.metadata, path)).card().read(session.metadata, path)
    except ModelFileError as error:
        return {**result, "foreign": error.message, "fix": error.hint}
    result |= {"model": card.model, "task": card.task}
    return result | ({} if card.class_count is None else {"classes": card.class_count})


_PROBES: dict[str, Callable[..., dict[str, Any]]] = {
    "torch": probe_torch,
    "onnxruntime": probe_onnxruntime,
    "session": probe_session,
    "model": probe_model,
}


def _main() -> None:
    from dlcvcli.errors import DlcvError
    from dlcvcli.files import write_json

    answer, what, *arguments = sys.argv[1:]
    try:
        result = _PROBES[what](*arguments)
    except DlcvError as error:
        result = {"error": error.message, "fix": error.hint}
    except Exception as error:
        # A broken installation may raise anything, and the report is to name it.
        lines = str(error).strip().splitlines() or [""]
        result = {"error": f"{type(error).__name__}: {lines[0]}"}
    write_json(Path(answer), result)


if __name__ == "__main__":
    _main()
