"""Runs are crossed with the values of one setting, and shown along it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlcvcli.errors import ConfigError
from dlcvcli.outcomes.along import along_table
from dlcvcli.studies.definition import read_definition
from dlcvcli.studies.outcome import read_outcome
from dlcvcli.studies.study_folder import StudyFolder
from dlcvcli.studies.study_report import report_study
from tests.studies.prepared_seg import tiny_study
from tests.studies.prepared_transfer import TEXT, run_transfer

VARY = "vary: {optim.weight_decay: [0.1, 1.0]}\n"
PAIR = TEXT.partition("  byol:")[0] + TEXT[TEXT.index("runs:") : TEXT.index("  - name: c")]


def test_each_run_becomes_one_for_each_value() -> None:
    study = tiny_study(PAIR + VARY)
    assert [run.name for run in study.runs] == ["supervised", "a-0.1", "a-1.0", "b-0.1", "b-1.0"]
    assert [run.line for run in study.runs[1:4]] == [*["A, no pre-training"] * 2, "B, supervised"]
    assert [run.settings["optim"] for run in study.runs[3:]] == [
        {"weight_decay": 0.1},
        {"weight_decay": 1.0},
    ]
    assert study.runs[3].settings["distance"] == {"name": "cosine"}
    assert "optim" not in study.runs[0].settings
    # Pre-training is done once, and what was reported is of one value only.
    assert [run.init for run in study.runs[1:]] == [None, None, "supervised", "supervised"]
    assert not any(run.reported.scores for run in study.runs)
    assert study.along == "optim.weight_decay"
    assert read_definition(study.model_dump(mode="json"), "x") == study


def test_a_run_starts_from_that_at_the_same_value() -> None:
    text = PAIR.replace("init: supervised", "init: a").replace("pretraining: true", "init: null")
    study = tiny_study(text + VARY)
    assert [run.init for run in study.runs[-2:]] == ["a-0.1", "a-1.0"]


@pytest.mark.parametrize(
    "vary",
    ["[1]", "{optim.lr: 0.1}", "{optim.lr: [0.1]}", "{optim.lr: [a, b]}", "{a: [1, 2], b: [1, 2]}"],
)
def test_one_setting_with_numbers_can_be_varied(vary: str) -> None:
    with pytest.raises(ConfigError, match="'vary' in tiny: expected one setting"):
        tiny_study(f"{PAIR}vary: {vary}\n")


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"run 'a-1': unknown key 'optim\.rl'"):
        tiny_study(f"{PAIR}vary: {{optim.rl: [1, 2]}}\n")


def test_scores_are_shown_along_the_setting(tmp_path: Path, glyphs: Path) -> None:
    second = {"second": glyphs}
    run_transfer(tmp_path / "out", glyphs, second, PAIR + VARY, seeds=2)
    outcome = report_study(StudyFolder(tmp_path / "out"))
    (line, *_) = outcome.as_dict()["runs"]
    assert (line["line"], line["place"]) == ("A, no pre-training", 0.1)
    # Ranked at each value, not over all of them.
    ranks = [(one["rank"], one["run"]) for one in outcome.as_dict()["ranking"]]
    assert ranks == [(1, "a-0.1"), (2, "b-0.1"), (1, "a-1.0"), (2, "b-1.0")]
    markdown = outcome.folder.markdown.read_text("utf-8")
    assert [run["to_first"] is None for run in outcome.as_dict()["runs"][:4]] == [
        *(True, True, False, False),
    ]  # fmt: skip
    assert "## accuracy along the weight decay" in markdown
    assert "| run | 0.1 | 1 |" in markdown
    assert (outcome.folder.figures / "fewshot" / "along.png").is_file()
    assert "The accuracy of the best checkpoints along the weight decay, with bars" in (
        outcome.folder.page.read_text("utf-8")
    )


def test_scores_are_shown_along_the_number_of_training_images(tmp_path: Path, glyphs: Path) -> None:
    run_transfer(tmp_path / "out", glyphs, {"second": glyphs}, PAIR + VARY + "along: images\n")
    folder = StudyFolder(tmp_path / "out")
    for name, count in (("a-0.1", 10), ("a-1.0", 100), ("b-0.1", 10)):
        file = folder.run(name, 0).environment
        known = json.loads(file.read_text())
        known["data"]["images"] = {"train": count}
        file.write_text(json.dumps(known))
    outcome = read_outcome(folder)
    table = along_table(outcome.groups[0].comparison)
    assert table.title == "accuracy along the number of training images"
    assert table.columns == ("run", "10", "100")
    # Where the number is not known, there is no cell.
    assert [row[2] == "–" for row in table.rows] == [False, True]
