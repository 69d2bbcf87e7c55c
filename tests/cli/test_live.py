"""The live view shows the progress of a run and its latest values."""

from __future__ import annotations

import pytest
from rich.progress import Task

from dlcvcli.cli.live import LiveView
from dlcvcli.engine.hooks import Plan, Record
from dlcvcli.scores import Score

TRAIN: Record = {"step": 20, "loss": 0.51234, "images_per_s": 12.34, "data_wait": 0.021}

SCORES = (Score("miou", "mIoU"),)


@pytest.fixture
def view() -> LiveView:
    """A view of a run of 100 steps that is resumed at step 10."""
    view = LiveView(SCORES)
    view.on_start(Plan(start_step=10, total_steps=100, steps_per_epoch=5, batch_size=8))
    return view


def bar(view: LiveView) -> Task:
    """Return the one bar of a view."""
    (task,) = view._progress.tasks
    return task


def test_the_bar_of_a_resumed_run_starts_at_its_step(view: LiveView) -> None:
    task = bar(view)
    assert (task.description, task.completed, task.total) == ("training", 10, 100)
    assert task.fields["note"] == ""


def test_each_step_moves_the_bar(view: LiveView) -> None:
    for step in (11, 12):
        view.on_step(step)
    assert bar(view).completed == 12
    assert not bar(view).finished
    view.on_step(100)
    assert bar(view).finished


def test_the_note_has_the_newest_loss_speed_and_wait(view: LiveView) -> None:
    view.on_log(TRAIN)
    assert bar(view).fields["note"] == "loss 0.5123  12.3 images/s  data wait 2%"
    view.on_log({**TRAIN, "loss": 0.25})
    assert bar(view).fields["note"] == "loss 0.2500  12.3 images/s  data wait 2%"


def test_a_missing_loss_is_a_dash(view: LiveView) -> None:
    view.on_log({**TRAIN, "loss": None})
    assert bar(view).fields["note"].startswith("loss –  12.3 images/s")


def test_a_validation_is_named_until_the_next_step(view: LiveView) -> None:
    view.on_validation_start(20)
    assert bar(view).description == "validating"
    view.on_step(21)
    assert bar(view).description == "training"


def test_the_latest_score_stays_beside_the_loss(view: LiveView) -> None:
    view.on_log(TRAIN)
    view.on_validation({"step": 20, "miou": 0.5}, True)
    assert (
        bar(view).fields["note"] == "loss 0.5123  12.3 images/s  data wait 2%  mIoU 0.5000 (best)"
    )
    view.on_log({**TRAIN, "loss": 0.25})
    assert (
        bar(view).fields["note"] == "loss 0.2500  12.3 images/s  data wait 2%  mIoU 0.5000 (best)"
    )
    view.on_validation({"step": 25, "miou": 0.4}, False)
    assert bar(view).fields["note"] == "loss 0.2500  12.3 images/s  data wait 2%  mIoU 0.4000"


def test_a_missing_score_is_a_dash(view: LiveView) -> None:
    view.on_validation({"step": 20, "miou": None}, False)
    assert bar(view).fields["note"] == "  mIoU –"


def test_lines_are_written_unchanged_above_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    line = "[dim]took 3 of 4 tensors[/dim] from runs/[a]/best.ckpt"
    with LiveView(SCORES) as view:
        view.on_start(Plan(0, 4, 2, 8))
        view.print(line)
        assert view._progress.live.is_started
    assert not view._progress.live.is_started
    assert line in capsys.readouterr().err.splitlines()
