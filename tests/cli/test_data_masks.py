"""`dlcv data decode` and `encode` on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.cli.command import dlcv, refused


def test_encode_inverts_decode(tmp_path: Path, landcover: Path) -> None:
    ids, colours = tmp_path / "ids", tmp_path / "colours"
    land = ("--classes", "landcover7")
    done = dlcv("data", "decode", landcover / "train", ids, *land)
    assert (done.returncode, done.stdout) == (0, f"12 masks in {ids}\n"), done.stderr
    assert dlcv("data", "encode", ids, colours, *land).returncode == 0
    for path in sorted((landcover / "train").glob("*_mask.png")):
        with Image.open(ids / path.name) as image:
            assert image.mode == "L"
        pair = Image.open(colours / path.name), Image.open(path)
        assert np.array_equal(*(np.asarray(image) for image in pair))
    one = tmp_path / "one.png"
    path = landcover / "train" / "0000_mask.png"
    assert "1 mask in" in dlcv("data", "decode", path, one, *land, "--palette").stdout
    with Image.open(one) as image:
        assert image.mode == "P"


def test_decode_reports_ignored_pixels(tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text("names: [a]\ncolours: [[255, 0, 0]]\n")
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[0] = (255, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    arguments = (tmp_path / "a.png", tmp_path / "b.png", "--classes", tmp_path / "classes.yaml")
    stdout = dlcv("data", "decode", *arguments, "--ignore-index", 7).stdout
    assert (
        "50.0% of the pixels are ignored (id 7, black, since 'classes' has no ignore colour)"
        in stdout
    )
    assert np.asarray(Image.open(tmp_path / "b.png")).tolist() == [[0] * 4, [7] * 4]


def test_masks_that_cannot_be_converted_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, value in (("a", 0), ("b", 99)):
        Image.fromarray(np.full((4, 5), value, np.uint8)).save(folder / f"{name}.png")
    encode = ("data", "encode", folder, tmp_path / "out", "--classes")
    done = dlcv(*encode, "camvid11")
    assert done.returncode == 1
    assert "1 mask in" in done.stdout
    assert "left out:" in done.stderr
    assert "b.png: class id 99 is not in 'camvid11'" in done.stderr
    assert "error: 1 of 2 masks could not be converted" in done.stderr
    refused(2, *encode, "camvid12", message="neither a class preset nor a file")
    one = ("data", "encode", folder / "b.png", folder / "b.png", "--classes", "camvid11")
    refused(2, *one, message="would overwrite a mask that is read")
    one = ("data", "encode", folder / "b.png", tmp_path / "c.png", "--classes", "camvid11")
    refused(1, *one, message="b.png: class id 99 is not in 'camvid11'")
