"""A study opens data as its trainings do, and tables have reported and measured scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcvcli.data.layouts import find_layout
from dlcvcli.errors import DataError
from dlcvcli.outcomes.score_tables import difference_table, main_table, reported_table
from dlcvcli.studies.outcome import StudyOutcome
from dlcvcli.studies.plan import placed
from dlcvcli.tasks.segmentation.class_scores import class_set, class_table
from dlcvcli.tasks.segmentation.data import check_training_data
from dlcvcli.tasks.segmentation.settings import TrainSegSettings
from dlcvcli.tasks.segmentation.study import STUDY, SyntheticTiles
from tests.studies.prepared_seg import CLASSES, prepared_outcome


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, landcover: Path) -> StudyOutcome:
    return prepared_outcome(tmp_path_factory.mktemp("study") / "three", landcover, 3)


def test_synthetic_tiles_are_those_of_the_definition(tmp_path: Path) -> None:
    synthetic = SyntheticTiles(train=2, validation=1, size=(64, 80))
    assert synthetic.describe() == "2 + 1 tiles of 64x80"
    synthetic.make(tmp_path / "set")
    splits = find_layout(tmp_path / "set").splits
    assert {split: len(pairs) for split, pairs in splits.items()} == {"train": 2, "val": 1}


def test_data_is_opened_as_a_training_opens_it(landcover: Path) -> None:
    settings = placed(TrainSegSettings(), landcover, 3)
    assert (settings.data.path, settings.train.seed) == (str(landcover), 3)
    opened = STUDY.open(settings)
    assert opened.images == ("0000", "0001", "0002", "0003")
    known = check_training_data(settings.data, 3)
    assert opened.layout == known.layout
    assert STUDY.fingerprints(settings) == known.sha256


def test_a_folder_of_another_task_is_refused(glyphs: Path) -> None:
    with pytest.raises(DataError):
        STUDY.recognise(glyphs)


def test_reported_scores_are_shown_beside_the_measured_ones(three: StudyOutcome) -> None:
    comparison = three.groups[0].comparison
    table = main_table(comparison)
    assert all(len(row) == len(table.columns) for row in table.rows)
    first, second = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    mean = three.runs[0].over_seeds("miou")
    assert first["reported mIoU"] == "0.4000"
    assert first["measured mIoU"] == f"{mean.mean:.4f} ± {mean.sd:.4f}"
    assert (first["seeds"], first["best epoch"], first["parameters"]) == ("3", "2 to 4", "3.2 M")
    assert (first["images/s"], first["peak MiB"]) == ("11.0", "902")
    assert second["reported mIoU"] == "–"
    assert table.marked == 1
    assert reported_table(comparison).rows[0][:3] == ("small lr", "pixel accuracy", "0.7000")
    assert len(class_table(comparison).rows) == 6  # `unknown` is not scored
    assert class_set(comparison) == CLASSES


def test_one_seed_has_a_dash_for_its_spread(tmp_path: Path, landcover: Path) -> None:
    outcome = prepared_outcome(tmp_path / "one", landcover, 1)
    comparison = outcome.groups[0].comparison
    measured = main_table(comparison).rows[0][4]
    assert measured == f"{outcome.runs[0].over_seeds('miou').mean:.4f} ± –"
    difference = difference_table(comparison)
    assert difference.rows[0][1].endswith("± –")
    assert difference.rows[0][2] == "1"


def test_without_results_all_cells_are_dashes(tmp_path: Path, landcover: Path) -> None:
    comparison = prepared_outcome(tmp_path / "none", landcover, 1, stop_at=1).groups[0].comparison
    assert [row[4] for row in main_table(comparison).rows] == ["–", "–"]
    assert difference_table(comparison).rows == ()
    assert class_table(comparison).rows == ()
