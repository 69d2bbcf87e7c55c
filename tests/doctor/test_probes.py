"""Probes return their results, and report their own errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from dlcvcli.doctor import probes
from dlcvcli.doctor.probes import ONE_NODE, ask
from dlcvcli.runs import RunFolder


def test_the_one_node_model_equals_that_of_the_onnx_package() -> None:
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])], "g", value[:1], value[1:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    assert onnx.load_from_string(ONE_NODE) == model


def test_onnx_runtime_runs_a_node_on_the_cpu() -> None:
    answer = ask("onnxruntime")
    assert answer["providers"][0] == "cpu"
    assert answer["cuda"] is None or isinstance(answer["missing_libraries"], list)
    assert ask("session", "cpu") == {"ok": True}


@pytest.mark.skipif(os.path.exists("/dev/nvidia0"), reason="this machine has a GPU")
def test_a_session_that_fails_is_an_error_result() -> None:
    assert "--provider cuda cannot be used" in ask("session", "cuda")["error"]


def test_the_training_precision_is_reported() -> None:
    answer = ask("torch")
    assert answer["precision"] in {"fp32", "bf16", "fp16"}
    assert answer["torchvision"]
    assert answer["cuda_available"] is bool(answer["gpus"])


def test_a_model_is_counted_node_by_node(exported_run: Path, tmp_path: Path) -> None:
    path = RunFolder(exported_run).onnx
    answer = ask("model", str(path))
    assert (answer["model"], answer["task"], answer["classes"]) == (
        "lraspp_mobilenet_v3_large", "seg", 7,
    )  # fmt: skip
    # Not the file's number: ONNX Runtime joins and splits some before it places them.
    assert answer["nodes"][answer["provider"]] > len(onnx.load(path).graph.node) / 2
    foreign = tmp_path / "foreign.onnx"
    foreign.write_bytes(ONE_NODE)
    answer = ask("model", str(foreign))
    assert "not one that dlcv exported" in answer["foreign"]
    assert sum(answer["nodes"].values()) == 1
    text = tmp_path / "text.onnx"
    text.write_text("hello")
    assert "not an ONNX model" in ask("model", str(text))["error"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("raise SystemExit(4)", "exit status 4"),
        ("import sys; sys.exit('no good')", "no good"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "its process was killed by signal 11",
        ),
    ],
)
def test_a_probe_that_dies_is_an_error_result(
    monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    real = subprocess.run

    def instead(command: list[str], **options: Any) -> Any:
        return real([sys.executable, "-c", script], **options)

    monkeypatch.setattr(probes.subprocess, "run", instead)
    assert ask("torch") == {"error": message}
    assert signal.SIGSEGV == 11


def test_a_probe_that_hangs_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(command: list[str], **options: Any) -> Any:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(probes.subprocess, "run", hangs)
    assert "no answer within" in ask("onnxruntime")["error"]
