"""Seeds are averaged, runs compared with the first, and unfinished runs named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dlcvcli.errors import ConfigError, DataError
from dlcvcli.studies.outcome import StudyOutcome, read_outcome
from dlcvcli.studies.study_folder import StudyFolder
from dlcvcli.studies.table import main_table, notes_of, to_csv, to_markdown
from tests.studies.prepared_seg import TEXT, prepared_outcome


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, landcover: Path) -> StudyOutcome:
    return prepared_outcome(tmp_path_factory.mktemp("study") / "three", landcover, 3)


def test_seeds_are_averaged_and_differences_paired(three: StudyOutcome) -> None:
    scores = {
        run.name: [
            json.loads(one.folder.results.read_text())["metrics"]["miou"] for one in run.seeds
        ]
        for run in three.runs
    }
    small, large = np.array(scores["small"]), np.array(scores["large"])
    result = three.as_dict()
    assert [run["measured"]["miou"]["mean"] for run in result["runs"]] == pytest.approx(
        [small.mean(), large.mean()]
    )
    assert result["runs"][1]["measured"]["miou"]["sd"] == pytest.approx(large.std(ddof=1))
    to_first = result["runs"][1]["to_first"]
    assert to_first["mean"] == pytest.approx((large - small).mean())
    assert to_first["sd"] == pytest.approx((large - small).std(ddof=1))
    assert to_first["seeds"] == 3
    assert result["runs"][0]["to_first"] is None
    assert result["best"] == "large"
    assert result["finished"]
    json.dumps(result, allow_nan=False)


def test_tables_for_programs_and_people(three: StudyOutcome) -> None:
    rows = to_csv(three).splitlines()
    assert len(rows) == 3
    assert len({line.count(",") for line in rows}) == 1
    assert rows[1].startswith("small,small lr,lraspp_mobilenet_v3_large,3219158,0.4,3,2 3 4,")
    text = to_markdown(three)
    assert "| **large lr** |" in text
    assert "Best mean mIoU: large lr." in text
    assert "Reported as best at: small lr, epoch 3." in text


def test_names_of_users_are_escaped_in_markdown(tmp_path: Path, landcover: Path) -> None:
    named = TEXT.replace("small lr", "<img src=x> | `small`").replace(
        "Two learning rates", "A <b>bold</b>"
    )
    text = to_markdown(prepared_outcome(tmp_path / "named", landcover, 1, text=named))
    assert "<img" not in text
    assert "# A &lt;b&gt;bold&lt;/b&gt;\n" in text
    assert "| &lt;img src=x&gt; \\| \\`small\\` |" in text
    assert "Reported as best at: &lt;img src=x&gt; \\| \\`small\\`, epoch 3." in text


def test_unfinished_runs_are_named_and_not_averaged(tmp_path: Path, landcover: Path) -> None:
    outcome = prepared_outcome(tmp_path / "half", landcover, 2, stop_at=4)
    result = outcome.as_dict()
    assert result["unfinished"] == [
        {"folder": "runs/large/seed-1", "state": "unfinished", "step": 2}
    ]
    assert [run["measured"]["miou"]["seeds"] for run in result["runs"]] == [2, 1]
    assert result["runs"][1]["to_first"]["seeds"] == 1
    assert [row[5] for row in main_table(outcome.groups[0]).rows] == ["2", "1 of 2"]
    notes = " ".join(notes_of(outcome, outcome.groups[0]))
    assert "Unfinished: runs/large/seed-1." in notes
    assert "large lr: 1 of 2 seeds are finished" in notes


def test_a_study_without_results_has_tables(tmp_path: Path, landcover: Path) -> None:
    outcome = prepared_outcome(tmp_path / "none", landcover, 1, stop_at=1)
    assert outcome.groups[0].comparison.best is None
    assert outcome.as_dict()["runs"][0]["measured"]["miou"]["mean"] is None
    to_csv(outcome)
    to_markdown(outcome)


def test_runs_on_other_data_or_devices_are_remarked(tmp_path: Path, landcover: Path) -> None:
    outcome = prepared_outcome(tmp_path / "mixed", landcover, 1)
    assert outcome.groups[0].comparison.remarks() == []
    file = outcome.runs[1].seeds[0].folder.environment
    other = json.loads(file.read_text())
    other |= {"device": "a GPU", "data": {"layout": "", "sha256": {"train": "c", "val": "b"}}}
    file.write_text(json.dumps(other))
    remarks = " ".join(read_outcome(outcome.folder).groups[0].comparison.remarks())
    assert "not trained on the same data" in remarks
    assert "different devices" in remarks


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_outcome(StudyFolder(tmp_path / "absent"))
    with pytest.raises(DataError, match="is not a study's folder"):
        read_outcome(StudyFolder(tmp_path))
    (tmp_path / "study.yaml").write_text("definitoin: 1")
    with pytest.raises(ConfigError, match=r"unknown key 'definitoin' in .*study.yaml"):
        read_outcome(StudyFolder(tmp_path))
