"""What PyTorch and ONNX Runtime say of themselves, each asked in a process of its own.

A broken installation may die with a signal where it should raise, and two runtimes in one process
share the libraries of the one that was loaded first. So `ask("torch")` runs this file as a program.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
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
    """Return what ONNX Runtime finds; one node is run under each provider it was built for."""
    import onnxruntime as ort

    from dlcvcli.doctor.libraries import missing, needed_by

    built = ort.get_available_providers()
    found: dict[str, Any] = {
        "version": ort.__version__,
        "cuda": getattr(ort, "cuda_version", "") or None,
        "built_for": built,
        "sessions": {},
        "missing_libraries": [],
    }
    library = Path(ort.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
    if library.is_file():
        ort.preload_dlls()
        own = "libonnxruntime_providers_shared.so"
        # cuDNN is loaded by name at run time, so the table of the library does not have it.
        names = [name for name in (*needed_by(library), "libcudnn.so.9") if name != own]
        found["missing_libraries"] = missing(names)
    for provider, name in (("cpu", "CPU"), ("cuda", "CUDA"), ("tensorrt", "Tensorrt")):
        if f"{name}ExecutionProvider" in built:
            found["sessions"][provider] = _one_node(provider)
    return found


def _one_node(provider: Any) -> str:
    """Run one node; return `ok` or why not."""
    import numpy as np

    from dlcvcli.errors import DlcvError
    from dlcvcli.runtime.session import open_session

    try:
        session = open_session(ONE_NODE, provider).session
    except DlcvError as error:
        return error.message
    (result,) = session.run(None, {"x": np.array([1.0, 2.5], np.float32)})
    return "ok" if result.tolist() == [2.0, 5.0] else f"wrong result {result.tolist()}"


def probe_model(path: str) -> dict[str, Any]:
    """Return what an ONNX file is, and how its nodes are spread over the providers."""
    from dlcvcli.runtime.metadata import ModelCard
    from dlcvcli.runtime.session import open_session

    session = open_session(Path(path), count_nodes=True)
    card = ModelCard.from_metadata(session.metadata, path)
    return {
        "model": card.model,
        "task": card.task,
        "classes": len(card.classes),
        "provider": session.provider,
        "provider_reason": session.reason,
        "nodes": session.nodes,
    }


_PROBES: dict[str, Callable[..., dict[str, Any]]] = {
    "torch": probe_torch,
    "onnxruntime": probe_onnxruntime,
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
