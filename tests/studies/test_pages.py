"""Pages contain all that they show, and a missing value is a dash or an error."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from PIL import Image

from dlcvcli import __version__
from dlcvcli.studies.pages import css_colour, percent, picture, score, write_page


def test_numbers_have_one_format() -> None:
    assert (score(0.59291), score(1.0), score(None)) == ("0.5929", "1.0000", "–")
    assert (percent(0.1234), percent(None)) == ("12.3%", "–")
    assert css_colour((0, 255, 16)) == "#00ff10"


def test_a_picture_is_part_of_the_page(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (3, 2)).save(path)
    kind, _, content = picture(path).partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(content) == path.read_bytes()


def test_a_missing_template_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError, match="is undefined"):
        write_page(tmp_path / "index.html", "demo.html.j2", {"date": "today"})
    assert list(tmp_path.iterdir()) == []


def test_texts_cannot_become_markup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dlcvcli.studies import pages

    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "name.html.j2").write_text("<p>{{ name }} {{ version }}</p>")
    monkeypatch.setattr(pages.resources, "files", lambda package: tmp_path)
    write_page(tmp_path / "page.html", "name.html.j2", {"name": "<script>"})
    assert (tmp_path / "page.html").read_text() == f"<p>&lt;script&gt; {__version__}</p>"
