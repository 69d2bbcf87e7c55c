"""Findings: failures are bad, other facts are notes, and each failure has a fix."""

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
    "version": "1.31.1", "cuda": "13.0", "cudnn": "9.1", "providers": ["cpu", "cuda", "tensorrt"],
    "missing_libraries": [],
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
    sessions: dict[str, dict[str, str]] | None = None,
    gpu: bool = False,
    listed: list[str] | None = None,
    hidden: bool = False,
    model: dict[str, Any] | None = None,
) -> Examination:
    """Examine a machine with the given answers."""

    def answer(sound: dict[str, Any], changes: dict[str, Any] | None) -> dict[str, Any]:
        return changes if changes and "error" in changes else {**sound, **(changes or {})}

    answers = {
        "torch": answer(TORCH, torch),
        "onnxruntime": answer(RUNTIME, runtime),
        "model": model or {},
    }
    cuda = {} if gpu else {"error": "no driver"}
    sessions_by_provider = {"cpu": {}, "cuda": cuda, "tensorrt": {"error": "libnvinfer is missing"}}
    sessions_by_provider |= sessions or {}

    def ask(what: str, *arguments: str) -> dict[str, Any]:
        return sessions_by_provider[arguments[0]] if what == "session" else answers[what]

    packages = EVERYTHING if installed is None else installed
    monkeypatch.setattr(module, "ask", ask)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "" if hidden else "0")
    monkeypatch.setattr(module, "_installed", packages.get)
    monkeypatch.setattr(module, "driver_obstacle", lambda: None if gpu else "no NVIDIA driver")
    gpus = ["NVIDIA H200, 580.1, 143771 MiB"] if listed is None else listed
    monkeypatch.setattr(module, "_gpus", lambda: gpus)
    return examine(None if model is None else Path(__file__))


def named(examination: Examination, area: str, name: str) -> Finding:
    (finding,) = [f for f in examination.findings if (f.area, f.name) == (area, name)]
    return finding


def test_a_sound_machine_without_a_gpu_is_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    examination = look(monkeypatch)
    assert examination.ok
    assert named(examination, "gpu", "driver").status == "note"
    assert named(examination, "onnx", "session on cuda").status == "note"
    assert named(examination, "onnx", "session on cpu").status == "ok"
    document = json.loads(json.dumps(examination.as_dict()))
    assert document["ok"] is True
    assert {"area", "name", "value", "status", "fix"} == document["findings"][0].keys()


def test_a_sound_machine_with_a_gpu_is_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    examination = look(
        monkeypatch,
        gpu=True,
        torch={"cuda_available": True, "computes": True},
    )
    assert examination.ok
    assert "H200" in named(examination, "gpu", "GPU 0").value
    assert "computation works" in named(examination, "training", "on the GPU").value
    # TensorRT is nobody's default.
    assert named(examination, "onnx", "session on tensorrt").status == "note"


@pytest.mark.parametrize(
    ("changes", "area", "name", "message", "fix"),
    [
        ({"torch": {"error": "undefined symbol"}}, "training", "torch", "symbol", "force"),
        ({"gpu": True, "torch": {"cuda": "13.2"}}, "training", "on the GPU", "does not see", "580"),
        ({"gpu": True, "torch": {"cuda": None}}, "training", "on the GPU", "no CUDA", "'torch>="),
        (
            {"gpu": True, "torch": {"cuda_available": True, "computes": False}},
            "training", "on the GPU", "computation failed", "driver",
        ),
        ({"runtime": {"error": "killed by signal 11"}}, "onnx", "onnxruntime", "11", "uninstall"),
        (
            {"sessions": {"cpu": {"error": "boom"}}},
            "onnx", "session on cpu", "boom", "uninstall",
        ),
        (
            {"gpu": True, "sessions": {"cuda": {"error": "killed by signal 11"}}},
            "onnx", "session on cuda", "signal 11", "580",
        ),
        (
            {"gpu": True, "runtime": {"missing_libraries": ["libcurand.so.10", "libcuda.so.1"]}},
            "onnx", "libraries", "missing for CUDA: libcurand.so.10", "cudnn",
        ),
        ({"gpu": True, "runtime": {"cuda": None}}, "onnx", "CUDA", "cannot use", "uninstall"),
        ({"gpu": True, "torch": {"cuda": "12.8"}}, "onnx", "CUDA", "torch for 12.8", "2.11"),
        (
            {"installed": {**EVERYTHING, "onnxruntime": "1.3"}},
            "onnx", "wheels", "both installed", "pip uninstall -y onnxruntime onnxruntime-gpu &&",
        ),
        ({"installed": {"torch": "2.15"}}, "onnx", "onnxruntime", "not installed", "runtime-gpu"),
        (
            {"installed": {k: v for k, v in EVERYTHING.items() if k != "onnxscript"}},
            "training", "onnxscript", "not installed", "'.[train]'",
        ),
        ({"model": {"error": "x is not an ONNX model"}}, "model", __file__, "not an ONNX", ""),
    ],
)  # fmt: skip
def test_a_failure_is_bad_and_has_a_fix(
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    area: str,
    name: str,
    message: str,
    fix: str,
) -> None:
    examination = look(monkeypatch, **changes)
    finding = named(examination, area, name)
    assert (finding.status, examination.ok) == ("bad", False)
    assert message in finding.value
    assert fix in finding.fix


