"""Prediction: the images, the names of results, and masks at each image's size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcvcli.errors import DlcvError, UsageError
from dlcvcli.palette import PRESETS
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.tasks.segmentation.load import load_predictor
from dlcvcli.tasks.segmentation.predict import (
    blend_mask,
    class_shares,
    output_names,
    predict,
)


def photo(path: Path, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_colliding_names_are_extended() -> None:
    names = output_names([Path("x/a.png"), Path("y/a.png"), Path("y/b.png")])
    assert list(names.values()) == ["x_a", "y_a", "y_b"]
    assert list(output_names([Path("x/a.png"), Path("x/a.jpg")]).values()) == ["a.png", "a.jpg"]


def test_both_backends_write_the_same_masks_at_the_image_size(
    exported_run: Path, tmp_path: Path
) -> None:
    images = [photo(tmp_path / "in" / "a.png", (50, 80)), photo(tmp_path / "in" / "b.png", (33, 7))]
    masks = []
    for ref in (find_model(exported_run), find_model(RunFolder(exported_run).onnx)):
        out = tmp_path / ref.kind
        done = list(predict(load_predictor(ref, provider="cpu"), images, out))
        assert [d.error for d in done] == [None, None]
        with Image.open(out / "a.png") as mask, Image.open(out / "b.png") as other:
            assert (mask.size, other.size) == ((80, 50), (7, 33))
            assert mask.mode == "P"
            assert mask.getpalette()[:3] == [0, 255, 255]
            masks.append((np.asarray(mask), np.asarray(other)))
        with Image.open(out / "a_overlay.jpg") as overlay:
            assert overlay.size == (80, 50)
    for one, two in zip(*masks, strict=True):
        assert (one == two).mean() >= 0.999


def test_an_unreadable_image_is_reported_and_the_others_are_predicted(
    exported_run: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    good = photo(tmp_path / "good.png")
    predictor = load_predictor(find_model(RunFolder(exported_run).onnx), provider="cpu")
    done = list(predict(predictor, [bad, good], tmp_path / "out", overlay=False))
    assert "bad.jpg" in done[0].error.message  # type: ignore[union-attr]
    assert done[1].mask == tmp_path / "out" / "good.png"
    assert not (tmp_path / "out" / "good_overlay.jpg").exists()


def test_a_full_disk_names_the_file_that_could_not_be_written(
    exported_run: Path, tmp_path: Path
) -> None:
    images = [photo(tmp_path / f"{name}.png", (60, 60)) for name in "abc"]
    predictor = load_predictor(find_model(RunFolder(exported_run).onnx), provider="cpu")
    list(predict(predictor, images[:1], tmp_path / "out"))
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    assert sizes["a.png"] < sizes["a_overlay.jpg"]
    resource = pytest.importorskip("resource")
    # Files are limited to less than an overlay needs: the kernel refuses as on a full disk.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (sizes["a_overlay.jpg"] - 1, limits[1]))
    try:
        with pytest.raises(DlcvError, match=r"cannot write .*b_overlay\.jpg: File too large"):
            list(predict(predictor, images[1:], tmp_path / "out"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    done = {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    assert done.keys() == {*sizes, "b.png"}
    assert min(done.values())


def test_class_fractions_and_overlay_colours() -> None:
    classes = PRESETS["landcover7"]
    mask = np.array([[4, 4], [4, 0]], np.uint8)
    assert class_shares(mask, classes) == {"water": 0.75, "urban": 0.25}
    image = np.zeros((2, 2, 3), np.uint8)
    assert blend_mask(image, mask, classes)[0, 0].tolist() == [0, 0, 128]


@pytest.mark.parametrize("name", ["a.png", "b_overlay.jpg"])
def test_results_never_replace_an_input_image(
    exported_run: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "photos"
    images = [photo(folder / name), photo(folder / "b.png")]
    before = [path.read_bytes() for path in images]
    predictor = load_predictor(find_model(RunFolder(exported_run).onnx), provider="cpu")
    # A link to the same folder is recognised too.
    (tmp_path / "link").symlink_to(folder)
    for out in (folder, tmp_path / "link"):
        with pytest.raises(UsageError, match="would overwrite an image") as caught:
            list(predict(predictor, images, out))
        assert "--out" in caught.value.hint
    assert [path.read_bytes() for path in images] == before
    assert sorted(folder.iterdir()) == sorted(images)
