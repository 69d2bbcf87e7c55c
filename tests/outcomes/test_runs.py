"""The best of several runs is chosen in the direction of the score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dlcvcli.outcomes.cells import best_epochs, plus_minus, seeds_done, throughput
from dlcvcli.outcomes.runs import Comparison, RunOutcome, SeedOutcome, read_results, state_of
from dlcvcli.outcomes.score_tables import difference_table, main_table, page_tables
from dlcvcli.runs import RunFolder
from dlcvcli.scores import Score

ERROR = Score("error", "error", higher_is_better=False)


def _seed(seed: int, error: float | None) -> SeedOutcome:
    results: dict[str, Any] | None = None
    if error is not None:
        results = {
            "metrics": {"error": error},
            "parameters": 5,
            "images_per_s": 2.0 + seed,
            "peak_memory_mb": 7 - seed,
            "best": {"epoch": 1 + seed},
        }
    state = "unfinished" if error is None else "finished"
    return SeedOutcome(seed, RunFolder(Path("x")), state, 1, results, None)  # type: ignore[arg-type]


def _run(name: str, *errors: float | None) -> RunOutcome:
    settings = SimpleNamespace(model=SimpleNamespace(name="net"))
    seeds = tuple(_seed(seed, error) for seed, error in enumerate(errors))
    return RunOutcome(name, name, settings, {}, "", seeds)


def test_the_best_run_has_the_lowest_error() -> None:
    comparison = Comparison("t", (ERROR,), 2, (_run("a", 0.4, 0.2), _run("b", 0.1, None)))
    assert comparison.best is not None
    assert (comparison.best.name, comparison.marked) == ("b", 1)
    higher = replace(comparison, scores=(replace(ERROR, higher_is_better=True),))
    assert higher.marked == 0
    assert comparison.difference(comparison.runs[1]) == {0: pytest.approx(-0.3)}
    assert len(comparison.unfinished) == 1
    assert comparison.remarks() == [
        "b: 1 of 2 seeds are finished; its numbers are over those alone."
    ]


def test_one_run_is_not_the_best_of_itself() -> None:
    assert Comparison("t", (ERROR,), 1, (_run("a", 0.4), _run("b", None))).best is None


def test_cells_name_what_is_missing() -> None:
    run, none = _run("a", 0.4, 0.2), _run("b", None)
    assert (seeds_done(run), best_epochs(run), throughput(run)) == ("2", "1 to 2", "2.5")
    assert (run.parameters, run.peak_memory_mb, run.model) == (5, 7, "net")
    assert (seeds_done(none), best_epochs(none), throughput(none)) == ("0 of 1", "–", "–")
    assert (none.parameters, none.peak_memory_mb) == (None, None)
    assert plus_minus(0.5, None, sign="+") == "+0.5000 ± –"
    assert plus_minus(None, 0.1) == "–"


def test_the_state_of_a_folder_without_a_run_is_not_started(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert (state_of(run), read_results(run)) == ("not started", None)


def test_a_task_with_one_score_has_tables_without_more_code() -> None:
    runs = (_run("a", 0.4, 0.2), replace(_run("b", 0.1, None), reported={"error": 0.15}))
    comparison = Comparison("t", (ERROR,), 2, runs)
    table = main_table(comparison)
    assert table.columns[3:5] == ("reported error", "measured error")
    assert [row[3:5] for row in table.rows] == [("–", "0.3000 ± 0.1414"), ("0.1500", "0.1000 ± –")]
    assert table.marked == 1
    assert difference_table(comparison).rows == (("b", "-0.3000 ± –", "1", "-0.3000"),)
    assert [len(one.rows) for one in page_tables(comparison)] == [2, 2, 1, 0, 2]
    assert "images/s" in page_tables(comparison)[-1].columns
