"""Runs are ranked by their mean, and compared over seeds or over images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dlcvcli.outcomes.correct import read_correct
from dlcvcli.outcomes.ranking import rank_runs, ranking_notes, ranking_table
from dlcvcli.outcomes.runs import Comparison
from dlcvcli.outcomes.score_tables import difference_table
from dlcvcli.runs import RunFolder
from dlcvcli.scores import Score
from tests.outcomes.test_runs import ERROR, _run

ACCURACY = replace(ERROR, higher_is_better=True)


def test_runs_are_ranked_in_the_direction_of_the_score() -> None:
    runs = (_run("a", 0.4, 0.2), _run("b", 0.1, 0.1), _run("c", None, None), _run("d", 0.3, 0.1))
    lower = rank_runs(Comparison("t", (ERROR,), 2, runs))
    assert [one.run.name for one in lower] == ["b", "d", "a"]
    higher = rank_runs(Comparison("t", (ACCURACY,), 2, runs))
    assert [one.run.name for one in higher] == ["a", "d", "b"]
    first, second, third = higher
    assert (first.to_previous, first.to_best) == (None, None)
    assert second.to_previous == second.to_best
    assert third.to_previous is not None
    assert third.to_best is not None
    assert third.to_previous.mean == pytest.approx(-0.1)
    assert third.to_best.mean == pytest.approx(-0.2)
    assert third.to_best.over == "seeds"


def test_the_table_says_what_its_intervals_are() -> None:
    runs = (_run("a", 0.41, 0.40), _run("b", 0.11, 0.10))
    comparison = Comparison("t", (ACCURACY,), 2, runs)
    (first, second) = ranking_table(comparison).rows
    assert first == ("1", "a", "0.4050 ± 0.0071", "–", "–")
    assert second[3] == second[4] == "-0.3000 [-0.3000, -0.3000]*"
    assert "Student's t over the seeds" in ranking_notes(comparison)[0]
    one = Comparison("t", (ACCURACY,), 1, (_run("a", 0.4), _run("b", 0.1)))
    assert ranking_table(one).rows[1][4] == "-0.3000"
    assert ranking_notes(one) == [
        "Ranking: a difference of one seed has no interval; train more (--seeds 3)."
    ]
    assert not ranking_table(replace(one, runs=one.runs[:1])).rows


def test_one_seed_is_compared_by_image(tmp_path: Path) -> None:
    def run(name: str, right: int) -> object:
        folder = RunFolder(tmp_path / name)
        folder.path.mkdir()
        rows = [f"{n}.png,x,{'x' if n < right else 'y'},0.9\n" for n in range(20)]
        text = "filename,label,predicted,probability\n" + "".join(rows)
        (folder.path / "predictions.csv").write_text(text)
        outcome = _run(name, right / 20)
        return replace(outcome, seeds=(replace(outcome.seeds[0], folder=folder),))

    runs = (run("a", 15), run("b", 5))
    score = (Score("error", "top-1"),)
    comparison = Comparison("t", score, 1, runs, correct=read_correct)  # type: ignore[arg-type]
    _, second = rank_runs(comparison)
    assert second.to_best is not None
    assert (second.to_best.mean, second.to_best.over, second.to_best.count) == (-0.5, "images", 20)
    assert "paired by validation image" in ranking_notes(comparison)[0]
    # Without the file of one of them, there is no interval.
    (tmp_path / "b" / "predictions.csv").write_text("filename,label\n0.png,x\n")
    _, second = rank_runs(comparison)
    assert second.to_best is not None
    assert (second.to_best.mean, second.to_best.low) == (-0.5, None)


def test_runs_are_ranked_at_each_place() -> None:
    runs = [
        replace(_run(f"{line}-{place}", error), line=line, place=place)
        for place in (0.1, 1.0)
        for line, error in (("a", 0.4), ("b", 0.1 + place))
    ]
    comparison = Comparison("t", (ACCURACY,), 1, tuple(runs), along="fraction")
    ranks = [(one.rank, one.run.name) for one in rank_runs(comparison)]
    assert ranks == [(1, "a-0.1"), (2, "b-0.1"), (1, "b-1.0"), (2, "a-1.0")]
    table = difference_table(comparison)
    assert table.title == "error minus that of a at the same fraction, paired by seed"
    assert [row[:2] for row in table.rows] == [("b-0.1", "-0.2000 ± –"), ("b-1.0", "+0.7000 ± –")]
