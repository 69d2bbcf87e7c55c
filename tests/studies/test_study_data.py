"""The data of a study is opened as its trainings open it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcvcli.errors import DataError
from dlcvcli.studies.study_data import DATA, placed
from dlcvcli.tasks.fewshot.data import check_fewshot_data
from dlcvcli.tasks.fewshot.settings import EpisodeSettings, TrainFewshotSettings
from dlcvcli.tasks.segmentation.data import check_training_data
from dlcvcli.tasks.segmentation.settings import TrainSegSettings


def test_masks(landcover: Path) -> None:
    settings = placed(TrainSegSettings(), landcover, 3)
    assert (settings.data.path, settings.train.seed) == (str(landcover), 3)
    opened = DATA["seg"].open(settings)
    assert opened.images == ("0000", "0001", "0002", "0003")
    assert opened.classes["name"] == "landcover7"
    known = check_training_data(settings.data, 3)  # type: ignore[arg-type]
    assert opened.layout == known.layout
    assert DATA["seg"].fingerprints(settings) == known.sha256


def test_images_by_class(glyphs: Path, landcover: Path) -> None:
    episode = EpisodeSettings(n_way=3, n_query=2)
    settings = placed(TrainFewshotSettings(episode=episode), glyphs, 1)
    opened = DATA["fewshot"].open(settings)
    assert (opened.classes, opened.images) == ({}, ())
    assert "120 images of 20 classes" in opened.layout
    assert isinstance(settings, TrainFewshotSettings)
    assert DATA["fewshot"].fingerprints(settings) == check_fewshot_data(settings).sha256
    large = TrainFewshotSettings(episode=episode.model_copy(update={"test_n_way": 15}))
    with pytest.raises(DataError, match="too few for 15 ways"):
        DATA["fewshot"].open(placed(large, glyphs, 0))


def test_another_tasks_folder_is_none(glyphs: Path, tmp_path: Path) -> None:
    DATA["fewshot"].recognise(glyphs)
    with pytest.raises(DataError):
        DATA["seg"].recognise(glyphs)
    with pytest.raises(DataError, match="no images by class"):
        DATA["fewshot"].recognise(tmp_path)
