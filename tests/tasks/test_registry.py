"""The registry returns the task of a model, and loads torch only where needed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dlcvcli import extras
from dlcvcli.engine import checkpoint as checkpoints
from dlcvcli.engine.checkpoint import load_checkpoint, save_checkpoint
from dlcvcli.errors import CheckpointError, MissingExtra, ModelFileError, UsageError
from dlcvcli.extras import require_torch
from dlcvcli.runs import ModelRef, RunFolder, find_model
from dlcvcli.tasks.fewshot.load import load_encoder
from dlcvcli.tasks.registry import TASKS, task_named, task_of
from dlcvcli.tasks.segmentation.load import load_predictor


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that no package is installed."""
    monkeypatch.setattr(extras, "find_spec", lambda name: None)


def test_a_task_is_looked_up_by_its_name() -> None:
    assert [task_named(name).name for name in TASKS] == list(TASKS)
    with pytest.raises(UsageError, match="no task is called 'segg'") as caught:
        task_named("segg")
    assert "seg" in caught.value.hint


def test_a_file_runs_under_its_own_runtime(exported_run: Path) -> None:
    run = RunFolder(exported_run)
    checkpoint = load_predictor(find_model(exported_run), provider="cpu")
    assert (checkpoint.backend, checkpoint.provider, checkpoint.precision) == (
        "torch", "cpu", "fp32"
    )  # fmt: skip
    onnx = load_predictor(find_model(run.onnx), provider="cpu")
    assert (onnx.backend, onnx.provider, onnx.precision) == ("onnx", "CPUExecutionProvider", "fp32")
    assert onnx.card.checkpoint_sha256 == checkpoint.card.checkpoint_sha256 != ""
    assert onnx.card.classes == checkpoint.card.classes


def test_a_few_shot_file_runs_under_its_own_runtime(exported_fewshot: Path) -> None:
    run = RunFolder(exported_fewshot)
    checkpoint = load_encoder(find_model(exported_fewshot), provider="cpu")
    onnx = load_encoder(find_model(run.onnx), provider="cpu")
    assert (checkpoint.backend, onnx.backend) == ("torch", "onnx")
    assert onnx.card.distance == checkpoint.card.distance
    assert onnx.card.checkpoint_sha256 == checkpoint.card.checkpoint_sha256 != ""


@pytest.mark.usefixtures("no_torch")
def test_the_task_of_a_run_and_of_a_file_needs_no_torch(
    exported_run: Path, exported_fewshot: Path
) -> None:
    for path, task in ((exported_run, "seg"), (exported_fewshot, "fewshot")):
        assert task_of(find_model(path)).name == task
        assert task_of(find_model(RunFolder(path).onnx)).name == task
        with pytest.raises(MissingExtra, match="reading a PyTorch checkpoint needs torch"):
            task_of(ModelRef("checkpoint", RunFolder(path).best, None))


def test_a_checkpoint_without_a_run_names_its_task(
    trained_run: Path, fewshot_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its tensors are loaded once, by the command.
    monkeypatch.setattr(checkpoints, "_require_checksums", pytest.fail)
    for path, task in ((trained_run, "seg"), (fewshot_run, "fewshot")):
        assert task_of(ModelRef("checkpoint", RunFolder(path).best, None)).name == task
    # Settings that cannot be read or name another task are ignored.
    run = RunFolder(tmp_path)
    for text in ("[", yaml.safe_dump({"task": "detect"})):
        run.config.write_text(text)
        assert task_of(ModelRef("checkpoint", RunFolder(fewshot_run).best, run)).name == "fewshot"


def test_a_checkpoint_of_an_unknown_task_is_refused(trained_run: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(RunFolder(trained_run).best)
    checkpoint["config"]["task"] = "detect"
    path = tmp_path / "other.ckpt"
    save_checkpoint(path, checkpoint)
    with pytest.raises(CheckpointError) as caught:
        task_of(ModelRef("checkpoint", path, None))
    assert caught.value.message == (
        f"{path} is a model of task 'detect'; this dlcv has seg, cls, fewshot"
    )


def test_tensorrt_is_refused_for_a_checkpoint_before_it_is_read(tmp_path: Path) -> None:
    ref = ModelRef("checkpoint", tmp_path / "none.ckpt", None)
    for load in (load_predictor, load_encoder):
        with pytest.raises(UsageError) as caught:
            load(ref, provider="tensorrt")
        assert caught.value.message == (
            "--provider tensorrt runs ONNX files, and the model is a PyTorch checkpoint"
        )
        assert caught.value.hint == "add --onnx"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"none\.onnx does not exist"):
        load_predictor(ModelRef("onnx", tmp_path / "none.onnx", None), provider="cpu")
    with pytest.raises(CheckpointError, match=r"none\.ckpt does not exist"):
        load_predictor(ModelRef("checkpoint", tmp_path / "none.ckpt", None), provider="cpu")


@pytest.mark.usefixtures("no_torch")
def test_the_error_without_torch_names_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(MissingExtra) as caught:
        load_predictor(ModelRef("checkpoint", tmp_path / "none.ckpt", None), provider="cpu")
    assert caught.value.message == (
        "running a PyTorch checkpoint needs torch, which is not installed"
    )
    assert caught.value.hint == "in dlcv's source folder: pip install '.[train]'"
    assert caught.value.status == 1


@pytest.mark.usefixtures("no_torch")
def test_an_onnx_file_needs_no_torch(exported_run: Path) -> None:
    ref = find_model(RunFolder(exported_run).onnx)
    assert load_predictor(ref, provider="cpu").backend == "onnx"


def test_torch_is_required_only_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    require_torch("training")
    looked_up: list[str] = []
    monkeypatch.setattr(extras, "find_spec", looked_up.append)
    with pytest.raises(MissingExtra, match="training needs torch, which is not installed"):
        require_torch("training")
    assert looked_up == ["torch"]


def test_an_unknown_task_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no task is called 'segm'") as caught:
        task_named("segm")
    assert "seg" in caught.value.hint