def test_hidden_gpus_are_not_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = {"cuda": {"error": "no GPU"}}
    assert not look(monkeypatch, gpu=True, sessions=sessions).ok
    examination = look(monkeypatch, gpu=True, sessions=sessions, hidden=True)
    assert examination.ok
    assert named(examination, "gpu", "CUDA_VISIBLE_DEVICES").fix == "unset CUDA_VISIBLE_DEVICES"


def test_a_gpu_that_torch_sees_is_one_without_nvidia_smi(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = [{"name": "NVIDIA H200", "memory_mb": 143771}]
    torch = {"cuda_available": True, "computes": True, "gpus": gpus}
    sessions = {"cuda": {"error": "libcurand.so.10 is not found"}}
    examination = look(monkeypatch, gpu=True, listed=[], torch=torch, sessions=sessions)
    assert named(examination, "onnx", "session on cuda").status == "bad"


def test_versions_of_cuda_and_cudnn_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    examination = look(monkeypatch)
    assert "CUDA 13.2, cuDNN 9.26.0" in named(examination, "training", "torch").value
    assert "CUDA 13.0 and cuDNN 9.1" in named(examination, "onnx", "onnxruntime").value


def test_unknown_libraries_are_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    examination = look(monkeypatch, runtime={"missing_libraries": None})
    assert "libraries" not in {finding.name for finding in examination.findings}


def test_missing_cuda_libraries_without_a_gpu_are_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    examination = look(
        monkeypatch,
        torch={"cuda": "12.8"},
        runtime={"missing_libraries": ["libcurand.so.10", "libcuda.so.1"]},
    )
    assert examination.ok
    libraries = named(examination, "onnx", "libraries")
    assert libraries.status == named(examination, "onnx", "CUDA").status == "note"
    # The driver's own library is no package's to bring.
    assert "libcuda.so.1" not in libraries.value


def test_the_torch_free_install_is_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    examination = look(monkeypatch, installed={"onnxruntime-gpu": "1.31.1"})
    assert examination.ok
    assert named(examination, "training", "torch").fix == module.TRAIN


def test_low_memory_and_disk_space_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_memory_mb", lambda: (8192, 1024))
    examination = look(monkeypatch)
    assert examination.ok
    assert named(examination, "machine", "memory").status == "note"
    assert "batch-size" in named(examination, "machine", "memory").fix


def test_a_model_that_dlcv_did_not_export_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    about = {
        "foreign": "x is an ONNX model, but not one that dlcv exported", "fix": "export the run",
        "provider": "CPUExecutionProvider", "provider_reason": "no CUDA", "nodes": {"CPU": 3},
    }  # fmt: skip
    examination = look(monkeypatch, model=about)
    assert examination.ok
    assert named(examination, "model", Path(__file__).name).status == "note"
    assert named(examination, "model", "nodes").value == "CPU 3 (no CUDA)"


def test_a_models_nodes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    about = {
        "model": "lraspp", "task": "seg", "classes": 7, "provider": "CPUExecutionProvider",
        "provider_reason": "no CUDA", "nodes": {"CPUExecutionProvider": 197},
    }  # fmt: skip
    examination = look(monkeypatch, model=about)
    assert named(examination, "model", "nodes").value == "CPUExecutionProvider 197 (no CUDA)"
