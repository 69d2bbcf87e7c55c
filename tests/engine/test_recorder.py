"""Records cover their interval, totals cover the run; with a clock that the tests set."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from dlcvcli.engine import recorder as module
from dlcvcli.engine.hooks import Hooks, Plan
from dlcvcli.engine.recorder import Recorder, Totals
from dlcvcli.errors import DlcvError
from dlcvcli.runs import RunFolder

PLAN = Plan(start_step=0, total_steps=100, steps_per_epoch=8, batch_size=4)


class Rank:
    """One rank; the others have sums that are larger by one step's loss."""

    def __init__(self, rank: int = 0, world_size: int = 1) -> None:
        self.is_main = rank == 0
        self.world_size = world_size
        self.device = torch.device("cpu")

    def sum(self, value: Tensor) -> Tensor:
        others = self.world_size - 1
        return value + others * (value + 1 / self.world_size)


class Recording(Hooks):
    """Records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def on_start(self, plan: Plan) -> None:
        self.calls.append(("start", plan))

    def on_step(self, step: int) -> None:
        self.calls.append(("step", step))

    def on_log(self, record: Any) -> None:
        self.calls.append(("log", record))

    def on_validation(self, record: Any, is_best: bool) -> None:
        self.calls.append(("validation", record, is_best))


class Clock:
    """A clock that the test moves."""

    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the recorder's clock."""
    clock = Clock()
    window = module._Window
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(
        module, "_Window", lambda *values: replace(window(*values), started=clock.now)
    )
    return clock


@pytest.fixture
def hooks() -> Recording:
    """Return hooks that record their calls."""
    return Recording()


def recorder_at(folder: Path, hooks: Hooks, rank: Rank | None = None) -> Recorder:
    """Return a started recorder for 100 steps."""
    recorder = Recorder(RunFolder(folder), hooks, rank or Rank())  # type: ignore[arg-type]
    recorder.start(PLAN)
    return recorder


def do_steps(recorder: Recorder, clock: Clock, losses: list[float], *, each: float = 1.0) -> None:
    """Record a step for each loss, each taking some seconds."""
    for step, loss in enumerate(losses, 1):
        clock.now += each
        recorder.add({"loss": torch.tensor(loss)})
        recorder.step_done(step)


def test_record_covers_the_steps_since_the_last_one(
    tmp_path: Path, clock: Clock, hooks: Recording
) -> None:
    recorder = recorder_at(tmp_path, hooks)
    do_steps(recorder, clock, [1.0, 2.0, 3.0, 6.0], each=2.0)
    recorder.waited(1.5)
    recorder.waited(0.5)
    recorder.log(4, 0.01)
    (record,) = RunFolder(tmp_path).read_metrics()
    assert record == {
        "step": 4,
        "epoch": 0.5,
        "split": "train",
        "loss": 3.0,
        "lr": 0.01,
        "images_per_s": 2.0,
        "data_wait": 0.25,
        "eta_s": 192.0,
    }
    assert hooks.calls[-1] == ("log", record)
    assert hooks.calls[:2] == [("start", PLAN), ("step", 1)]


def test_pauses_are_not_training_time(tmp_path: Path, clock: Clock, hooks: Recording) -> None:
    recorder = recorder_at(tmp_path, hooks)
    do_steps(recorder, clock, [1.0, 1.0])
    clock.now += 50
    recorder.paused(50.0)
    recorder.log(2, 0.01)
    record = hooks.calls[-1][1]
    assert (record["images_per_s"], record["eta_s"]) == (4.0, 98.0)
    assert recorder.totals == Totals(images=8, seconds=2.0, waited=0.0)


def test_each_record_starts_new_sums(tmp_path: Path, clock: Clock, hooks: Recording) -> None:
    recorder = recorder_at(tmp_path, hooks)
    do_steps(recorder, clock, [8.0, 8.0], each=4.0)
    recorder.waited(4.0)
    recorder.paused(1.0)
    recorder.log(2, 0.01)
    do_steps(recorder, clock, [1.0, 2.0, 3.0])
    recorder.log(5, 0.02)
    first, second = RunFolder(tmp_path).read_metrics()
    assert (first["loss"], first["data_wait"]) == (8.0, round(4 / 7, 4))
    assert (second["loss"], second["data_wait"], second["lr"]) == (2.0, 0.0, 0.02)
    assert second["images_per_s"] == 4.0


