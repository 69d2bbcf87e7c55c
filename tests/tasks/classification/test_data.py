"""The data of a classification run: splits, classes, sizes, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dlcvcli.errors import DataError, DlcvError, UsageError
from dlcvcli.reporter import Silent
from dlcvcli.tasks.classification.data import ClassificationData, prepare
from dlcvcli.tasks.classification.settings import TrainClsSettings
from tests.synthetic_classifier import settings_for

SIZE = (12, 10)


def image(path: Path, seed: int, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def classes_in(folder: Path, counts: dict[str, int], first: int = 0) -> Path:
    for place, (name, count) in enumerate(counts.items()):
        for index in range(count):
            image(folder / name / f"{index}.png", first + 1000 * place + index)
    return folder


def opened(folder: Path, **changes: Any) -> tuple[TrainClsSettings, ClassificationData]:
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    settings = settings_for(folder, {"train.batch_size": 2, "data.size": "8x8", **changes})
    return prepare(settings, Silent(), known=False)


def refusal(folder: Path, **changes: Any) -> DlcvError:
    with pytest.raises(DlcvError) as caught:
        opened(folder, **changes)
    return caught.value


def test_a_set_without_splits_holds_out_a_part_of_each_class(tmp_path: Path) -> None:
    classes_in(tmp_path, {"10": 10, "9": 5, "2": 1})
    _, data = opened(tmp_path)
    assert data.classes == ("2", "9", "10")
    assert np.bincount(data.val.labels, minlength=3).tolist() == [0, 1, 2]
    assert np.bincount(data.train.labels, minlength=3).tolist() == [1, 4, 8]
    _, again = opened(tmp_path)
    assert (data.val.files, data.sha256) == (again.val.files, again.sha256)


def test_a_smaller_label_fraction_is_a_part_of_a_larger_one(tmp_path: Path) -> None:
    classes_in(tmp_path / "train", {"a": 20, "b": 10})
    classes_in(tmp_path / "val", {"a": 2, "b": 2}, first=5000)
    kept = [set(opened(tmp_path, data__label_fraction=f)[1].train.files) for f in (0.1, 0.5, 1.0)]
    assert [len(one) for one in kept] == [3, 15, 30]
    assert kept[0] < kept[1] < kept[2]


def test_groups_of_images_stay_on_one_side(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("a", "b"):
            for drive in range(4):
                for frame in range(3):
                    seed = hash((split, name, drive, frame)) % 2**32
                    image(tmp_path / split / name / f"drive{drive}_{frame}.png", seed)
    _, data = opened(tmp_path, data__holdout_by="^[^_]+")
    groups = [{file.name.split("_")[0] for file in part.files} for part in (data.train, data.val)]
    assert groups[0].isdisjoint(groups[1])
    assert groups[0] | groups[1] == {f"drive{drive}" for drive in range(4)}
    assert "hold-out by group: 1 of 4 groups" in data.remarks[0]
    _, chosen = opened(tmp_path, data__holdout_by="^[^_]+", data__holdout_groups=("drive2",))
    assert {file.name.split("_")[0] for file in chosen.val.files} == {"drive2"}


def test_a_column_of_the_csv_names_the_groups(tmp_path: Path) -> None:
    lines = ["filename,label,patient"]
    for index in range(12):
        image(tmp_path / "images" / f"{index}.png", index)
        lines.append(f"{index}.png,{index % 2},patient{index // 4}")
    (tmp_path / "scans.csv").write_text("\n".join(lines))
    _, data = opened(tmp_path, data__holdout_by="Patient", data__holdout=0.3)
    held = {int(file.stem) // 4 for file in data.val.files}
    assert len(held) == 1
    assert len(data.val) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__holdout_by": "("}, "no regular expression"),
        ({"data__holdout_by": "^x"}, "does not match '0.png'"),
        ({"data__holdout_by": "[.]png"}, "into one group, '.png'"),
        (
            {"data__holdout_by": "^[^.]+", "data__holdout_groups": ("9",)},
            "there is no group '9'",
        ),
        ({"data__holdout_groups": ("9",)}, "needs data.holdout_by"),
    ],
)
def test_a_rule_that_makes_no_groups_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    classes_in(tmp_path, {"a": 3, "b": 3})
    assert message in refusal(tmp_path, **changes).message


def test_the_layouts_of_the_ntu_course_are_recognised(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("val", 2)):
        lines = ["id,filename,label"]
        for index in range(count):
            name = f"{split}{index:05d}.jpg"
            image(tmp_path / "office" / split / name, index + 10 * count)
            lines.append(f"{index},{name},{'Chair' if index % 2 else 'Bed'}")
            image(tmp_path / "p1" / f"{split}_50" / f"{index % 2}_{index}.png", index + count)
        (tmp_path / "office" / f"{split}.csv").write_text("\n".join(lines))
    _, office = opened(tmp_path / "office")
    assert (office.classes, len(office.train), len(office.val)) == (("Bed", "Chair"), 4, 2)
    _, digits = opened(tmp_path / "p1")
    assert (digits.classes, len(digits.train), len(digits.val)) == (("0", "1"), 4, 2)
    assert digits.layout_name == "flat"


def test_images_without_labels_are_not_a_set(tmp_path: Path) -> None:
    for index in range(4):
        image(tmp_path / "train" / f"{index}.jpg", index)
    assert "holds no images by class" in refusal(tmp_path).message


def test_one_class_only_is_refused(tmp_path: Path) -> None:
    classes_in(tmp_path, {"a": 4})
    assert "one class only, 'a'" in refusal(tmp_path).message


def test_a_class_of_val_that_training_lacks_is_named(tmp_path: Path) -> None:
    classes_in(tmp_path / "train", {"cat": 3, "dog": 3})
    classes_in(tmp_path / "val", {"cat": 1, "dogs": 1}, first=100)
    error = refusal(tmp_path)
    assert "class 'dogs'" in error.message
    assert error.hint == "did you mean 'dog'?"


def test_a_damaged_image_is_named_before_training(tmp_path: Path) -> None:
    classes_in(tmp_path, {"a": 4, "b": 4})
    (tmp_path / "b" / "broken.png").write_bytes(b"no image")
    assert "broken.png" in refusal(tmp_path).message


def test_images_of_one_pixel_are_stretched(tmp_path: Path) -> None:
    classes_in(tmp_path, {"a": 4, "b": 4})
    image(tmp_path / "a" / "dot.png", 7, (1, 1))
    assert len(opened(tmp_path)[1].train) + len(opened(tmp_path)[1].val) == 9


def test_a_csv_that_leaves_its_folder_is_refused(tmp_path: Path) -> None:
    image(tmp_path / "outside.png", 1)
    classes_in(tmp_path / "set" / "images", {"x": 3})
    (tmp_path / "set" / "all.csv").write_text("filename,label\n../outside.png,a\nx/0.png,b\n")
    with pytest.raises(DataError, match="outside"):
        opened(tmp_path / "set")


def test_the_default_size_is_the_images_own_or_a_square(tmp_path: Path) -> None:
    same, mixed = tmp_path / "same", tmp_path / "mixed"
    for index in range(4):
        image(same / "ab"[index % 2] / f"{index}.png", index, (40, 50))
        image(mixed / "ab"[index % 2] / f"{index}.png", index, (90, 40 + index))
    changes = {"data__size": None}
    assert opened(same, **changes)[0].data.size == (40, 50)
    assert opened(mixed, **changes)[0].data.size == (96, 96)


def test_class_weights_are_numbers_for_each_class(tmp_path: Path) -> None:
    classes_in(tmp_path / "train", {"a": 6, "b": 2})
    classes_in(tmp_path / "val", {"a": 1, "b": 1}, first=100)
    balanced, _ = opened(tmp_path, loss__class_weights="balanced")
    assert balanced.loss.class_weights == (pytest.approx(8 / 12), pytest.approx(2.0))
    with pytest.raises(UsageError, match="1 numbers, and there are 2 classes"):
        opened(tmp_path, loss__class_weights=(1.0,))


def test_sgd_has_defaults_of_its_own(tmp_path: Path) -> None:
    adamw, sgd = (settings_for(tmp_path, {"optim.name": n}).optim for n in ("adamw", "sgd"))
    assert (adamw.lr, sgd.lr, sgd.weight_decay) == (1e-3, 0.05, 5e-4)
    typed = settings_for(tmp_path, {"optim.name": "sgd", "optim.lr": 0.3}).optim
    assert (typed.lr, typed.weight_decay) == (0.3, 5e-4)
