"""TensorBoard shows what metrics.jsonl holds, and hides what a killed run wrote too much."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dlcvcli.engine.hooks import Plan
from dlcvcli.runs import RunFolder
from dlcvcli.training import events
from dlcvcli.training.events import EventHook


def read(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def test_a_run_writes_its_records_as_scalars(trained_run: Path) -> None:
    records = list(RunFolder(trained_run).read_metrics())
    found = read(trained_run)
    losses = {event.step: event.value for event in found.Scalars("train/loss")}
    assert losses == pytest.approx({r["step"]: r["loss"] for r in records if "loss" in r})
    val = [r for r in records if r["split"] == "val"]
    scores = [event.value for event in found.Scalars("val/miou")]
    assert scores == pytest.approx([r["miou"] for r in val])
    forest = [event.value for event in found.Scalars("val/iou_per_class/forest")]
    assert forest == pytest.approx([r["iou_per_class"]["forest"] for r in val])


def test_what_lies_behind_the_checkpoint_is_hidden_on_resume(tmp_path: Path) -> None:
    first = EventHook(RunFolder(tmp_path))
    first.on_start(Plan(0, 30, 10, 8))
    for step in (10, 20):
        first.on_log({"step": step, "epoch": 1, "split": "train", "loss": float(step), "lr": None})
    again = EventHook(RunFolder(tmp_path))
    again.on_start(Plan(10, 30, 10, 8))
    again.on_log({"step": 20, "epoch": 2, "split": "train", "loss": 0.5, "lr": None})
    found = read(tmp_path)
    assert [(e.step, e.value) for e in found.Scalars("train/loss")] == [(10, 10.0), (20, 0.5)]
    assert found.Tags()["scalars"] == ["train/loss"]


def test_it_is_left_out_where_tensorboard_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert EventHook.is_possible()
    monkeypatch.setattr(events, "find_spec", lambda name: None)
    assert not EventHook.is_possible()
