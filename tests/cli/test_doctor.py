"""`dlcv doctor` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlcvcli.doctor import examine as module
from dlcvcli.doctor.examine import Examination, Finding
from tests.cli.command import dlcv, dlcv_process


def test_doctor_checks_the_machine_and_a_model(exported_run: Path) -> None:
    done = dlcv("doctor", exported_run, "--json", "-")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["ok"] is True
    areas = [finding["area"] for finding in result["findings"]]
    assert list(dict.fromkeys(areas)) == ["machine", "gpu", "training", "onnx", "model"]
    session = next(f for f in result["findings"] if f["name"] == "session on cpu")
    assert (session["status"], session["value"]) == ("ok", "a test model runs")


def test_without_onnxruntime_the_fix_names_the_install(tmp_path: Path) -> None:
    # A broken installation, which ends every process that imports it.
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('libfoo.so.1 is not found')")
    done = dlcv_process("doctor", "--json", "-", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    result = json.loads(done.stdout)
    (runtime,) = [f for f in result["findings"] if f["name"] == "onnxruntime"]
    assert runtime["status"] == "bad"
    assert "libfoo.so.1 is not found" in runtime["value"]
    assert "pip install 'onnxruntime" in runtime["fix"]


@pytest.fixture
def one_bad_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the examination by one with a good and a bad finding."""
    findings = (
        Finding("machine", "cores", "2"),
        Finding("model", "session on cpu", "no.onnx does not exist", "bad", "name another file"),
    )
    monkeypatch.setattr(module, "examine", lambda model: Examination(findings))


@pytest.mark.usefixtures("one_bad_finding")
def test_a_failed_check_exits_with_1_after_the_table() -> None:
    done = dlcv("doctor")
    assert done.returncode == 1
    assert "session on cpu" in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "1 of 2 checks failed" in line
    assert "no.onnx does not exist" in line
    assert "hint: name another file" in done.stderr


@pytest.mark.usefixtures("one_bad_finding")
def test_a_json_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot write" in dlcv("doctor", "--json", tmp_path / "file" / "x.json").stderr