def test_other_scalars_of_a_task_are_means_too(
    tmp_path: Path, clock: Clock, hooks: Recording
) -> None:
    recorder = recorder_at(tmp_path, hooks)
    for step, (loss, norm) in enumerate([(1.0, 10.0), (3.0, 30.0)], 1):
        clock.now += 1
        recorder.add({"loss": torch.tensor(loss), "norm": torch.tensor(norm)})
        recorder.step_done(step)
    recorder.log(2, 0.01)
    assert (hooks.calls[-1][1]["loss"], hooks.calls[-1][1]["norm"]) == (2.0, 20.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_mean_is_null_in_the_record(
    tmp_path: Path, clock: Clock, hooks: Recording, bad: float
) -> None:
    recorder = recorder_at(tmp_path, hooks)
    clock.now += 1
    recorder.add({"loss": torch.tensor(bad), "norm": torch.tensor(2.0)})
    recorder.step_done(1)
    recorder.log(1, 0.01)
    text = (tmp_path / "metrics.jsonl").read_text()
    assert '"loss": null, "norm": 2.0' in text
    assert json.loads(text)["images_per_s"] == 4.0


def test_no_record_without_steps(tmp_path: Path, clock: Clock, hooks: Recording) -> None:
    recorder = recorder_at(tmp_path, hooks)
    clock.now += 5
    recorder.log(0, 0.01)
    assert not (tmp_path / "metrics.jsonl").exists()
    assert hooks.calls == [("start", PLAN)]
    assert recorder.totals == Totals()


def test_totals_cover_all_sessions_of_a_run(tmp_path: Path, clock: Clock, hooks: Recording) -> None:
    recorder = Recorder(RunFolder(tmp_path), hooks, Rank())  # type: ignore[arg-type]
    recorder.restore({"totals": {"images": 100, "seconds": 10.0, "waited": 1.0}})
    recorder.start(PLAN)
    assert recorder.totals == Totals(100, 10.0, 1.0)
    do_steps(recorder, clock, [1.0, 1.0], each=3.0)
    recorder.waited(2.0)
    # Before and after a record is written.
    assert recorder.totals == Totals(108, 16.0, 3.0)
    recorder.log(2, 0.01)
    assert recorder.totals == Totals(108, 16.0, 3.0)
    do_steps(recorder, clock, [1.0], each=4.0)
    assert recorder.totals == Totals(112, 20.0, 3.0)
    assert (recorder.totals.images_per_s, recorder.totals.data_wait) == (5.6, 0.15)


@pytest.mark.parametrize("ranks", [1, 2])
def test_sums_since_the_last_record_are_restored_from_a_checkpoint(
    tmp_path: Path, clock: Clock, hooks: Recording, ranks: int
) -> None:
    first = recorder_at(tmp_path, hooks, Rank(world_size=ranks))
    do_steps(first, clock, [1.0, 2.0], each=3.0)
    first.waited(3.0)
    state = first.state()
    assert (state["totals"], state["window"]["steps"]) == (vars(Totals()), 2)

    clock.now += 1000
    second = Recorder(RunFolder(tmp_path), hooks, Rank(world_size=1))  # type: ignore[arg-type]
    second.restore(state)
    clock.now += 1000  # loading the data is not training
    second.start(PLAN)
    assert second.totals == Totals(8, 6.0, 3.0)
    do_steps(second, clock, [6.0], each=3.0)
    second.log(3, 0.01)
    (record,) = RunFolder(tmp_path).read_metrics()
    # The other rank of the first session had larger losses.
    others = (ranks - 1) / ranks / ranks / 3
    assert record["loss"] == pytest.approx(3.0 + others)
    assert (record["images_per_s"], record["data_wait"]) == (round(12 / 9, 3), round(3 / 9, 4))
    assert second.state()["window"] == {"scalars": {}, "steps": 0, "waited": 0.0, "seconds": 0.0}


def test_partial_record_keeps_the_sums(tmp_path: Path, clock: Clock, hooks: Recording) -> None:
    recorder = recorder_at(tmp_path, hooks)
    do_steps(recorder, clock, [1.0, 3.0])
    recorder.log(2, 0.01, partial=True)
    do_steps(recorder, clock, [5.0])
    recorder.log(3, 0.01)
    first, second = RunFolder(tmp_path).read_metrics()
    assert (first["loss"], first["partial"]) == (2.0, True)
    assert second["loss"] == 3.0
    assert "partial" not in second


def test_throughput_of_a_run_without_steps_is_zero() -> None:
    assert (Totals().images_per_s, Totals().data_wait) == (0.0, 0.0)


def test_validation_has_its_own_record(tmp_path: Path, clock: Clock, hooks: Recording) -> None:
    recorder = recorder_at(tmp_path, hooks)
    record = recorder.validation(8, {"miou": 0.5, "overall_acc": None}, is_best=True)
    assert record == {
        "step": 8, "epoch": 1, "split": "val", "miou": 0.5, "overall_acc": None
    }  # fmt: skip
    assert list(RunFolder(tmp_path).read_metrics()) == [record]
    assert hooks.calls[-1] == ("validation", record, True)
    recorder.validation(16, {"miou": 0.4}, is_best=False)
    assert hooks.calls[-1][2] is False
    assert [record["step"] for record in RunFolder(tmp_path).read_metrics()] == [8, 16]


def test_means_are_over_all_ranks(tmp_path: Path, clock: Clock, hooks: Recording) -> None:
    recorder = recorder_at(tmp_path, hooks, Rank(0, world_size=4))
    do_steps(recorder, clock, [1.0, 2.0])
    recorder.log(2, 0.01)
    # 1.5 on this rank and 2.5 on the three others.
    assert hooks.calls[-1][1]["loss"] == pytest.approx(2.25)


def test_other_ranks_neither_write_nor_call_hooks(
    tmp_path: Path, clock: Clock, hooks: Recording
) -> None:
    recorder = recorder_at(tmp_path, hooks, Rank(1, world_size=2))
    do_steps(recorder, clock, [1.0, 2.0])
    recorder.log(2, 0.01)
    record = recorder.validation(2, {"miou": 0.5}, is_best=True)
    assert record["miou"] == 0.5
    assert recorder.totals.images == 8
    assert hooks.calls == []
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_full_disk_is_an_error_with_a_hint(tmp_path: Path, clock: Clock, hooks: Recording) -> None:
    recorder = recorder_at(tmp_path, hooks)
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    do_steps(recorder, clock, [1.0])
    with pytest.raises(DlcvError) as caught:
        recorder.log(1, 0.01)
    file = tmp_path / "metrics.jsonl"
    assert caught.value.message == f"cannot write {file}: No space left on device"
    assert "last good checkpoint stays" in caught.value.hint
    assert "--resume" in caught.value.hint
    # Hooks are not called for a record that was not written.
    assert hooks.calls[-1] == ("step", 1)
