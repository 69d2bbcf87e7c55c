"""The training loop: exact resume, complete checkpoints and records, no side effects."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from dlcvcli.data.loader import TrainingBatches
from dlcvcli.data.sampler import BatchPlan
from dlcvcli.engine.checkpoint import load_checkpoint
from dlcvcli.engine.fit import seed_step, total_steps
from dlcvcli.engine.hooks import Hooks
from dlcvcli.errors import CheckpointError, NonFiniteLoss, UsageError
from dlcvcli.runs import RunFolder
from tests.engine.tiny import IMAGES, Noise, TinyTask, tiny_fit, tiny_settings

ROOT = Path(__file__).parents[2]


def equal_states(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture
def uninterrupted(tmp_path: Path) -> dict[str, Any]:
    """Return the weights after 12 uninterrupted steps."""
    task, _, _ = tiny_fit(tmp_path / "uninterrupted", settings=tiny_settings(steps=12))
    return task.state_dict()


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_and_resumed_run_has_bit_identical_weights(
    tmp_path: Path, uninterrupted: dict[str, Any], workers: int
) -> None:
    # Saves every 3 steps; is killed after step 7, in the second epoch of 5 steps.
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {str(ROOT)!r})
        from pathlib import Path
        from dlcvcli.engine.hooks import Hooks
        from tests.engine.tiny import tiny_fit, tiny_settings

        class Kill(Hooks):
            def on_step(self, step):
                if step == 7:
                    os.kill(os.getpid(), signal.SIGKILL)

        import torch
        torch.set_num_threads(1)
        settings = tiny_settings(steps=12, save_every=3, workers={workers})
        tiny_fit(Path({str(tmp_path / "run")!r}), settings=settings, hooks=Kill())
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert killed.returncode == -signal.SIGKILL
    checkpoint = load_checkpoint(RunFolder(tmp_path / "run").last)
    assert checkpoint["step"] == 6
    task, result, _ = tiny_fit(
        tmp_path / "run",
        settings=tiny_settings(steps=12, save_every=3, workers=workers),
        resume=checkpoint,
    )
    assert result.step == 12
    assert equal_states(task.state_dict(), uninterrupted)


class Interrupt(Hooks):
    """Ends a run after a step, as a kill would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, step: int) -> None:
        if step == self.step:
            raise KeyboardInterrupt


def records_of(run: RunFolder) -> list[dict[str, Any]]:
    """Return a run's records without what depends on the clock."""
    timed = {"images_per_s", "data_wait", "eta_s"}
    return [{k: v for k, v in r.items() if k not in timed} for r in run.read_metrics()]


@pytest.mark.parametrize("step", [2, 4, 7, 11])
def test_records_of_killed_and_resumed_run_equal_those_of_uninterrupted_run(
    tmp_path: Path, step: int
) -> None:
    settings = tiny_settings(steps=12, save_every=3, log_every=5)
    _, _, uninterrupted = tiny_fit(tmp_path / "uninterrupted", settings=settings)
    with pytest.raises(KeyboardInterrupt):
        tiny_fit(tmp_path / "run", settings=settings, hooks=Interrupt(step))
    run = RunFolder(tmp_path / "run")
    tiny_fit(run.path, settings=settings, resume=load_checkpoint(run.last))
    assert records_of(run) == records_of(uninterrupted)


def test_records_of_stopped_and_resumed_run_equal_those_of_uninterrupted_run(
    tmp_path: Path,
) -> None:
    _, _, uninterrupted = tiny_fit(
        tmp_path / "uninterrupted", settings=tiny_settings(steps=12, log_every=5)
    )
    stopping = tiny_settings(steps=12, log_every=5, max_time=1e-6)
    _, result, run = tiny_fit(tmp_path / "run", settings=stopping)
    # The incomplete interval has a record too.
    assert [r["step"] for r in run.read_metrics() if r.get("partial")] == [result.step] == [1]
    tiny_fit(
        run.path,
        settings=tiny_settings(steps=12, log_every=5),
        resume=load_checkpoint(run.last),
    )
    assert records_of(run) == records_of(uninterrupted)


