"""Curves of runs with several seeds: means and bands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dlcvcli.errors import DataError
from dlcvcli.figures.study_curves import mean_and_band, study_curves
from dlcvcli.runs import RunFolder
from dlcvcli.scores import Score

MIOU = Score("miou", "mIoU")


def _run(folder: Path, scores: list[float], losses: int = 3) -> RunFolder:
    lines = [
        {"step": n, "epoch": n / 2, "split": "train", "loss": 3 / n} for n in range(1, losses + 1)
    ]
    lines += [
        {"step": n, "epoch": n, "split": "val", "miou": score} for n, score in enumerate(scores, 1)
    ]
    folder.mkdir(parents=True)
    run = RunFolder(folder)
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def test_mean_and_band_cover_the_common_epochs() -> None:
    one = np.array([[1, 0.2], [2, 0.4], [3, 0.6]])
    other = np.array([[1, 0.4], [2, 0.5]])
    x, mean, sd = mean_and_band([one, other])
    assert x.tolist() == [1, 2]
    assert mean == pytest.approx([0.3, 0.45])
    assert sd == pytest.approx(np.std([[0.2, 0.4], [0.4, 0.5]], axis=0, ddof=1))
    assert mean_and_band([one])[2] is None


def test_each_run_has_a_line_and_several_seeds_a_band(tmp_path: Path) -> None:
    runs = {
        "one seed": [_run(tmp_path / "a", [0.1, 0.2])],
        "two seeds": [_run(tmp_path / "b", [0.1, 0.3]), _run(tmp_path / "c", [0.2, 0.5], 500)],
        "not started": [RunFolder(tmp_path / "d")],
    }
    figure = study_curves(runs, MIOU)
    loss, score = figure.axes
    assert [len(axes.lines) for axes in (loss, score)] == [2, 2]
    assert [len(axes.collections) for axes in (loss, score)] == [1, 1]
    assert score.lines[1].get_ydata() == pytest.approx([0.15, 0.4])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one seed", "two seeds"]


def test_long_curves_are_averaged_in_intervals(tmp_path: Path) -> None:
    figure = study_curves({"long": [_run(tmp_path / "a", [0.1], 600)]}, MIOU)
    points = np.asarray(figure.axes[0].lines[0].get_xydata())
    assert len(points) == 60
    assert points[0, 1] == pytest.approx(np.mean([3 / n for n in range(1, 11)]))


def test_runs_without_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no records"):
        study_curves({"a": [RunFolder(tmp_path)]}, MIOU)
