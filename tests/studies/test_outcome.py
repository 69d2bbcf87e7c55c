"""Means, spreads and paired differences are numpy's; unfinished runs are said, not averaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcvcli.errors import ConfigError, DataError
from dlcvcli.studies import study
from dlcvcli.studies.outcome import StudyOutcome, read_outcome, spread
from dlcvcli.studies.study import StudyRequest, run_study
from dlcvcli.studies.study_folder import StudyFolder
from dlcvcli.studies.table import main_table, notes_of, to_csv, to_markdown
from dlcvcli.tasks.segmentation.study import class_table, difference_table, reported_table
from tests.studies.made_study import TEXT, Trainer, tiny_study


def _study(
    folder: Path, data: Path, seeds: int, stop_at: int | None = None, text: str = TEXT
) -> StudyOutcome:
    request = StudyRequest(tiny_study(text), "tiny", StudyFolder(folder), data, seeds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "run_dlcv", Trainer(stop_at))
        try:
            run_study(request, say=lambda line: None)
        except Exception:
            assert stop_at is not None
    return read_outcome(StudyFolder(folder))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, landcover: Path) -> StudyOutcome:
    return _study(tmp_path_factory.mktemp("study") / "three", landcover, 3)


@given(st.lists(st.floats(0, 1), max_size=6))
def test_a_spread_is_numpys(values: list[float]) -> None:
    found = spread(values)
    assert found.count == len(values)
    assert (found.mean is None) == (not values)
    assert (found.sd is None) == (len(values) < 2)
    if values:
        assert found.mean == pytest.approx(np.mean(values))
    if len(values) > 1:
        assert found.sd == pytest.approx(np.std(values, ddof=1), abs=1e-12)


def test_seeds_are_averaged_and_differences_paired(three: StudyOutcome) -> None:
    scores = {
        run.run.name: [
            json.loads(one.folder.results.read_text())["metrics"]["miou"] for one in run.seeds
        ]
        for run in three.runs
    }
    small, large = np.array(scores["small"]), np.array(scores["large"])
    found = three.as_dict()
    assert [run["measured"]["miou"]["mean"] for run in found["runs"]] == pytest.approx(
        [small.mean(), large.mean()]
    )
    assert found["runs"][1]["measured"]["miou"]["sd"] == pytest.approx(large.std(ddof=1))
    to_first = found["runs"][1]["to_first"]
    assert to_first["mean"] == pytest.approx((large - small).mean())
    assert to_first["sd"] == pytest.approx((large - small).std(ddof=1))
    assert to_first["seeds"] == 3
    assert found["runs"][0]["to_first"] is None
    assert found["best"] == "large"
    assert found["finished"]
    json.dumps(found, allow_nan=False)


def test_the_table_has_the_reported_beside_the_measured(three: StudyOutcome) -> None:
    table = main_table(three)
    assert all(len(row) == len(table.columns) for row in table.rows)
    first, second = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    mean = three.runs[0].over_seeds("miou")
    assert first["reported mIoU"] == "0.4000"
    assert first["measured mIoU"] == f"{mean.mean:.4f} ± {mean.sd:.4f}"
    assert (first["seeds"], first["best epoch"], first["parameters"]) == ("3", "2 to 4", "3.2 M")
    assert (first["images/s"], first["peak MiB"]) == ("11.0", "902")
    assert second["reported mIoU"] == "–"
    assert table.marked == 1
    more = reported_table(three)
    assert more is not None
    assert more.rows[0][:3] == ("small rate", "overall accuracy", "0.7000")
    assert len(class_table(three).rows) == 6  # `unknown` is not scored
    rows = to_csv(three).splitlines()
    assert len(rows) == 3
    assert len({line.count(",") for line in rows}) == 1
    assert rows[1].startswith("small,small rate,lraspp_mobilenet_v3_large,3219158,0.4,3,2 3 4,")
    text = to_markdown(three)
    assert "| **large rate** |" in text
    assert "Best mean mIoU: large rate." in text
    assert "Reported as best at: small rate, epoch 3." in text


def test_names_of_users_are_text_in_markdown(tmp_path: Path, landcover: Path) -> None:
    named = TEXT.replace("small rate", "<img src=x> | `small`").replace(
        "Two rates", "A <b>bold</b>"
    )
    text = to_markdown(_study(tmp_path / "named", landcover, 1, text=named))
    assert "<img" not in text
    assert "# A &lt;b&gt;bold&lt;/b&gt;\n" in text
    assert "| &lt;img src=x&gt; \\| \\`small\\` |" in text
    assert "Reported as best at: &lt;img src=x&gt; \\| \\`small\\`, epoch 3." in text


def test_one_seed_has_a_dash_for_its_spread(tmp_path: Path, landcover: Path) -> None:
    outcome = _study(tmp_path / "one", landcover, 1)
    measured = main_table(outcome).rows[0][4]
    assert measured == f"{outcome.runs[0].over_seeds('miou').mean:.4f} ± –"
    difference = difference_table(outcome)
    assert difference is not None
    assert difference.rows[0][1].endswith("± –")
    assert difference.rows[0][2] == "1"


def test_unfinished_runs_are_named_and_not_averaged(tmp_path: Path, landcover: Path) -> None:
    outcome = _study(tmp_path / "half", landcover, 2, stop_at=4)
    found = outcome.as_dict()
    assert found["unfinished"] == [
        {"folder": "runs/large/seed-1", "state": "unfinished", "step": 2}
    ]
    assert [run["measured"]["miou"]["seeds"] for run in found["runs"]] == [2, 1]
    assert found["runs"][1]["to_first"]["seeds"] == 1
    assert [row[5] for row in main_table(outcome).rows] == ["2", "1 of 2"]
    notes = " ".join(notes_of(outcome))
    assert "Unfinished: runs/large/seed-1." in notes
    assert "large rate: 1 of 2 seeds are finished" in notes


def test_nothing_measured_is_all_dashes(tmp_path: Path, landcover: Path) -> None:
    outcome = _study(tmp_path / "none", landcover, 1, stop_at=1)
    assert [row[4] for row in main_table(outcome).rows] == ["–", "–"]
    assert difference_table(outcome) is None
    assert outcome.best is None
    assert class_table(outcome).rows == ()
    assert outcome.as_dict()["runs"][0]["measured"]["miou"]["mean"] is None
    to_csv(outcome)
    to_markdown(outcome)


def test_runs_on_other_data_or_devices_are_not_compared_in_silence(
    tmp_path: Path, landcover: Path
) -> None:
    outcome = _study(tmp_path / "mixed", landcover, 1)
    assert outcome.remarks() == []
    file = outcome.runs[1].seeds[0].folder.environment
    other = json.loads(file.read_text())
    other |= {"device": "a GPU", "data": {"layout": "", "sha256": {"train": "c", "val": "b"}}}
    file.write_text(json.dumps(other))
    remarks = " ".join(read_outcome(outcome.folder).remarks())
    assert "not made on the same data" in remarks
    assert "different devices" in remarks


def test_what_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_outcome(StudyFolder(tmp_path / "absent"))
    with pytest.raises(DataError, match="is not a study's folder"):
        read_outcome(StudyFolder(tmp_path))
    (tmp_path / "study.yaml").write_text("definitoin: 1")
    with pytest.raises(ConfigError, match=r"unknown key 'definitoin' in .*study.yaml"):
        read_outcome(StudyFolder(tmp_path))