def test_optimiser_state_of_resumed_run_is_bit_identical(tmp_path: Path) -> None:
    _, _, uninterrupted = tiny_fit(tmp_path / "uninterrupted", settings=tiny_settings(steps=12))
    _, _, run = tiny_fit(tmp_path / "run", settings=tiny_settings(steps=12, max_time=1e-6))
    tiny_fit(run.path, settings=tiny_settings(steps=12), resume=load_checkpoint(run.last))
    one, other = (load_checkpoint(folder.last)["optimizer"] for folder in (uninterrupted, run))
    assert one["param_groups"] == other["param_groups"]
    assert one["state"].keys() == other["state"].keys() != set()
    for key, state in one["state"].items():
        assert equal_states(state, other["state"][key])
        assert {"exp_avg", "exp_avg_sq", "step"} <= state.keys()


def test_run_killed_in_its_first_step_can_be_resumed(
    tmp_path: Path, uninterrupted: dict[str, Any]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        tiny_fit(tmp_path / "run", settings=tiny_settings(steps=12), hooks=Interrupt(1))
    checkpoint = load_checkpoint(RunFolder(tmp_path / "run").last)
    assert checkpoint["step"] == 0
    # Different initial weights are replaced by those of the checkpoint.
    torch.manual_seed(99)
    task, _, _ = tiny_fit(
        tmp_path / "run", settings=tiny_settings(steps=12), resume=checkpoint, task=TinyTask()
    )
    assert equal_states(task.state_dict(), uninterrupted)


def test_extended_run_saves_its_new_number_of_steps_at_once(tmp_path: Path) -> None:
    _, _, run = tiny_fit(tmp_path / "run", settings=tiny_settings(steps=4))
    longer = tiny_settings(steps=8)
    with pytest.raises(KeyboardInterrupt):
        tiny_fit(run.path, settings=longer, resume=load_checkpoint(run.last), hooks=Interrupt(5))
    checkpoint = load_checkpoint(run.last)
    assert (checkpoint["step"], checkpoint["config"]["train"]["steps"]) == (4, 8)


def test_validation_interrupted_by_a_signal_is_repeated_on_resume(tmp_path: Path) -> None:
    calls = 0

    def validate(task: Any, stop: Any) -> dict[str, float] | None:
        nonlocal calls
        calls += 1
        if calls == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return None if stop() else {"miou": calls / 10}

    settings = tiny_settings(steps=6, val_every=2)
    _, result, run = tiny_fit(tmp_path, settings=settings, validate=validate)
    assert (result.ended, result.step) == ("signal", 4)
    checkpoint = load_checkpoint(run.last)
    assert (checkpoint["step"], checkpoint["last"]["step"]) == (4, 2)
    _, result, _ = tiny_fit(tmp_path, settings=settings, validate=validate, resume=checkpoint)
    assert result.ended == "finished"
    assert [r["step"] for r in run.read_metrics() if r["split"] == "val"] == [2, 4, 6]


def test_signal_in_the_last_validation_leaves_the_run_unfinished(tmp_path: Path) -> None:
    def validate(task: Any, stop: Any) -> dict[str, float] | None:
        if not stop() and first:
            os.kill(os.getpid(), signal.SIGTERM)
        return None if stop() else {"miou": 0.5}

    first = True
    settings = tiny_settings(steps=4)
    _, result, run = tiny_fit(tmp_path, settings=settings, validate=validate)
    assert (result.ended, result.signal, result.step) == ("signal", signal.SIGTERM, 4)
    first = False
    again = load_checkpoint(run.last)
    _, result, _ = tiny_fit(tmp_path, settings=settings, validate=validate, resume=again)
    assert (result.ended, result.best.step) == ("finished", 4)
    assert run.best.is_file()


def test_missing_best_checkpoint_is_linked_on_resume(tmp_path: Path) -> None:
    settings = tiny_settings(steps=4)
    tiny_fit(tmp_path, settings=settings, validate=lambda task, stop: {"miou": 0.5})
    run = RunFolder(tmp_path)
    run.best.unlink()
    tiny_fit(tmp_path, settings=settings, resume=load_checkpoint(run.last))
    assert load_checkpoint(run.best)["step"] == 4


def test_non_finite_weights_do_not_replace_the_last_checkpoint(tmp_path: Path) -> None:
    class Diverging(TinyTask):
        def after_step(self, step: int, total_steps: int) -> None:
            if step == 5:
                self.net[0].weight.data[0] = float("inf")

    with pytest.raises(NonFiniteLoss, match="weights after step 6 are not finite") as caught:
        tiny_fit(tmp_path, settings=tiny_settings(steps=12, save_every=2), task=Diverging())
    assert "checkpoints are intact" in caught.value.hint
    assert load_checkpoint(RunFolder(tmp_path).last)["step"] == 4


def test_records_contain_means_of_the_scalars_that_a_task_reports(tmp_path: Path) -> None:
    class Reporting(TinyTask):
        def forward(self, batch: Any, normaliser: Any) -> Any:
            outcome = super().forward(batch, normaliser)
            outcome["log"] = {"images": torch.tensor(float(len(batch["images"])))}
            return outcome

    settings = tiny_settings(steps=4, log_every=2)
    optim = settings.optim.model_copy(update={"accumulate": 2})
    _, _, run = tiny_fit(
        tmp_path, settings=settings.model_copy(update={"optim": optim}), task=Reporting()
    )
    assert [record["images"] for record in run.read_metrics()] == [2.0, 2.0]


def test_throughput_covers_all_sessions_of_a_run(tmp_path: Path) -> None:
    _, first, run = tiny_fit(tmp_path, settings=tiny_settings(steps=12, max_time=1e-6))
    assert first.totals.images == 4
    _, second, _ = tiny_fit(
        tmp_path, settings=tiny_settings(steps=12), resume=load_checkpoint(run.last)
    )
    assert second.totals.images == 48
    assert second.totals.seconds > first.totals.seconds
    assert second.totals.images_per_s == 48 / second.totals.seconds


def test_number_of_workers_does_not_change_weights(
    tmp_path: Path, uninterrupted: dict[str, Any]
) -> None:
    task, _, _ = tiny_fit(tmp_path / "run", settings=tiny_settings(steps=12, workers=2))
    assert equal_states(task.state_dict(), uninterrupted)


def test_validation_and_snapshots_do_not_change_weights(
    tmp_path: Path, uninterrupted: dict[str, Any]
) -> None:
    class Snapshots(Hooks):
        def wants_snapshot(self, step: int) -> bool:
            return True

        def on_snapshot(self, step: int, task: Any) -> None:
            torch.rand(3)
            assert not task.training

    def validate(task: Any, stop: Any) -> dict[str, float]:
        torch.rand(5)
        task.net(torch.rand(2, 3, 8, 8))
        return {"miou": 0.5, "overall_acc": 0.5}

    task, _, _ = tiny_fit(
        tmp_path / "run",
        settings=tiny_settings(steps=12, val_every=2),
        hooks=Snapshots(),
        validate=validate,
    )
    assert equal_states(task.state_dict(), uninterrupted)


def test_accumulated_gradient_is_that_of_the_complete_batch(tmp_path: Path) -> None:
    weights = []
    for parts in (1, 2, 4):
        settings = tiny_settings(steps=6)
        optim = settings.optim.model_copy(update={"accumulate": parts})
        torch.manual_seed(0)
        task, _, _ = tiny_fit(
            tmp_path / str(parts),
            settings=settings.model_copy(update={"optim": optim}),
            # Without dropout and BatchNorm; parts have different numbers of ignored pixels.
            task=TinyTask(dropout=0.0, batch_norm=False),
        )
        weights.append(task.state_dict())
    for other in weights[1:]:
        for name, value in weights[0].items():
            torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-5)


