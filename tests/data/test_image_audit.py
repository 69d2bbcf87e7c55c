"""One pass over a set of images by class finds damaged files, copies, conflicts and odd classes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcvcli.data.fingerprint import fingerprint
from dlcvcli.data.image_audit import ImageAudit, audit_images, image_remarks
from dlcvcli.data.image_classes import find_image_layout
from dlcvcli.data.reading import read_bytes
from dlcvcli.data.seen_images import digest_of


def write(path: Path, size: tuple[int, int] = (6, 8), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound set: 3 + 1 training and 1 + 1 validation images of the classes a and b."""
    for seed, name in enumerate(("train/a/0", "train/a/1", "train/a/2", "train/b/0")):
        write(tmp_path / f"{name}.png", seed=seed)
    for seed, name in enumerate(("val/a/0", "val/b/0"), 10):
        write(tmp_path / f"{name}.png", size=(5, 5), seed=seed)
    return tmp_path


def audits_of(folder: Path) -> tuple[dict[str, ImageAudit], list[str]]:
    layout = find_image_layout(folder)
    audits = {split: audit_images(layout, split) for split in layout.splits}
    return audits, image_remarks(audits, layout)


def test_a_sound_set_is_counted_without_remarks(folder: Path) -> None:
    audits, lines = audits_of(folder)
    assert lines == []
    train = audits["train"]
    assert (train.classes, train.sizes) == ({"a": 3, "b": 1}, {(6, 8): 4})
    assert (train.images, train.majority, train.problems) == (4, 0.75, ())
    files = {name: digest_of(read_bytes(folder / name)) for name in train.class_of}
    assert train.sha256 == fingerprint(files.items())
    plain = json.loads(json.dumps(audits["val"].as_dict()))
    assert plain["sizes"] == {"5x5": 2}
    assert plain["classes"] == {"a": {"images": 1, "share": 0.5}, "b": {"images": 1, "share": 0.5}}
    assert plain["majority_baseline"] == 0.5


def test_every_damaged_file_is_named_and_the_others_are_counted(folder: Path) -> None:
    for name in ("a/1", "b/0"):
        (folder / "train" / f"{name}.png").write_bytes(b"no image")
    train = audits_of(folder)[0]["train"]
    assert (train.images, train.classes) == (2, {"a": 2, "b": 0})
    messages = train.as_dict()["problems"]
    assert [message.split(" ")[0] for message in messages] == [
        str(folder / "train" / f"{name}.png") for name in ("a/1", "b/0")
    ]


def test_copies_and_images_in_two_classes_are_reported(folder: Path) -> None:
    shutil.copy(folder / "train/a/0.png", folder / "train/a/copy.png")
    shutil.copy(folder / "train/a/1.png", folder / "train/b/other.png")
    lines = audits_of(folder)[1]
    assert lines[0] == "train: 2 of 6 images are copies of others in the split"
    assert "1 images are in two classes, e.g. train/b/other.png is train/a/1.png" in lines[1]
    assert len(lines) == 2


def test_odd_classes_and_tiny_images_are_reported(folder: Path) -> None:
    write(folder / "train/a/tiny.png", size=(1, 1), seed=20)
    write(folder / "val/new/0.png", seed=21)
    (folder / "train/empty").mkdir()
    (folder / "val/notes").mkdir()
    (folder / "val/notes/readme.txt").touch()
    assert audits_of(folder)[1] == [
        "train: 1 images are one pixel high or wide",
        "val: 1 classes do not occur in train, e.g. 'new'",
        f"{folder / 'train/empty'} is a class folder without images",
        f"{folder / 'val/notes'} is a class folder without images",
    ]


def test_a_single_class_is_reported(tmp_path: Path) -> None:
    write(tmp_path / "train/a/0.png")
    assert audits_of(tmp_path)[1] == ["train: one class only, 'a'"]
