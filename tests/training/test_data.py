"""Settings that depend on the data, and what is refused before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dlcvcli.config.load import resolve
from dlcvcli.config.schema import TrainSegSettings
from dlcvcli.errors import DataError, UsageError
from dlcvcli.training.data import check_training_data, resolve_settings
from tests.conftest import write_camvid


def settings_for(folder: Path, **flags: Any) -> TrainSegSettings:
    dotted = {key.replace("__", "."): value for key, value in flags.items()}
    return resolve(TrainSegSettings, flags={"data.path": str(folder), **dotted})


def test_the_crop_is_the_smallest_side_and_at_most_512(tmp_path: Path) -> None:
    folder = write_camvid(tmp_path, {"train": [(40, 90), (60, 50)], "val": [(20, 20)]})
    settings = settings_for(folder)
    data = check_training_data(settings.data, 0)
    assert resolve_settings(settings, data.train).data.crop == (40, 50)
    stretched = settings_for(folder, data__size="600x300")
    data = check_training_data(stretched.data, 0)
    assert resolve_settings(stretched, data.train).data.crop == (512, 300)


def test_the_backbone_is_slowed_only_with_weights(landcover: Path) -> None:
    for weights, scale in (("none", 1.0), ("imagenet", 0.1)):
        settings = settings_for(landcover, model__weights=weights)
        data = check_training_data(settings.data, 0)
        assert resolve_settings(settings, data.train).optim.backbone_lr_scale == scale


def test_a_batch_too_small_for_pooled_norms_is_refused_with_a_number(landcover: Path) -> None:
    settings = settings_for(landcover, train__batch_size=1)
    data = check_training_data(settings.data, 0)
    with pytest.raises(UsageError, match="at least 2 images") as caught:
        resolve_settings(settings, data.train)
    assert "--batch-size 2" in caught.value.hint


def test_the_fingerprint_does_not_depend_on_decoding(landcover: Path) -> None:
    audited = check_training_data(settings_for(landcover).data, 0)
    bytes_only = check_training_data(settings_for(landcover, data__audit=False).data, 0)
    assert audited.sha256 == bytes_only.sha256


def test_a_damaged_file_is_named_before_training(tmp_path: Path) -> None:
    folder = write_camvid(tmp_path, {"train": [(16, 16)] * 3, "val": [(16, 16)]})
    path = folder / "train" / "001.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"001\.png"):
        check_training_data(settings_for(folder).data, 0)


def test_no_folder_named_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no data folder") as caught:
        check_training_data(settings_for(Path()).data.model_copy(update={"path": ""}), 0)
    assert "--data" in caught.value.hint
