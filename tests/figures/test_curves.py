"""Curves of runs, from metrics.jsonl."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlcvcli.errors import DataError
from dlcvcli.figures.curves import curves
from dlcvcli.runs import RunFolder
from dlcvcli.scores import Score

MIOU = Score("miou", "mIoU")


def run_with(folder: Path, scores: list[float], losses: int = 4) -> RunFolder:
    folder.mkdir()
    records = [
        {"step": i, "epoch": i / 2, "split": "train", "loss": 1 / (i + 1)} for i in range(losses)
    ]
    records += [
        {"step": i, "epoch": i, "split": "val", "miou": score} for i, score in enumerate(scores)
    ]
    run = RunFolder(folder)
    run.metrics.write_text("".join(json.dumps(record) + "\n" for record in records))
    return run


def test_runs_share_the_axes_and_best_scores_are_marked(tmp_path: Path) -> None:
    runs = {"a": run_with(tmp_path / "a", [0.1, 0.6, 0.5]), "b": run_with(tmp_path / "b", [0.2])}
    figure = curves(runs, MIOU)
    left, right = figure.axes
    assert len(left.lines) == 2
    assert [line.get_ydata().tolist() for line in right.lines] == [[0.1, 0.6, 0.5], [0.2]]
    assert [text.get_text() for text in right.texts] == ["0.600", "0.200"]
    assert left.lines[0].get_color() == right.lines[0].get_color() != right.lines[1].get_color()


def test_long_curve_is_drawn_raw_and_smoothed(tmp_path: Path) -> None:
    figure = curves({"a": run_with(tmp_path / "a", [0.1], losses=80)}, MIOU)
    assert len(figure.axes[0].lines) == 2


def test_score_of_zero_is_drawn(tmp_path: Path) -> None:
    figure = curves({"a": run_with(tmp_path / "a", [0.0, 0.25])}, MIOU)
    assert figure.axes[1].lines[0].get_ydata().tolist() == [0.0, 0.25]


def test_runs_without_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no records"):
        curves({"a": RunFolder(tmp_path)}, MIOU)


def test_smoothing_has_no_lag(tmp_path: Path) -> None:
    figure = curves({"a": run_with(tmp_path / "a", [0.1], losses=80)}, MIOU)
    raw, smooth = (line.get_ydata() for line in figure.axes[0].lines)
    # An average of earlier values would lie above a falling curve.
    assert abs(smooth[40] - raw[40]) < 0.001


def test_identical_curves_have_different_dashes(tmp_path: Path) -> None:
    runs = {name: run_with(tmp_path / name, [0.1, 0.2]) for name in "ab"}
    first, second = curves(runs, MIOU).axes[1].lines
    assert first.get_linestyle() != second.get_linestyle()


def test_runs_without_validation_have_a_legend_and_different_dashes(tmp_path: Path) -> None:
    runs = {
        name: run_with(tmp_path / name, [], losses=count) for name, count in (("a", 4), ("b", 1))
    }
    left, right = curves(runs, MIOU).axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["a", "b"]
    assert right.get_legend() is None
    one, other = left.lines
    assert one.get_linestyle() != other.get_linestyle()
    # A single point has no line, so it needs a marker.
    assert other.get_marker() == "."


def test_axis_has_the_name_of_the_score(tmp_path: Path) -> None:
    run = run_with(tmp_path / "a", [0.1])
    with run.metrics.open("a") as file:
        file.write(json.dumps({"step": 1, "epoch": 1, "split": "val", "overall_acc": 0.8}) + "\n")
    axes = curves({"a": run}, Score("overall_acc", "pixel accuracy")).axes[1]
    assert axes.get_ylabel() == "validation pixel accuracy"
    assert axes.lines[0].get_ydata().tolist() == [0.8]