def test_batch_that_cannot_be_split_evenly_is_refused(tmp_path: Path) -> None:
    settings = tiny_settings(steps=2)
    optim = settings.optim.model_copy(update={"accumulate": 3})
    with pytest.raises(UsageError, match="cannot be split evenly over 3 parts"):
        tiny_fit(tmp_path, settings=settings.model_copy(update={"optim": optim}))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signal_stops_after_the_step_and_saves(tmp_path: Path, number: signal.Signals) -> None:
    class Signal(Hooks):
        def on_step(self, step: int) -> None:
            if step == 4:
                os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    _, result, run = tiny_fit(
        tmp_path, settings=tiny_settings(steps=12, save_every=100), hooks=Signal()
    )
    assert (result.ended, result.signal, result.step) == ("signal", number, 4)
    assert load_checkpoint(run.last)["step"] == 4
    assert signal.getsignal(number) is before


def test_max_time_saves_and_stops(tmp_path: Path, uninterrupted: dict[str, Any]) -> None:
    _, result, run = tiny_fit(tmp_path, settings=tiny_settings(steps=12, max_time=1e-6))
    assert (result.ended, result.signal, result.step) == ("max_time", 0, 1)
    task, result, _ = tiny_fit(
        tmp_path, settings=tiny_settings(steps=12), resume=load_checkpoint(run.last)
    )
    assert result.ended == "finished"
    assert equal_states(task.state_dict(), uninterrupted)


