"""One look for every figure, legends of what is there, files with their folders."""

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


@pytest.mark.parametrize(("name", "begins"), [("a.png", b"\x89PNG\r\n"), ("a.pdf", b"%PDF-")])
def test_a_figure_is_written_with_its_folder(tmp_path: Path, name: str, begins: bytes) -> None:
    path = tmp_path / "figures" / "deep" / name
    save(new_figure(2.0, 1.0), path)
    assert path.read_bytes().startswith(begins)
    assert list(path.parent.iterdir()) == [path]


def test_a_picture_has_150_dots_an_inch(tmp_path: Path) -> None:
    save(new_figure(2.0, 1.0), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (300, 150)


def test_a_name_that_is_not_utf_8_is_drawn_as_far_as_it_can_be(tmp_path: Path) -> None:
    figure = new_figure(2.0, 1.0)
    title = figure.subplots().set_title(os.fsdecode(b"caf\xe9"))
    save(figure, tmp_path / "a.png")
    assert title.get_text() == "caf\ufffd"


def test_a_file_in_place_of_the_folder_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "figures").touch()
    with pytest.raises(UsageError, match="figures is a file, not a folder"):
        save(new_figure(2.0, 1.0), tmp_path / "figures" / "a.png")


def test_the_look_holds_inside_and_is_gone_outside() -> None:
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


def test_the_series_have_colours_of_their_own() -> None:
    assert len(set(SERIES)) == len(SERIES) == 7
    assert all(to_hex(colour) == colour.lower() for colour in SERIES)


def test_pixels_are_drawn_as_they_are() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 3)).astype(np.uint8)
    named, nameless = new_figure(2.0, 1.0).subplots(1, 2)
    show_image(named, pixels, "truth")
    show_image(nameless, pixels)
    assert np.array_equal(named.images[0].get_array(), pixels)
    assert named.images[0].get_interpolation() == "nearest"
    assert not [*named.get_xticks(), *named.get_yticks()]
    assert (named.get_title(), nameless.get_title()) == ("truth", "")


def test_the_legend_names_the_classes_that_occur_and_no_other() -> None:
    figure = new_figure(8.0, 2.0)
    first, second = np.full((2, 2), 4, np.uint8), np.array([[0, 4], [255, 3]], np.uint8)
    class_legend(figure, CLASSES, [first, second])
    assert legend_of(figure) == {"urban": "#00ffff", "forest": "#00ff00", "water": "#0000ff"}


def test_without_a_class_there_is_no_legend() -> None:
    figure = new_figure(8.0, 2.0)
    class_legend(figure, CLASSES, [np.full((2, 2), CLASSES.ignore_index, np.uint8)])
    class_legend(figure, CLASSES, [])
    assert figure.legends == []


@pytest.mark.parametrize(("width", "columns"), [(0.5, 1), (2.0, 1), (4.0, 3), (50.0, 7)])
def test_a_legend_has_as_many_columns_as_fit(width: float, columns: int) -> None:
    figure = new_figure(width, 2.0)
    class_legend(figure, CLASSES, [np.arange(7, dtype=np.uint8)[None]])
    assert figure.legends[0]._ncols == columns
    assert list(legend_of(figure)) == list(CLASSES.names)
