"""The class balance: every bar has its value, absent classes are marked, all texts fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from dlcvcli.data.audit import Audit, audit
from dlcvcli.data.segmentation import open_split
from dlcvcli.figures.balance import balance
from dlcvcli.figures.style import SERIES, save
from dlcvcli.palette import PRESETS, ClassSet


def held(pixels: list[int], ignored: int = 0, images: int = 10) -> Audit:
    """Return the audit of a split with these numbers of pixels of each class."""
    counts = np.array([*pixels, ignored], dtype=np.int64)
    images_with = np.minimum(images, counts[:-1])
    return Audit(images, "", counts, images_with, counts[:-1], {}, (), {})


def texts(figure: Figure, panel: int) -> list[str]:
    return [text.get_text() for text in figure.axes[panel].texts]


def classes_of(count: int) -> ClassSet:
    return ClassSet("synthetic", tuple(f"class {i}" for i in range(count)), _colours(count))


def _colours(count: int) -> tuple[tuple[int, int, int], ...]:
    return tuple((i, 255 - i, 7) for i in range(count))


def test_every_bar_has_its_value_and_position() -> None:
    train, val = held([7000, 2950, 50, 0], ignored=2500), held([3, 0, 1, 1])
    figure = balance({"train": train, "val": val}, classes_of(4))
    assert texts(figure, 0) == ["70%", "30%", "0.50%", "absent", "60%", "absent", "20%", "20%"]
    assert texts(figure, 1) == ["10", "10", "10", "absent", "3", "absent", "1", "1"]
    bars = figure.axes[0].patches
    assert [bar.get_width() for bar in bars] == pytest.approx([70, 29.5, 0.5, 0, 60, 0, 20, 20])
    assert [to_hex(bar.get_facecolor()).upper() for bar in bars] == [SERIES[0]] * 4 + [
        SERIES[1]
    ] * 4
    # Classes and the splits of a class are ordered from top to bottom.
    assert figure.axes[0].yaxis_inverted()
    for index in range(4):
        assert abs(bars[index].get_center()[1] - index) < 0.5
        assert bars[index].get_center()[1] < bars[index + 4].get_center()[1] < index + 0.5
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["train: 10 images, 20% ignored", "val: 10 images"]


def test_classes_are_named_with_their_colours() -> None:
    classes = PRESETS["camvid11"]
    figure = balance({"all": held([1] * 11, images=1)}, classes)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == list(classes.names)
    swatches = figure.axes[0].collections[0].get_facecolor()[:, :3]
    assert np.array_equal(np.round(swatches * 255), classes.colours)
    assert figure.legends[0].get_texts()[0].get_text() == "all: 1 image"


@pytest.mark.parametrize(
    ("count", "splits", "log"), [(1, 1, False), (7, 2, True), (21, 3, False), (21, 3, True)]
)
def test_all_texts_are_inside_the_figure(count: int, splits: int, log: bool) -> None:
    pixels = [10**9, *(3**i % 10**6 for i in range(count - 1))]
    parts = {f"split{i}": held(pixels, ignored=10**8, images=9999) for i in range(splits)}
    figure = balance(parts, classes_of(count), log=log)
    figure.draw_without_rendering()
    edge = figure.bbox
    labels = figure.axes[0].get_yticklabels()
    shown = [*figure.axes[0].texts, *figure.axes[1].texts, *labels, *figure.legends[0].get_texts()]
    for text in shown:
        box = text.get_window_extent()
        assert edge.x0 <= box.x0 <= box.x1 <= edge.x1, text
        assert edge.y0 <= box.y0 <= box.y1 <= edge.y1, text
    # No value overlaps the other panel.
    start = figure.axes[1].get_window_extent().x0
    assert all(text.get_window_extent().x1 < start for text in figure.axes[0].texts)


@pytest.mark.parametrize("log", [False, True])
def test_split_without_labels_is_drawn(tmp_path: Path, log: bool) -> None:
    figure = balance({"train": held([0, 0], ignored=5)}, classes_of(2), log=log)
    save(figure, tmp_path / "figure.png")
    assert texts(figure, 0) == ["absent", "absent"]


def test_small_fractions_are_not_rounded_to_zero() -> None:
    figure = balance({"train": held([10**9, 1, 10**5])}, classes_of(3))
    assert texts(figure, 0) == ["100%", "<0.001%", "0.010%"]


def test_audit_of_a_data_set_is_drawn(tmp_path: Path, landcover: Path) -> None:
    train = open_split(landcover, "train")
    figure = balance({"train": audit(train)}, train.classes)
    for name in ("figure.png", "figure.pdf"):
        save(figure, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 5000