def test_best_checkpoint_changes_only_for_a_strictly_better_score(tmp_path: Path) -> None:
    scores = iter([0.2, 0.5, 0.5, 0.4])
    _, result, run = tiny_fit(
        tmp_path,
        settings=tiny_settings(steps=8, val_every=2, keep=2),
        validate=lambda task, stop: {"miou": next(scores), "overall_acc": 0.0},
    )
    assert (result.best.value, result.best.step) == (0.5, 4)
    assert load_checkpoint(run.best)["step"] == 4
    assert load_checkpoint(run.last)["step"] == 8
    assert sorted(p.name for p in run.checkpoints.glob("step-*")) == [
        "step-0000006.ckpt",
        "step-0000008.ckpt",
    ]


def test_records_have_step_epoch_and_split_and_are_dropped_on_resume(tmp_path: Path) -> None:
    settings = tiny_settings(steps=8, save_every=4, log_every=2)
    _, _, run = tiny_fit(tmp_path, settings=settings)
    records = list(run.read_metrics())
    assert [r["step"] for r in records] == [2, 4, 6, 8]
    assert [r["epoch"] for r in records] == [0.4, 0.8, 1.2, 1.6]
    assert {r["split"] for r in records} == {"train"}
    checkpoint = load_checkpoint(run.last)
    checkpoint["step"] = 4
    tiny_fit(tmp_path, settings=settings, resume=checkpoint)
    assert [r["step"] for r in run.read_metrics()] == [2, 4, 6, 8]
    assert all(json.dumps(r) for r in records)


def test_non_finite_loss_stops_before_the_weights_change(tmp_path: Path) -> None:
    class Poisoned(TinyTask):
        def forward(self, batch: Any, normaliser: Any) -> Any:
            outcome = super().forward(batch, normaliser)
            if torch.equal(batch["images"], sixth["images"]):
                outcome["loss"] = outcome["loss"] * float("nan")
            return outcome

    sixth = next(TrainingBatches(Noise(), BatchPlan(IMAGES, 4, 0)).steps(5, 6))
    with pytest.raises(NonFiniteLoss, match="step 6") as caught:
        tiny_fit(tmp_path, settings=tiny_settings(steps=12, save_every=2), task=Poisoned())
    assert "clip_norm" in caught.value.hint
    saved = torch.load(tmp_path / "nonfinite-step-6.pt", weights_only=True)
    assert torch.equal(saved["images"], sixth["images"])
    checkpoint = load_checkpoint(RunFolder(tmp_path).last)
    assert checkpoint["step"] == 4
    assert all(torch.isfinite(v).all() for v in checkpoint["task"].values())


def test_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    _, _, run = tiny_fit(tmp_path, settings=tiny_settings(steps=2))
    checkpoint = load_checkpoint(run.last)
    with pytest.raises(CheckpointError, match="does not fit"):
        tiny_fit(
            tmp_path,
            settings=tiny_settings(steps=4),
            resume=checkpoint,
            task=TinyTask(batch_norm=False),
        )


def test_total_steps_from_steps_or_epochs() -> None:
    assert total_steps(tiny_settings(steps=7), 5) == 7
    assert total_steps(tiny_settings(epochs=3), 5) == 15


def test_seed_of_a_step_depends_on_seed_step_and_rank() -> None:
    draws = []
    for key in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)):
        seed_step(*key)
        draws.append(torch.rand(4))
    assert torch.equal(draws[0], draws[4])
    for other in draws[1:4]:
        assert not torch.equal(draws[0], other)
