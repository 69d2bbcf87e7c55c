"""Style, legends and saving of figures."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from dlcvcli.errors import UsageError
from dlcvcli.figures.style import SERIES, class_legend, new_figure, save, show_image, styled
from dlcvcli.palette import PRESETS

CLASSES = PRESETS["landcover7"]


def legend_of(figure: Figure) -> dict[str, str]:
    """Return name -> colour of a figure's one legend."""
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    colours = [to_hex(patch.get_facecolor()) for patch in legend.get_patches()]
    return dict(zip(names, colours, strict=True))


@pytest.mark.parametrize(("name", "magic"), [("a.png", b"\x89PNG\r\n"), ("a.pdf", b"%PDF-")])
def test_figure_is_saved_with_its_folder(tmp_path: Path, name: str, magic: bytes) -> None:
    path = tmp_path / "figures" / "deep" / name
    save(new_figure(2.0, 1.0), path)
    assert path.read_bytes().startswith(magic)
    assert list(path.parent.iterdir()) == [path]


def test_png_has_150_dots_per_inch(tmp_path: Path) -> None:
    save(new_figure(2.0, 1.0), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (300, 150)


def test_bytes_that_are_not_utf_8_are_replaced(tmp_path: Path) -> None:
    figure = new_figure(2.0, 1.0)
    title = figure.subplots().set_title(os.fsdecode(b"caf\xe9"))
    save(figure, tmp_path / "a.png")
    assert title.get_text() == "caf\ufffd"


def test_file_instead_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "figures").touch()
    with pytest.raises(UsageError, match="figures is a file, not a folder"):
        save(new_figure(2.0, 1.0), tmp_path / "figures" / "a.png")


def test_style_applies_inside_the_context_only() -> None:
    before = dict(mpl.rcParams)
    figure = new_figure(4.0, 3.0)
    assert tuple(figure.get_size_inches()) == (4.0, 3.0)
    with styled():
        axes = figure.subplots()
    assert not axes.spines["top"].get_visible()
    assert not axes.spines["right"].get_visible()
    assert axes.spines["left"].get_visible()
    assert axes.title.get_fontsize() == 9
    assert dict(mpl.rcParams) == before


def test_series_have_different_colours() -> None:
    assert len(set(SERIES)) == len(SERIES) == 7
    assert all(to_hex(colour) == colour.lower() for colour in SERIES)


def test_pixels_are_drawn_without_interpolation() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 3)).astype(np.uint8)
    named, nameless = new_figure(2.0, 1.0).subplots(1, 2)
    show_image(named, pixels, "ground truth")
    show_image(nameless, pixels)
    assert np.array_equal(named.images[0].get_array(), pixels)
    assert named.images[0].get_interpolation() == "nearest"
    assert not [*named.get_xticks(), *named.get_yticks()]
    assert (named.get_title(), nameless.get_title()) == ("ground truth", "")


def test_legend_has_the_classes_that_occur() -> None:
    figure = new_figure(8.0, 2.0)
    first, second = np.full((2, 2), 4, np.uint8), np.array([[0, 4], [255, 3]], np.uint8)
    class_legend(figure, CLASSES, [first, second])
    assert legend_of(figure) == {"urban": "#00ffff", "forest": "#00ff00", "water": "#0000ff"}


def test_no_legend_without_classes() -> None:
    figure = new_figure(8.0, 2.0)
    class_legend(figure, CLASSES, [np.full((2, 2), CLASSES.ignore_index, np.uint8)])
    class_legend(figure, CLASSES, [])
    assert figure.legends == []


@pytest.mark.parametrize(("width", "columns"), [(0.5, 1), (2.0, 1), (4.0, 3), (50.0, 7)])
def test_legend_has_as_many_columns_as_fit(width: float, columns: int) -> None:
    figure = new_figure(width, 2.0)
    class_legend(figure, CLASSES, [np.arange(7, dtype=np.uint8)[None]])
    assert figure.legends[0]._ncols == columns
    assert list(legend_of(figure)) == list(CLASSES.names)
