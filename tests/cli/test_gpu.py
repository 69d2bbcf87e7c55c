"""Training, export and evaluation on an NVIDIA GPU: `make test-gpu`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlcvcli.runs import RunFolder
from tests.cli.command import SMALL, dlcv_process

pytestmark = pytest.mark.gpu


def test_train_export_and_eval_on_the_gpu(landcover: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    done = dlcv_process("train", "seg", "--data", landcover, *SMALL, "--out", run.path)
    assert done.returncode == 0, done.stderr
    results = json.loads(run.results.read_text())
    assert results["precision"] == "bf16"
    assert "NVIDIA" in results["device"]
    report = tmp_path / "eval.json"
    done = dlcv_process(
        "eval", run.path, "--data", landcover, "--onnx", "--compare", "--provider", "cuda",
        "--json", report,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(report.read_text())
    assert result["provider"] == "CUDAExecutionProvider"
    assert result["compare"]["argmax_agreement"] >= 0.9999


def test_doctor_passes_on_a_machine_with_a_gpu() -> None:
    result = json.loads(dlcv_process("doctor", "--json", "-").stdout)
    assert [finding for finding in result["findings"] if finding["status"] == "bad"] == []
    sessions = {f["name"]: f["status"] for f in result["findings"] if f["area"] == "onnx"}
    assert sessions["session on cuda"] == "ok"
