"""Figures of masks: exact colours, labels, boundaries and legends."""

from __future__ import annotations

import math
from itertools import pairwise
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


def test_side_by_side_draws_image_and_masks_in_their_colours(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    ground_truth = rng.integers(0, 7, (20, 30)).astype(np.uint8)
    figure = side_by_side([Row("a", image, ground_truth, {"model": ground_truth[::-1]})], CLASSES)
    pictures = drawn(figure)
    assert np.array_equal(pictures[0], image)
    assert np.array_equal(pictures[1], encode_colours(ground_truth, CLASSES))
    assert np.array_equal(pictures[2], encode_colours(ground_truth[::-1], CLASSES))
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [CLASSES.names[i] for i in np.unique(ground_truth)]
    for name in ("figure.png", "figure.pdf"):
        save(figure, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1000


def test_snapshot_grid_starts_with_the_image_and_ends_with_the_ground_truth(
    trained_run: Path,
) -> None:
    figure = snapshot_grid(RunFolder(trained_run), CLASSES, steps_per_epoch=3)
    assert len(drawn(figure)) == 5
    labels = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert labels == ["image", "epoch 0.3", "epoch 1", "epoch 2", "ground truth"]


def test_run_draws_its_figures(trained_run: Path) -> None:
    names = {path.name for path in RunFolder(trained_run).figures.iterdir()}
    assert names == {"confusion.png", "curves.png", "predictions.png", "snapshots.png"}


def test_run_without_snapshots_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no snapshots") as caught:
        snapshot_grid(RunFolder(tmp_path), CLASSES)
    assert "--snapshot" in caught.value.hint


def test_legend_is_inside_the_figure(tmp_path: Path) -> None:
    classes = PRESETS["camvid11"]
    mask = np.resize(np.arange(11), (20, 30)).astype(np.uint8)
    image = np.zeros((20, 30, 3), np.uint8)
    for masks in ({}, {"a": mask, "b": mask, "c": mask}):
        figure = side_by_side([Row("a", image, mask, masks)], classes)
        save(figure, tmp_path / "figure.png")
        box = figure.legends[0].get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        # No last row with a single entry.
        columns, entries = figure.legends[0]._ncols, len(classes)
        assert entries % columns == 0 or columns - entries % columns < math.ceil(entries / columns)


def test_boundaries_of_differences_without_slivers_and_unlabelled_pixels() -> None:
    ground_truth = np.zeros((30, 40), np.uint8)
    ground_truth[:5] = 255
    wrong = ground_truth.copy()
    wrong[:5] = 1
    wrong[10, :] = 2
    image = np.zeros((30, 40, 3), np.uint8)
    slivers = side_by_side([Row("a", image, ground_truth, {"m": wrong})], CLASSES, outlined=True)
    assert not slivers.axes[2].collections
    wrong[15:22, 10:20] = 3
    areas = side_by_side([Row("a", image, ground_truth, {"m": wrong})], CLASSES, outlined=True)
    dark, light = areas.axes[2].collections
    for contour in (dark, light):
        (path,) = [p for p in contour.get_paths() if len(p.vertices)]
        assert path.get_extents().extents.tolist() == pytest.approx([9.5, 14.5, 19.5, 21.5])
    assert not areas.axes[1].collections


@pytest.mark.parametrize(
    ("wrong", "extents"),
    [((slice(None), slice(None)), [-0.4, -0.4, 39.4, 29.4]), ((slice(0, 9), slice(0, 9)), None)],
)
def test_boundary_of_a_difference_at_the_border_is_closed(
    wrong: tuple[slice, slice], extents: list[float] | None
) -> None:
    ground_truth = np.zeros((30, 40), np.uint8)
    mask = ground_truth.copy()
    mask[wrong] = 1
    rows = [Row("a", np.zeros((30, 40, 3), np.uint8), ground_truth, {"m": mask})]
    figure = side_by_side(rows, CLASSES, outlined=True)
    (path,) = [p for p in figure.axes[2].collections[0].get_paths() if len(p.vertices)]
    # A closed line ends where it starts.
    assert path.vertices[0].tolist() == pytest.approx(path.vertices[-1].tolist())
    if extents is not None:
        assert path.get_extents().extents.tolist() == pytest.approx(extents, abs=0.35)


def test_long_titles_are_wrapped_and_long_names_shortened() -> None:
    image, mask = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    titles = [f"2026112{n}-121500-deeplabv3plus_mobilenet_v3_large" for n in range(2)]
    masks = dict.fromkeys(titles, mask)
    figure = side_by_side([Row("a_name_much_too_long_for_its_row", image, mask, masks)], CLASSES)
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes[1:]]
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes))
    page = figure.bbox
    assert all(b.x0 >= 0 and b.x1 <= page.x1 and b.y1 <= page.y1 for b in boxes)


def test_names_with_dollar_signs_are_drawn_literally(tmp_path: Path) -> None:
    image, mask = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    save(side_by_side([Row("c $x_{$ b", image, mask, {"$m_{": mask})], CLASSES), tmp_path / "a.png")


def test_white_mask_has_a_frame() -> None:
    barren = np.full((8, 8), 5, np.uint8)
    figure = side_by_side([Row("a", np.zeros((8, 8, 3), np.uint8), barren, {})], CLASSES)
    assert CLASSES.colours[5] == (255, 255, 255)
    for axes in figure.axes:
        assert axes.axison
        assert all(spine.get_visible() for spine in axes.spines.values())


def test_captions_are_above_their_masks() -> None:
    image, mask = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    rows = [Row(name, image, mask, {"m": mask}, {"m": f"mIoU {name}"}) for name in ("a", "b")]
    figure = side_by_side(rows, CLASSES)
    assert [axes.get_title() for axes in figure.axes] == [
        *("image", "ground truth", "m\nmIoU a"),
        *("", "", "mIoU b"),
    ]


def test_snapshots_of_chosen_images_and_steps(trained_run: Path) -> None:
    run = RunFolder(trained_run)
    figure = snapshot_grid(run, CLASSES, images=["0001"], steps=[6, 1])
    labels = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert labels == ["image", "step 1", "step 6", "ground truth"]
    with pytest.raises(DataError, match="no snapshots at step 2") as caught:
        snapshot_grid(run, CLASSES, steps=[2])
    assert caught.value.hint == "steps: 1, 3, 6"
    with pytest.raises(DataError, match="no snapshots of 0002") as caught:
        snapshot_grid(run, CLASSES, images=["0002"])
    assert "0001" in caught.value.hint
