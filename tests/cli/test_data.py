"""`dlcv data make`, `check` and `stats` on the command line."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcvcli.cli import data, data_masks
from dlcvcli.files import as_bytes
from tests.cli.command import ROOT, dlcv, dlcv_process, refused


@pytest.mark.parametrize(
    "epilog",
    [
        *(data.MAKE_EPILOG, data.CHECK_EPILOG, data.STATS_EPILOG),
        *(data_masks.DECODE_EPILOG, data_masks.ENCODE_EPILOG),
    ],
)
def test_the_examples_in_the_help_run(tmp_path: Path, epilog: str) -> None:
    for example in epilog.split("\n\n"):
        program, *arguments = shlex.split(example)
        done = dlcv(*arguments, cwd=tmp_path)
        assert (program, done.returncode) == ("dlcv", 0), done.stderr


def test_data_make_check_and_stats(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    make = ("data", "make", "landcover", folder, "--train", 3, "--validation", 2, "--size", "64x80")
    assert dlcv(*make).returncode == 0
    refused(2, *make, message="not empty")
    done = dlcv("data", "check", folder)
    assert "5 images are sound (train 3, val 2)" in done.stdout
    stats = json.loads(dlcv("data", "stats", folder, "--json", "-").stdout)
    train = stats["splits"]["train"]
    assert train["sizes"] == {"64x80": 3}
    pixels = sum(entry["pixels"] for entry in train["classes"].values())
    assert pixels + train["ignored_pixels"] == 3 * 64 * 80
    assert "forest" in dlcv("data", "stats", folder).stdout


def test_make_glyphs_writes_a_few_shot_set(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    make = ("data", "make", "glyphs", folder, "--alphabets", 2, "--characters", 3, "--drawers", 4)
    done = dlcv(*make, "--size", "28x28")
    assert done.returncode == 0, done.stderr
    assert f"2 alphabets of 3 characters by 4 drawers, 28x28, to {folder}" in done.stderr
    drawn = dlcv("data", "episodes", folder, "--n-query", 3, "--out", tmp_path / "episodes.csv")
    assert "6 classes" in drawn.stderr
    refused(2, *make, "--train", 3, message="--train does not apply to glyphs")
    other = ("data", "make", "landcover", tmp_path / "other", "--drawers", 3)
    assert "--train, --validation" in refused(
        2, *other, message="--drawers does not apply to landcover"
    )


@pytest.mark.parametrize("kind", ["landcover", "glyphs"])
def test_a_killed_make_leaves_no_set_and_can_be_repeated(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "set"
    make = ["data", "make", kind, str(folder), "--size", "64x64"]
    command = [sys.executable, "-m", "dlcvcli", *make]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as child:
        while child.poll() is None and not list(tmp_path.rglob("*.png")):
            time.sleep(0.002)
        child.kill()
    assert list(tmp_path.rglob("*.png"))
    assert not folder.exists()
    few = {"landcover": ("--train", 2, "--validation", 1), "glyphs": ("--alphabets", 1)}
    done = dlcv(*make, *few[kind])
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == [folder]


def test_check_names_the_file_and_counts_the_pixels_of_unknown_colours(
    tmp_path: Path, landcover: Path
) -> None:
    folder = shutil.copytree(landcover, tmp_path / "set")
    path = folder / "train" / "0003_mask.png"
    pixels = np.asarray(Image.open(path)).copy()
    pixels[:2, :3] = (12, 34, 56)
    Image.fromarray(pixels).save(path)
    stderr = refused(1, "data", "check", folder, message="1 problem in")
    assert "0003_mask.png" in stderr
    assert "(12, 34, 56)" in stderr
    assert "6 of 4,096 pixels" in stderr
    assert dlcv("data", "check", folder, "--binarise").returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode there")
@pytest.mark.parametrize("utf8", ["0", "1"])
def test_file_names_may_be_any_bytes_in_any_locale(tmp_path: Path, utf8: str) -> None:
    kit = tmp_path / os.fsdecode(b"VOC\xff")
    names = [os.fsdecode(name) for name in (b"caf\xe9", "café".encode(), b"plain")]
    for folder in ("ImageSets/Segmentation", "JPEGImages", "SegmentationClass"):
        (kit / folder).mkdir(parents=True)
    (kit / "ImageSets" / "Segmentation" / "train.txt").write_bytes(as_bytes("\n".join(names)))
    for name in names:
        Image.new("RGB", (4, 5)).save(kit / "JPEGImages" / f"{name}.jpg")
        Image.new("L", (4, 5)).save(kit / "SegmentationClass" / f"{name}.png")
    c = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": utf8}
    done = dlcv_process("data", "check", kit, "--json", "-", env=c)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["splits"]["train"]["images"] == 3


def test_make_refuses_a_file_as_the_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for out in (file, file / "below"):
        refused(2, "data", "make", "landcover", out, message="file")


def test_make_refuses_a_size_that_is_not_hxw(tmp_path: Path) -> None:
    make = ("data", "make", "landcover", tmp_path / "set", "--size")
    refused(2, *make, "64by64", message="'64by64' is not HxW")
    assert not (tmp_path / "set").exists()


def test_stats_draws_the_balance_of_the_classes(tmp_path: Path, landcover: Path) -> None:
    figure = tmp_path / "new" / "balance.png"
    done = dlcv("data", "stats", landcover, "--figure", figure, "--log", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["classes"] == "landcover7"
    assert f"wrote {figure}" in done.stderr
    with Image.open(figure) as image:
        assert image.width > 1000
    stats = ("data", "stats", landcover)
    refused(2, *stats, "--figure", tmp_path / "a.svg", message="neither in .png nor in .pdf")
    refused(2, *stats, "--log", message="--log needs --figure")


def test_stats_prints_to_a_pipe_that_cannot_encode_bars(landcover: Path) -> None:
    done = dlcv_process("data", "stats", landcover, env={"PYTHONIOENCODING": "cp1252"})
    assert done.returncode == 0, done.stderr
    assert "agriculture" in done.stdout


def test_images_in_two_splits_are_counted(landcover: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(landcover, folder)
    for kind in ("sat.jpg", "mask.png"):
        shutil.copy(folder / "train" / f"0002_{kind}", folder / "validation" / f"0090_{kind}")
    done = dlcv("data", "check", folder, "--json", "-")
    assert done.returncode == 0
    assert "warning: 1 of the 5 images of val are in train too (0090)" in done.stderr
    duplicates = json.loads(done.stdout)["duplicates"]
    assert duplicates == [{"splits": ["train", "val"], "images": ["0090"]}]
