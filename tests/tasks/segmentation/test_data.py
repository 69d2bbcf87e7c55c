"""Settings that depend on the data, and data that is refused before training."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcvcli.config.load import resolve
from dlcvcli.data.balance import median_frequency
from dlcvcli.data.masks import write_mask
from dlcvcli.errors import DataError, UsageError
from dlcvcli.palette import PRESETS
from dlcvcli.runs import RunFolder
from dlcvcli.tasks.segmentation.data import check_training_data, read_classes, resolve_settings
from dlcvcli.tasks.segmentation.settings import TrainSegSettings
from tests.conftest import write_camvid


def settings_for(folder: Path, **flags: Any) -> TrainSegSettings:
    dotted = {key.replace("__", "."): value for key, value in flags.items()}
    return resolve(TrainSegSettings, flags={"data.path": str(folder), **dotted})


def test_the_crop_is_the_smallest_side_up_to_512(tmp_path: Path) -> None:
    folder = write_camvid(tmp_path, {"train": [(40, 90), (60, 50)], "val": [(20, 20)]})
    settings = settings_for(folder, train__batch_size=2)
    data = check_training_data(settings.data, 0)
    assert resolve_settings(settings, data.train).data.crop == (40, 50)
    stretched = settings_for(folder, data__size="600x300", train__batch_size=2)
    data = check_training_data(stretched.data, 0)
    assert resolve_settings(stretched, data.train).data.crop == (512, 300)


def test_only_a_pretrained_backbone_has_a_lower_learning_rate(landcover: Path) -> None:
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


def test_validation_images_that_are_training_images_are_counted(tmp_path: Path) -> None:
    folder = write_camvid(tmp_path, {"train": [(16, 16)] * 4, "val": [(16, 16)] * 3})
    for kind in ("", "annot"):
        (folder / f"val{kind}" / "001.png").write_bytes(
            (folder / f"train{kind}" / "003.png").read_bytes()
        )
    for audit in (True, False):
        data = check_training_data(settings_for(folder, data__audit=audit).data, 0)
        assert "1 of the 3 images of val are in train too (001)" in data.remarks
        assert data.seen.leaked == 1


def test_two_splits_of_the_same_images_are_refused(tmp_path: Path) -> None:
    folder = write_camvid(tmp_path, {"train": [(16, 16)] * 3})
    for kind in ("", "annot"):
        shutil.copytree(folder / f"train{kind}", folder / f"val{kind}")
    with pytest.raises(DataError, match=r"all 3 validation images of .* are its training images"):
        check_training_data(settings_for(folder).data, 0)
    # A run from before this check existed can still be resumed.
    assert check_training_data(settings_for(folder).data, 0, known=True).seen.leaked == 3


def test_a_damaged_file_is_named_before_training(tmp_path: Path) -> None:
    folder = write_camvid(tmp_path, {"train": [(16, 16)] * 3, "val": [(16, 16)]})
    path = folder / "train" / "001.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"001\.png"):
        check_training_data(settings_for(folder).data, 0)


def test_a_missing_data_folder_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no data folder") as caught:
        check_training_data(settings_for(Path()).data.model_copy(update={"path": ""}), 0)
    assert "--data" in caught.value.hint


def test_epochs_steps_and_intervals_are_resolved(landcover: Path) -> None:
    settings = settings_for(landcover, train__batch_size=4)
    train = check_training_data(settings.data, 0).train
    resolved = resolve_settings(settings, train).train
    steps = len(train) // 4
    assert (resolved.epochs, resolved.steps) == (50, None)
    assert resolved.val_every == resolved.save_every == steps
    explicit = settings_for(landcover, train__batch_size=4, train__steps=7, train__val_every=3)
    resolved = resolve_settings(explicit, train).train
    assert (resolved.epochs, resolved.steps) == (None, 7)
    assert (resolved.val_every, resolved.save_every) == (3, 3)


def test_file_paths_become_absolute_and_keywords_do_not(
    landcover: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Folders whose name is a keyword must not replace the keyword.
    monkeypatch.chdir(tmp_path)
    for name in ("auto", "landcover7", "imagenet", "none", "0001"):
        (tmp_path / name).mkdir()
    for name in ("w.pth", "photo.jpg"):
        (tmp_path / name).touch()
    settings = settings_for(landcover, train__batch_size=4, snapshot__images=["0001", "photo.jpg"])
    train = check_training_data(settings.data, 0).train
    resolved = resolve_settings(settings, train)
    assert (resolved.data.classes, resolved.model.weights) == ("auto", "none")
    assert resolved.snapshot.images == ("0001", str(tmp_path / "photo.jpg"))
    own = settings_for(landcover, train__batch_size=4, model__weights="w.pth")
    assert resolve_settings(own, train).model.weights == str(tmp_path / "w.pth")


def test_a_rule_for_class_weights_becomes_numbers(landcover: Path) -> None:
    settings = settings_for(landcover, train__batch_size=4, loss__class_weights="median_frequency")
    data = check_training_data(settings.data, 0)
    assert data.counted is not None
    expected = median_frequency(data.counted)
    # Without the counts of the audit, the training split is counted.
    for counted in (data.counted, None):
        assert resolve_settings(settings, data.train, counted).loss.class_weights == expected
    # The settings of a resumed run have the numbers.
    again = settings_for(landcover, train__batch_size=4, loss__class_weights=list(expected))
    assert resolve_settings(again, data.train).loss.class_weights == expected


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("cross_entropy", [1, 2], "has 2 numbers, and 'landcover7' has 7 classes"),
        ("dice", "inverse_log", "the loss dice weights no classes"),
    ],
)
def test_class_weights_that_cannot_be_used_are_refused(
    landcover: Path, name: str, weights: object, message: str
) -> None:
    settings = settings_for(
        landcover, train__batch_size=4, loss__name=name, loss__class_weights=weights
    )
    data = check_training_data(settings.data, 0)
    with pytest.raises(UsageError, match=message):
        resolve_settings(settings, data.train, data.counted)


@pytest.mark.parametrize(("batch", "parts"), [(4, 3), (6, 4)])
def test_a_batch_that_cannot_be_split_evenly_is_refused(
    landcover: Path, batch: int, parts: int
) -> None:
    settings = settings_for(landcover, train__batch_size=batch, optim__accumulate=parts)
    train = check_training_data(settings.data, 0).train
    with pytest.raises(UsageError, match=f"cannot be split evenly over {parts} parts") as caught:
        resolve_settings(settings, train)
    assert f"multiple of {parts}" in caught.value.hint


def test_absent_classes_and_ignored_pixels_are_reported(tmp_path: Path) -> None:
    folder = write_camvid(tmp_path, {"train": [(16, 16)] * 3, "val": [(16, 16)]})
    path = folder / "valannot" / "000.png"
    write_mask(path, np.full((16, 16), 11, np.uint8), PRESETS["camvid11"])
    mask = np.full((16, 16), 11, np.uint8)
    mask[:4] = 3
    write_mask(path, mask, PRESETS["camvid11"])
    data = check_training_data(settings_for(folder).data, 0)
    train_line, absent, ignored, single = data.remarks
    assert "train: " in train_line
    assert "of the pixels are ignored" in train_line
    assert absent.startswith("val: 10 of 11 classes have no pixel: sky, building, pole, pavement")
    assert ignored == "val: 75.0% of the pixels are ignored"
    assert "data.binarise=true" in single
    assert check_training_data(settings_for(folder).data, 0, known=True).remarks == ()


def test_classes_are_read_from_a_run(trained_run: Path, tmp_path: Path) -> None:
    run = RunFolder(trained_run)
    assert read_classes(run) == PRESETS["landcover7"]
    with pytest.raises(DataError, match="does not name the classes"):
        read_classes(RunFolder(tmp_path))
