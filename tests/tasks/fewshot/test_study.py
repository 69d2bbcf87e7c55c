"""A few-shot study reports intervals over episodes and which differences are paired."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dlcvcli.data.image_classes import find_image_layout
from dlcvcli.errors import DataError
from dlcvcli.outcomes.table import Table
from dlcvcli.studies import table as tables
from dlcvcli.studies.outcome import StudyOutcome, read_outcome
from dlcvcli.studies.plan import placed
from dlcvcli.studies.table import to_csv, to_markdown
from dlcvcli.tasks.fewshot.data import check_fewshot_data
from dlcvcli.tasks.fewshot.settings import EpisodeSettings, TrainFewshotSettings
from dlcvcli.tasks.fewshot.study import STUDY, SyntheticGlyphs
from tests.studies.prepared_fewshot import accuracies, prepared_outcome


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, glyphs: Path) -> StudyOutcome:
    return prepared_outcome(tmp_path_factory.mktemp("studies") / "one", glyphs, 1)[0]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, glyphs: Path) -> StudyOutcome:
    return prepared_outcome(tmp_path_factory.mktemp("studies") / "three", glyphs, 3)[0]


def main_table(outcome: StudyOutcome) -> Table:
    return tables.main_table(outcome.groups[0])


def further_tables(outcome: StudyOutcome) -> list[Table]:
    return tables.further_tables(outcome.groups[0])


def notes_of(outcome: StudyOutcome) -> list[str]:
    return tables.notes_of(outcome, outcome.groups[0])


def test_synthetic_characters_are_those_of_the_definition(tmp_path: Path) -> None:
    synthetic = SyntheticGlyphs(alphabets=2, characters=3, drawers=4, size=(16, 20))
    assert synthetic.describe() == "2 alphabets of 3 characters by 4 drawers, 16x20"
    synthetic.make(tmp_path / "set")
    (classes,) = find_image_layout(tmp_path / "set").splits.values()
    assert [len(one.files) for one in classes] == [4] * 6


def test_data_is_opened_as_a_training_opens_it(glyphs: Path) -> None:
    episode = EpisodeSettings(n_way=3, n_query=2)
    settings = placed(TrainFewshotSettings(episode=episode), glyphs, 1)
    opened = STUDY.open(settings)
    assert opened.images == ()
    assert "120 images of 20 classes" in opened.layout
    assert STUDY.fingerprints(settings) == check_fewshot_data(settings).sha256
    large = TrainFewshotSettings(episode=episode.model_copy(update={"test_n_way": 15}))
    with pytest.raises(DataError, match="too few for 15 ways"):
        STUDY.open(placed(large, glyphs, 0))


def test_a_folder_without_classes_is_refused(glyphs: Path, tmp_path: Path) -> None:
    STUDY.recognise(glyphs)
    with pytest.raises(DataError, match="no images by class"):
        STUDY.recognise(tmp_path)


def _scores(outcome: StudyOutcome, run: int, seed: int) -> np.ndarray:
    settings = outcome.record.settings[outcome.runs[run].name]
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


def test_with_several_seeds_the_interval_is_that_of_the_seeds(three: StudyOutcome) -> None:
    means = [_scores(three, 1, seed).mean() for seed in range(3)]
    cell = dict(zip(main_table(three).columns, main_table(three).rows[1], strict=True))
    assert cell["measured accuracy"] == f"{np.mean(means):.4f} ± {np.std(means, ddof=1):.4f}"
    assert "standard deviation over seeds" in notes_of(three)[0]


def test_paired_and_unpaired_differences_are_named(three: StudyOutcome) -> None:
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
    # An episode is equally hard for both runs, so pairing narrows the interval.
    width = [float(row["difference"].split(" ± ")[1]) for row in (cosine, shots)]
    assert width[0] < 0.5 * width[1]


def test_results_have_every_value(three: StudyOutcome) -> None:
    results = three.as_dict()
    json.dumps(results, allow_nan=False)
    assert (results["task"], results["best"], results["finished"]) == ("fewshot", "shots", True)
    assert "1.96" in results["rule"]
    first, cosine, shots, _ = results["runs"]
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
    assert "## Accuracy minus that of Euclidean, ± 95 % interval over episodes" in text
    assert [table.columns[0] for table in tables.page_tables(three.groups[0])] == ["run"] * 3


def test_without_results_all_cells_are_dashes(tmp_path: Path, glyphs: Path) -> None:
    outcome, _ = prepared_outcome(tmp_path / "none", glyphs, 1, stop_at=1)
    assert {row[6] for row in main_table(outcome).rows} == {"–"}
    assert further_tables(outcome) == []
    assert outcome.groups[0].comparison.best is None
    assert outcome.as_dict()["runs"][1]["to_first_by_episode"]["mean"] is None
    to_csv(outcome)
    to_markdown(outcome)


def test_scores_on_the_validation_split_are_named(tmp_path: Path, glyphs: Path) -> None:
    outcome, _ = prepared_outcome(tmp_path / "val", glyphs, 1)
    file = outcome.runs[0].seeds[0].folder.results
    file.write_text(file.read_text().replace('"split": "test"', '"split": "val"'))
    assert "There is no test split" in " ".join(notes_of(read_outcome(outcome.folder)))
