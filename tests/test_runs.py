"""Run folders: creation, opening, records and models; also after a crash."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dlcvcli.errors import DataError, UsageError
from dlcvcli.locks import locked
from dlcvcli.runs import ModelRef, RunFolder, default_run_path, find_model


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Return a started run without a checkpoint."""
    run = RunFolder(tmp_path / "run")
    with locked(run.path):
        run.create()
    run.config.write_text("task: seg\n")
    return run


def _touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_paths_of_a_run() -> None:
    run = RunFolder(Path("r"))
    assert [
        path.relative_to("r").as_posix()
        for path in (
            *(run.config, run.environment, run.log, run.metrics, run.results, run.last),
            *(run.best, run.snapshots, run.figures, run.onnx, run.certificate),
        )
    ] == [
        *("config.yaml", "environment.json", "log.txt", "metrics.jsonl", "results.json"),
        *("checkpoints/last.ckpt", "checkpoints/best.ckpt", "snapshots", "figures"),
        *("model.onnx", "certificate.json"),
    ]


def test_paths_create_nothing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert not run.holds_run
    assert not run.path.exists()


def test_default_path_has_time_and_model() -> None:
    assert re.fullmatch(r"runs/\d{8}-\d{6}-fcn32s", default_run_path("fcn32s").as_posix())


# -- a new run -----------------------------------------------------------------------------------


def test_new_and_unrelated_folders_can_be_used(tmp_path: Path) -> None:
    RunFolder(tmp_path / "new" / "deep").create()
    (tmp_path / "old").mkdir()
    _touch(tmp_path / "old" / "notes.txt")
    RunFolder(tmp_path / "old").create()
    assert (tmp_path / "new" / "deep" / "checkpoints").is_dir()
    assert (tmp_path / "old" / "notes.txt").exists()


@pytest.mark.parametrize("left", ["config.yaml", "checkpoints/last.ckpt"])
def test_folder_that_contains_a_run_is_refused(tmp_path: Path, left: str) -> None:
    _touch(tmp_path / left)
    with pytest.raises(UsageError, match="already contains a run") as caught:
        RunFolder(tmp_path).create()
    assert f"--resume {tmp_path}" in caught.value.hint


@pytest.mark.parametrize("left", ["", "config.yaml", "log.txt", "checkpoints/.last.ckpt.tmp"])
def test_folder_of_a_training_killed_before_its_first_checkpoint_can_be_used(
    tmp_path: Path, left: str
) -> None:
    run = RunFolder(tmp_path)
    run.checkpoints.mkdir()
    _touch(tmp_path / ".lock")
    if left:
        _touch(tmp_path / left)
    with pytest.raises(DataError, match="no checkpoint yet") as caught:
        run.require_started()
    assert "command that started it" in caught.value.hint
    run.create()
    assert not run.log.exists()


def test_folder_of_checkpoints_without_a_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    _touch(tmp_path / "log.txt")
    with pytest.raises(UsageError, match="already contains a run"):
        RunFolder(tmp_path).create()


@pytest.mark.parametrize("left", ["metrics.jsonl", "results.json", "checkpoints/best.ckpt"])
def test_run_without_checkpoints_is_still_a_run(tmp_path: Path, left: str) -> None:
    run = RunFolder(tmp_path)
    run.create()
    _touch(run.config)
    _touch(tmp_path / left)
    assert run.holds_run
    assert RunFolder.open(tmp_path) == run


def test_file_instead_of_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a file"):
        RunFolder(_touch(tmp_path / "run")).require_free()
    with pytest.raises(UsageError, match="run is a file"):
        RunFolder(tmp_path / "run" / "below" / "it").require_free()


def test_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    _touch(tmp_path / "file")
    with pytest.raises(UsageError, match="file is a file, not a folder"):
        RunFolder(tmp_path / "file" / "run").create()


# -- reading a run -------------------------------------------------------------------------------


def test_errors_of_opening_a_run(tmp_path: Path, run: RunFolder) -> None:
    assert RunFolder.open(run.path) == run
    with pytest.raises(DataError, match="does not exist"):
        RunFolder.open(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"contains no config\.yaml"):
        RunFolder.open(tmp_path)


def test_config_is_read_as_plain_types(run: RunFolder) -> None:
    assert run.read_config() == {"task": "seg"}


@pytest.mark.parametrize("content", [b"a: [", b"- 1", b"", b"\xff\xfe\x00"])
def test_config_that_is_not_a_mapping_is_refused(run: RunFolder, content: bytes) -> None:
    run.config.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(run.config))) as caught:
        run.read_config()
    assert "\n" not in caught.value.message


def _write_metrics(run: RunFolder, steps: list[int]) -> list[dict[str, Any]]:
    records = [
        {"step": step, "epoch": step / 10, "split": "train", "loss": step / 3} for step in steps
    ]
    run.metrics.write_text("".join(json.dumps(record) + "\n" for record in records))
    return records


