"""Findings: what is bad is told apart from what is worth knowing, and each has its mend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dlcvcli.doctor import examine as module
from dlcvcli.doctor.examine import Examination, Finding, examine

TORCH: dict[str, Any] = {
    "torch": "2.15.0", "torchvision": "0.29.2", "cuda": "13.2", "cudnn": 92600,
    "cuda_available": False, "gpus": [], "precision": "fp32", "precision_reason": "no bf16",
}  # fmt: skip
RUNTIME: dict[str, Any] = {
    "version": "1.31.1", "cuda": "13.0", "built_for": [], "missing_libraries": [],
    "sessions": {"cpu": "ok", "cuda": "no driver"},
}  # fmt: skip
EVERYTHING = {
    "torch": "2.15.0", "lightning-fabric": "2.6", "onnx": "1.2", "onnxscript": "0.7",
    "matplotlib": "3.1", "onnxruntime-gpu": "1.31.1",
}  # fmt: skip


def look(
    monkeypatch: pytest.MonkeyPatch,
    *,
    torch: dict[str, Any] | None = None,
    runtime: dict[str, Any] | None = None,
    installed: dict[str, str] | None = None,
    gpu: bool = False,
    model: dict[str, Any] | None = None,
) -> Examination:
    """Examine a machine that answers as told."""

    def answer(sound: dict[str, Any], changes: dict[str, Any] | None) -> dict[str, Any]:
        return changes if changes and "error" in changes else {**sound, **(changes or {})}

    answers = {
        "torch": answer(TORCH, torch),
        "onnxruntime": answer(RUNTIME, runtime),
        "model": model or {},
    }
    packages = EVERYTHING if installed is None else installed
    monkeypatch.setattr(module, "ask", lambda what, *arguments: answers[what])
    monkeypatch.setattr(module, "_installed", packages.get)
    monkeypatch.setattr(module, "_driver", lambda: None if gpu else "no NVIDIA driver")
    monkeypatch.setattr(module, "_gpus", lambda: ["NVIDIA H200, 580.1, 143771 MiB"])
    return examine(None if model is None else Path(__file__))


def named(examination: Examination, area: str, name: str) -> Finding:
    (found,) = [f for f in examination.findings if (f.area, f.name) == (area, name)]
    return found


def test_a_sound_machine_without_a_gpu_is_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(monkeypatch)
    assert found.ok
    assert named(found, "gpu", "driver").status == "note"
    assert named(found, "onnx", "session on cuda").status == "note"
    assert named(found, "onnx", "session on cpu").status == "ok"
    said = json.loads(json.dumps(found.as_dict()))
    assert said["ok"] is True
    assert {"area", "name", "value", "status", "mend"} == said["findings"][0].keys()


def test_a_sound_machine_with_a_gpu_is_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(
        monkeypatch,
        gpu=True,
        torch={"cuda_available": True, "computes": True},
        runtime={"sessions": {"cpu": "ok", "cuda": "ok", "tensorrt": "libnvinfer is missing"}},
    )
    assert found.ok
    assert "H200" in named(found, "gpu", "GPU 0").value
    assert "computes" in named(found, "training", "on the GPU").value
    # TensorRT is nobody's default.
    assert named(found, "onnx", "session on tensorrt").status == "note"


@pytest.mark.parametrize(
    ("changes", "area", "name", "says", "mend"),
    [
        ({"torch": {"error": "undefined symbol"}}, "training", "torch", "symbol", "force"),
        ({"gpu": True, "torch": {"cuda": "13.2"}}, "training", "on the GPU", "does not see", "580"),
        ({"gpu": True, "torch": {"cuda": None}}, "training", "on the GPU", "no CUDA", "[train]"),
        (
            {"gpu": True, "torch": {"cuda_available": True, "computes": False}},
            "training", "on the GPU", "does not compute", "driver",
        ),
        ({"runtime": {"error": "it died of signal 11"}}, "onnx", "onnxruntime", "11", "uninstall"),
        ({"runtime": {"sessions": {"cpu": "boom"}}}, "onnx", "session on cpu", "boom", "uninstall"),
        (
            {"gpu": True, "runtime": {"sessions": {"cpu": "ok", "cuda": "boom"}}},
            "onnx", "session on cuda", "boom", "uninstall",
        ),
        (
            {"gpu": True, "runtime": {"missing_libraries": ["libcurand.so.10", "libcuda.so.1"]}},
            "onnx", "libraries", "missing for CUDA: libcurand.so.10", "cudnn",
        ),
        ({"gpu": True, "runtime": {"cuda": None}}, "onnx", "CUDA", "cannot use it", "uninstall"),
        ({"gpu": True, "torch": {"cuda": "12.8"}}, "onnx", "CUDA", "torch for 12.8", "2.11"),
        (
            {"installed": {**EVERYTHING, "onnxruntime": "1.3"}},
            "onnx", "wheels", "both installed", "pip uninstall -y onnxruntime onnxruntime-gpu &&",
        ),
        ({"installed": {"torch": "2.15"}}, "onnx", "onnxruntime", "not installed", "runtime-gpu"),
        (
            {"installed": {k: v for k, v in EVERYTHING.items() if k != "onnxscript"}},
            "training", "onnxscript", "not installed", "dlcv[train]",
        ),
        ({"model": {"error": "x is not an ONNX model"}}, "model", __file__, "not an ONNX", ""),
    ],
)  # fmt: skip
def test_what_keeps_it_from_working_is_bad_and_has_a_mend(
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    area: str,
    name: str,
    says: str,
    mend: str,
) -> None:
    examination = look(monkeypatch, **changes)
    found = named(examination, area, name)
    assert (found.status, examination.ok) == ("bad", False)
    assert says in found.value
    assert mend in found.mend


def test_without_a_gpu_what_only_cuda_needs_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(
        monkeypatch,
        torch={"cuda": "12.8"},
        runtime={"missing_libraries": ["libcurand.so.10", "libcuda.so.1"]},
    )
    assert found.ok
    libraries = named(found, "onnx", "libraries")
    assert libraries.status == named(found, "onnx", "CUDA").status == "note"
    # The driver's own library is no package's to bring.
    assert "libcuda.so.1" not in libraries.value


def test_the_onnx_road_alone_is_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(monkeypatch, installed={"onnxruntime-gpu": "1.31.1"})
    assert found.ok
    assert named(found, "training", "torch").mend == module.TRAIN


def test_little_room_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_memory_mb", lambda: (8192, 1024))
    found = look(monkeypatch)
    assert found.ok
    assert named(found, "machine", "memory").status == "note"
    assert "batch-size" in named(found, "machine", "memory").mend


def test_a_models_nodes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    about = {
        "model": "lraspp", "task": "seg", "classes": 7, "provider": "CPUExecutionProvider",
        "provider_reason": "no CUDA", "nodes": {"CPUExecutionProvider": 197},
    }  # fmt: skip
    found = look(monkeypatch, model=about)
    assert named(found, "model", "nodes").value == "CPUExecutionProvider 197 (no CUDA)"
