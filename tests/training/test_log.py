"""Log lines of records."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcvcli.engine.hooks import Plan
from dlcvcli.runs import RunFolder
from dlcvcli.scores import Score
from dlcvcli.training.log import LineLog, duration, train_line, validation_line

PLAN = Plan(0, 100, 10, 8)
RECORD = {
    "step": 20, "epoch": 2, "split": "train", "loss": 0.51234, "lr": 1e-3,
    "images_per_s": 12.34, "data_wait": 0.021, "eta_s": 125.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (59.6, "1m00s"), (125, "2m05s"), (7620, "2h07m")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


SCORES = (Score("miou", "mIoU"), Score("overall_acc", "pixel accuracy"))


def test_training_line() -> None:
    line = train_line(RECORD, PLAN)
    for part in ("step 20/100", "loss 0.5123", "lr 1.00e-03", "12.3 images/s", "wait 2%", "2m05s"):
        assert part in line
    assert "not finite" in train_line({**RECORD, "loss": None}, PLAN)


def test_validation_line_marks_the_best_and_a_missing_score() -> None:
    record = {"step": 10, "miou": 0.5, "overall_acc": None}
    assert (
        validation_line(record, SCORES, True)
        == "val at step 10: mIoU 0.5000  pixel accuracy –  (best)"
    )


def test_lines_go_to_the_file_and_to_say(tmp_path: Path) -> None:
    lines: list[str] = []
    log = LineLog(RunFolder(tmp_path), SCORES, lines.append)
    log.on_start(PLAN)
    log.on_log(RECORD)
    assert lines[0] == "training: 100 steps, 10 per epoch, batch size 8"
    assert len(lines) == 2
    assert (tmp_path / "log.txt").read_text().count("\n") == 2
