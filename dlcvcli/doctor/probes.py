"""What PyTorch and ONNX Runtime say of themselves, each asked in a process of its own.

A broken installation may die with a signal where it should raise, and two runtimes in one process
share the libraries of the one that was loaded first. So `ask("torch")` runs this file as a program.
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

# y = x + x on two floats, opset 18: what `onnx.helper` makes of one Add node. The road without
# torch has no package that could write it.
ONE_NODE = bytes.fromhex(
    "080a3a350a0e0a01780a017812017922034164641201675a0f0a0178120a0a08080112040a020802620f0a0179"
    "120a0a08080112040a02080242040a001012"
)
_TIMEOUT = 120


def ask(what: str, *arguments: str) -> dict[str, Any]:
    """Run a probe in a process of its own.

    Returns:
        What it found; `{"error": reason}` where it failed or died.
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
            found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
            return found
    if done.returncode < 0:
        return {"error": f"it died of signal {-done.returncode}"}
    said = done.stderr.strip().splitlines()
    return {"error": said[-1] if said else f"exit status {done.returncode}"}


def probe_torch() -> dict[str, Any]:
    """Return what PyTorch and torchvision find."""
    import torch
    import torchvision

    # Compiled for another torch, it loads, and fails here.
    torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    found: dict[str, Any] = {
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "cuda_available": torch.cuda.is_available(),
        "gpus": [],
    }
    if found["cuda_available"]:
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            found["gpus"].append({"name": about.name, "memory_mb": about.total_memory >> 20})
        x = torch.randn(8, 8, device="cuda")
        found["computes"] = bool(torch.isfinite(x @ x).all())
    from dlcvcli.engine.precision import choose_precision

    precision = choose_precision("auto", "cuda" if found["cuda_available"] else "cpu")
    return {**found, "precision": precision.name, "precision_reason": precision.reason}


def probe_onnxruntime() -> dict[str, Any]:
    """Return what ONNX Runtime was built for, and which of CUDA's libraries are missing.

    `missing_libraries` is None where that cannot be told: without CUDA, and on Windows.
    """
    import onnxruntime as ort

    from dlcvcli.doctor.libraries import missing, needed_by
    from dlcvcli.runtime.session import PROVIDERS

    built = ort.get_available_providers()
    found: dict[str, Any] = {
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
        if found["cudnn"]:
            # It is loaded by name at run time, so the table of the library does not have it.
            needed.append(f"libcudnn.so.{found['cudnn']}")
        found["missing_libraries"] = missing(needed)
    return found


def _cudnn_major() -> str | None:
    """Return the cuDNN that the wheel of ONNX Runtime asks for; it tells it nowhere else."""
    try:
        asked = metadata.requires("onnxruntime-gpu") or []
    except metadata.PackageNotFoundError:
        return None
    found = (re.match(r"nvidia-cudnn-cu\d+\D+(\d+)", requirement) for requirement in asked)
    return next((match[1] for match in found if match), None)


def probe_session(provider: Any) -> dict[str, Any]:
    """Run one node under a provider; each in a process of its own, as one may bring it down."""
    import numpy as np

    from dlcvcli.runtime.session import open_session

    session = open_session(ONE_NODE, provider).session
    (result,) = session.run(None, {"x": np.array([1.0, 2.5], np.float32)})
    if result.tolist() != [2.0, 5.0]:
        return {"error": f"wrong result {result.tolist()}"}
    return {"ok": True}


def probe_model(path: str) -> dict[str, Any]:
    """Return what an ONNX file is, and how its nodes are spread over the providers."""
    from dlcvcli.errors import ModelFileError
    from dlcvcli.runtime.metadata import read_task
    from dlcvcli.runtime.session import open_session
    from dlcvcli.tasks.registry import task_named

    session = open_session(Path(path), count_nodes=True)
    found: dict[str, Any] = {
        "provider": session.provider,
        "provider_reason": session.reason,
        "nodes": session.nodes,
    }
    try:
        card = task_named(read_task(session.metadata, path)).card().read(session.metadata, path)
    except ModelFileError as error:
        return {**found, "foreign": error.message, "mend": error.hint}
    found |= {"model": card.model, "task": card.task}
    return found | ({} if card.class_count is None else {"classes": card.class_count})


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
        found = _PROBES[what](*arguments)
    except DlcvError as error:
        found = {"error": error.message, "mend": error.hint}
    except Exception as error:
        # A broken installation raises anything; the doctor's business is to say what.
        lines = str(error).strip().splitlines() or [""]
        found = {"error": f"{type(error).__name__}: {lines[0]}"}
    write_json(Path(answer), found)


if __name__ == "__main__":
    _main()
