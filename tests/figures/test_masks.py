"""Masks as pictures: the palette is exact, the truth stands in the last row."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from dlcvcli.errors import DataError
from dlcvcli.figures.masks import Row, side_by_side, snapshot_grid
from dlcvcli.figures.style import save
from dlcvcli.palette import PRESETS, encode_colours
from dlcvcli.runs import RunFolder

CLASSES = PRESETS["landcover7"]


def drawn(figure: object) -> list[np.ndarray]:
    """Return the pixels of every picture in a figure, in the order of its axes."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]  # type: ignore[attr-defined]


def test_side_by_side_shows_image_and_masks_in_their_colours(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    truth = rng.integers(0, 7, (20, 30)).astype(np.uint8)
    figure = side_by_side([Row("a", image, {"truth": truth, "model": truth[::-1]})], CLASSES)
    pictures = drawn(figure)
    assert np.array_equal(pictures[0], image)
    assert np.array_equal(pictures[1], encode_colours(truth, CLASSES))
    assert np.array_equal(pictures[2], encode_colours(truth[::-1], CLASSES))
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [CLASSES.names[i] for i in np.unique(truth)]
    for name in ("figure.png", "figure.pdf"):
        save(figure, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1000


def test_the_snapshot_grid_has_the_image_first_and_the_truth_last(trained_run: Path) -> None:
    figure = snapshot_grid(RunFolder(trained_run), CLASSES, steps_per_epoch=3)
    assert len(drawn(figure)) == 5
    labels = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert labels == ["image", "epoch 0.3", "epoch 1", "epoch 2", "truth"]


def test_a_run_draws_its_own_figures(trained_run: Path) -> None:
    names = {path.name for path in RunFolder(trained_run).figures.iterdir()}
    assert names == {"curves.png", "snapshots.png"}


def test_a_run_without_snapshots_says_how_to_keep_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="kept no snapshots") as caught:
        snapshot_grid(RunFolder(tmp_path), CLASSES)
    assert "--snapshot" in caught.value.hint


def test_the_legend_lies_inside_the_figure(tmp_path: Path) -> None:
    classes = PRESETS["camvid11"]
    mask = np.resize(np.arange(11), (20, 30)).astype(np.uint8)
    image = np.zeros((20, 30, 3), np.uint8)
    for masks in ({"truth": mask}, {"truth": mask, "a": mask, "b": mask, "c": mask}):
        figure = side_by_side([Row("a", image, masks)], classes)
        save(figure, tmp_path / "figure.png")
        box = figure.legends[0].get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        # No row with a lone entry below full ones.
        columns, entries = figure.legends[0]._ncols, len(classes)
        assert entries % columns == 0 or columns - entries % columns < math.ceil(entries / columns)
