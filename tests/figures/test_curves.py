"""Curves are drawn from metrics.jsonl, each run in one colour."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlcvcli.errors import DataError
from dlcvcli.figures.curves import curves
from dlcvcli.runs import RunFolder


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


def test_two_runs_share_the_axes_and_the_best_is_written(tmp_path: Path) -> None:
    runs = {"a": run_with(tmp_path / "a", [0.1, 0.6, 0.5]), "b": run_with(tmp_path / "b", [0.2])}
    figure = curves(runs)
    left, right = figure.axes
    assert len(left.lines) == 2
    assert [line.get_ydata().tolist() for line in right.lines] == [[0.1, 0.6, 0.5], [0.2]]
    assert [text.get_text() for text in right.texts] == ["0.600", "0.200"]
    assert left.lines[0].get_color() == right.lines[0].get_color() != right.lines[1].get_color()


def test_a_long_curve_is_smoothed_over_the_raw_one(tmp_path: Path) -> None:
    figure = curves({"a": run_with(tmp_path / "a", [0.1], losses=80)})
    assert len(figure.axes[0].lines) == 2


def test_a_score_of_zero_is_a_score(tmp_path: Path) -> None:
    figure = curves({"a": run_with(tmp_path / "a", [0.0, 0.25])})
    assert figure.axes[1].lines[0].get_ydata().tolist() == [0.0, 0.25]


def test_runs_without_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no records"):
        curves({"a": RunFolder(tmp_path)})
