"""TensorBoard events have the content of metrics.jsonl, also after a resume."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dlcvcli.engine.hooks import Plan
from dlcvcli.runs import RunFolder
from dlcvcli.training import events
from dlcvcli.training.events import EventHook


def read(folder: Path) -> EventAccumulator:
    events_read = EventAccumulator(str(folder))
    events_read.Reload()
    return events_read


def test_records_are_written_as_scalars(trained_run: Path) -> None:
    records = list(RunFolder(trained_run).read_metrics())
    events_read = read(trained_run)
    losses = {event.step: event.value for event in events_read.Scalars("train/loss")}
    assert losses == pytest.approx({r["step"]: r["loss"] for r in records if "loss" in r})
    val = [r for r in records if r["split"] == "val"]
    scores = [event.value for event in events_read.Scalars("val/miou")]
    assert scores == pytest.approx([r["miou"] for r in val])
    forest = [event.value for event in events_read.Scalars("val/iou_per_class/forest")]
    assert forest == pytest.approx([r["iou_per_class"]["forest"] for r in val])


def test_events_after_the_checkpoint_are_hidden_on_resume(tmp_path: Path) -> None:
    first = EventHook(RunFolder(tmp_path))
    first.on_start(Plan(0, 30, 10, 8))
    for step in (10, 20):
        first.on_log({"step": step, "epoch": 1, "split": "train", "loss": float(step), "lr": None})
    again = EventHook(RunFolder(tmp_path))
    again.on_start(Plan(10, 30, 10, 8))
    again.on_log({"step": 20, "epoch": 2, "split": "train", "loss": 0.5, "lr": None})
    events_read = read(tmp_path)
    assert [(e.step, e.value) for e in events_read.Scalars("train/loss")] == [(10, 10.0), (20, 0.5)]
    assert events_read.Tags()["scalars"] == ["train/loss"]


def test_no_events_without_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    assert EventHook.is_possible()
    monkeypatch.setattr(events, "find_spec", lambda name: None)
    assert not EventHook.is_possible()
