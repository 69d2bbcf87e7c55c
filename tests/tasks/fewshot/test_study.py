"""A few-shot study is told with intervals over episodes, and says what is paired."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dlcvcli.studies.outcome import StudyOutcome, read_outcome
from dlcvcli.studies.table import (
    further_tables,
    main_table,
    notes_of,
    page_tables,
    to_csv,
    to_markdown,
)
from tests.studies.made_fewshot import accuracies, made_outcome


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, glyphs: Path) -> StudyOutcome:
    return made_outcome(tmp_path_factory.mktemp("studies") / "one", glyphs, 1)[0]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, glyphs: Path) -> StudyOutcome:
    return made_outcome(tmp_path_factory.mktemp("studies") / "three", glyphs, 3)[0]


def _scores(outcome: StudyOutcome, run: int, seed: int) -> np.ndarray:
    settings = outcome.record.settings[outcome.runs[run].run.name]
    with_seed = settings.train.model_copy(update={"seed": seed})
    return accuracies(settings.model_copy(update={"train": with_seed}))  # type: ignore[arg-type]


def test_with_one_seed_the_interval_is_that_of_the_episodes(one: StudyOutcome) -> None:
    table = main_table(one)
    assert all(len(row) == len(table.columns) for row in table.rows)
    first, second, third, _ = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    scores = _scores(one, 0, 0)
    half = 1.96 * scores.std(ddof=1) / np.sqrt(60)
    assert first["measured accuracy"] == f"{scores.mean():.4f} ± {half:.4f}"
    assert first["reported accuracy"] == "0.5000 ± 0.0100"
    assert [row["reported accuracy"] for row in (second, third)] == ["–", "–"]
    assert (first["encoder"], first["distance"], second["distance"]) == (
        *("conv4", "euclidean", "cosine"),
    )  # fmt: skip
    assert (first["trained"], first["tested"]) == ("3-way 1-shot", "3-way 1-shot")
    assert third["tested"] == "3-way 3-shot"
    assert (first["seeds"], first["best epoch"], first["images/s"]) == ("1", "0.04", "10.0")
    assert first["parameters"] == "111,936"
    assert table.marked == 2
    assert dict(zip(table.columns, table.rows[3], strict=True))["reported accuracy"] == "0.4600"
    notes = " ".join(notes_of(one))
    assert "on 60 episodes" in notes
    assert "half of its 95 % interval over the episodes" in notes
    assert "no test split" not in notes
    assert "Best mean accuracy: 3 shots." in notes
    assert "Reported as best at: Euclidean, epoch 3." in notes


def test_with_one_seed_there_is_no_spread_over_seeds(one: StudyOutcome) -> None:
    (table,) = further_tables(one)
    assert table.columns == ("run", "episodes", "difference")
    assert [row[1] for row in table.rows] == ["paired", "not paired: other episodes", "paired"]


def test_with_several_seeds_it_is_that_of_the_seeds(three: StudyOutcome) -> None:
    means = [_scores(three, 1, seed).mean() for seed in range(3)]
    cell = dict(zip(main_table(three).columns, main_table(three).rows[1], strict=True))
    assert cell["measured accuracy"] == f"{np.mean(means):.4f} ± {np.std(means, ddof=1):.4f}"
    assert "standard deviation over seeds" in notes_of(three)[0]


def test_what_is_paired_and_what_is_not_is_said(three: StudyOutcome) -> None:
    (table,) = further_tables(three)
    cosine, shots, learned = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert [row["episodes"] for row in (cosine, shots, learned)] == [
        *("paired", "not paired: other episodes", "paired"),
    ]  # fmt: skip
    apart = [_scores(three, 1, seed) - _scores(three, 0, seed) for seed in range(3)]
    halves = [1.96 * one.std(ddof=1) / np.sqrt(60) for one in apart]
    mean = np.mean([one.mean() for one in apart])
    assert cosine["difference"] == f"{mean:+.4f} ± {np.mean(halves):.4f}"
    assert cosine["seeds"] == "3"
    assert cosine["sd over seeds"] == f"{np.std([one.mean() for one in apart], ddof=1):.4f}"
    assert cosine["seed by seed"].startswith(f"{apart[0].mean():+.4f} ± {halves[0]:.4f}, ")
    notes = " ".join(notes_of(three))
    assert "Paired: both runs" in notes
    assert "Not paired: the two runs" in notes
    # An episode is as hard for both: to pair them makes the interval narrow.
    width = [float(row["difference"].split(" ± ")[1]) for row in (cosine, shots)]
    assert width[0] < 0.5 * width[1]


def test_results_hold_all_of_it(three: StudyOutcome) -> None:
    found = three.as_dict()
    json.dumps(found, allow_nan=False)
    assert (found["task"], found["best"], found["finished"]) == ("fewshot", "shots", True)
    assert "1.96" in found["rule"]
    first, cosine, shots, _ = found["runs"]
    assert first["reported"] == {"accuracy": 0.5, "ci95": 0.01, "when": "epoch 3"}
    assert set(first["measured"]) == {"accuracy"}
    scores = [_scores(three, 0, seed) for seed in range(3)]
    halves = [1.96 * one.std(ddof=1) / np.sqrt(60) for one in scores]
    assert first["ci95"] == pytest.approx(np.mean(halves), abs=1e-6)
    assert first["to_first_by_episode"] is None
    assert (cosine["distance"], cosine["trained"]) == ("cosine", "3-way 1-shot")
    assert cosine["to_first_by_episode"]["paired"]
    assert set(cosine["to_first_by_episode"]["by_seed"]) == {"0", "1", "2"}
    assert not shots["to_first_by_episode"]["paired"]
    assert shots["to_first_by_episode"]["by_seed"]["1"]["why"] == "other episodes"
    by_seed = cosine["by_seed"][1]
    assert (by_seed["episodes"], by_seed["scale"], by_seed["split"]) == (60, 12.5, "test")
    assert first["by_seed"][0]["scale"] is None
    assert "iou_per_class" not in first


def test_tables_for_programs_and_pages(three: StudyOutcome) -> None:
    rows = to_csv(three).splitlines()
    assert len(rows) == 5
    head = rows[0].split(",")
    cosine = dict(zip(head, rows[2].split(","), strict=True))
    assert (cosine["tested"], cosine["to_first_paired"]) == ("3-way 1-shot", "1")
    assert float(cosine["ci95"]) > float(cosine["to_first_ci95"]) > 0
    assert dict(zip(head, rows[1].split(","), strict=True))["to_first_by_episode"] == ""
    text = to_markdown(three)
    assert "| **3 shots** |" in text
    assert "## Accuracy less that of Euclidean, ± 95 % interval over episodes" in text
    assert [table.columns[0] for table in page_tables(three)] == ["run"] * 3


def test_nothing_measured_is_all_dashes(tmp_path: Path, glyphs: Path) -> None:
    outcome, _ = made_outcome(tmp_path / "none", glyphs, 1, stop_at=1)
    assert {row[6] for row in main_table(outcome).rows} == {"–"}
    assert further_tables(outcome) == []
    assert outcome.best is None
    assert outcome.as_dict()["runs"][1]["to_first_by_episode"]["mean"] is None
    to_csv(outcome)
    to_markdown(outcome)


def test_scores_on_the_validation_split_are_said_to_be(tmp_path: Path, glyphs: Path) -> None:
    outcome, _ = made_outcome(tmp_path / "val", glyphs, 1)
    file = outcome.runs[0].seeds[0].folder.results
    file.write_text(file.read_text().replace('"split": "test"', '"split": "val"'))
    assert "There is no test split" in " ".join(notes_of(read_outcome(outcome.folder)))