def test_metrics_are_read_line_by_line(run: RunFolder) -> None:
    assert list(run.read_metrics()) == []
    records = _write_metrics(run, [10, 20])
    assert list(run.read_metrics()) == records


@pytest.mark.parametrize("truncated", ['{"step": 30, "lo', "{", "\0\0\0\0"])
def test_truncated_last_line_is_left_out(run: RunFolder, truncated: str) -> None:
    records = _write_metrics(run, [10, 20])
    with run.metrics.open("a") as file:
        file.write(truncated)
    assert list(run.read_metrics()) == records
    run.drop_metrics_after(1000)
    assert run.metrics.read_text() == "".join(json.dumps(record) + "\n" for record in records)


@pytest.mark.parametrize(
    "line",
    [
        *("null", "[]", "5", "{}", '{"loss": 1', "\0\0", "", "[" * 100_000, "\xff"),
        *('{"epoch": 1, "split": "val"}', '{"step": "3", "epoch": 1, "split": "val"}'),
        *('{"step": 3, "split": "val"}', '{"step": 3, "epoch": 1, "split": 5}'),
    ],
)
def test_invalid_record_is_refused_with_file_and_line(run: RunFolder, line: str) -> None:
    _write_metrics(run, [10, 20])
    text = run.metrics.read_text()
    run.metrics.write_bytes(f"{text}{line}\n{text}".encode("latin-1"))
    for read in (
        lambda: list(run.read_metrics()),
        lambda: run.drop_metrics_after(5),
        run.steps_per_epoch,
    ):
        with pytest.raises(DataError, match=r"metrics\.jsonl, line 3, is not a record") as caught:
            read()
        assert "\n" not in caught.value.message
    assert run.metrics.read_bytes().count(b"\n") == 5


@pytest.mark.parametrize("line", ["null", "[]", '{"step": 5}'])
def test_complete_last_line_that_is_not_a_record_is_refused(run: RunFolder, line: str) -> None:
    _write_metrics(run, [10])
    with run.metrics.open("a") as file:
        file.write(line)
    with pytest.raises(DataError, match="line 2"):
        list(run.read_metrics())


@pytest.mark.parametrize(
    ("step", "kept"), [(0, []), (19, [10]), (20, [10, 20, 20]), (99, [10, 20, 20, 30])]
)
def test_records_after_a_step_are_dropped(run: RunFolder, step: int, kept: list[int]) -> None:
    records = _write_metrics(run, [10, 20, 20, 30])
    run.drop_metrics_after(step)
    assert list(run.read_metrics()) == records[: len(kept)]


def test_dropping_records_without_metrics_changes_nothing(run: RunFolder) -> None:
    run.drop_metrics_after(5)
    assert list(run.read_metrics()) == []


# -- MODEL on a command line ---------------------------------------------------------------------


def test_model_of_a_run_is_its_best_or_last_checkpoint(run: RunFolder) -> None:
    with pytest.raises(DataError, match="has no checkpoint yet") as caught:
        find_model(run.path)
    assert "command that started it" in caught.value.hint
    run.metrics.touch()
    with pytest.raises(DataError, match=r"has no checkpoint: .*checkpoints is empty"):
        find_model(run.path)
    _touch(run.last)
    assert find_model(run.path) == ModelRef("checkpoint", run.last, run)
    _touch(run.best)
    assert find_model(run.path) == ModelRef("checkpoint", run.best, run)


def test_files_of_a_run_refer_to_their_run(run: RunFolder) -> None:
    assert find_model(_touch(run.onnx)) == ModelRef("onnx", run.onnx, run)
    assert find_model(_touch(run.last)) == ModelRef("checkpoint", run.last, run)


def test_relative_path_refers_to_its_run(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    _touch(run.best)
    monkeypatch.chdir(run.checkpoints)
    model = find_model(Path("best.ckpt"))
    assert (model.path, model.run) == (Path("best.ckpt"), run)


@pytest.mark.parametrize(("name", "kind"), [("m.onnx", "onnx"), ("m.ckpt", "checkpoint")])
def test_file_outside_a_run_has_no_run(tmp_path: Path, name: str, kind: str) -> None:
    path = _touch(tmp_path / "shelf" / name)
    model = find_model(path)
    assert (model.kind, model.path, model.run) == (kind, path, None)


def test_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist") as caught:
        find_model(tmp_path / "m.onnx")
    assert ".onnx" in caught.value.hint


def test_other_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a run folder"):
        find_model(tmp_path)


@pytest.mark.parametrize("name", ["weights.pth", "model", "config.yaml"])
def test_other_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"ends neither in \.ckpt nor in \.onnx"):
        find_model(_touch(tmp_path / name))


def test_steps_per_epoch_from_the_records(trained_run: Path, tmp_path: Path) -> None:
    assert RunFolder(trained_run).steps_per_epoch() == 3
    assert RunFolder(tmp_path).steps_per_epoch() is None
