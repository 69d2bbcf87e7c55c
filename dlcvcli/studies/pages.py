"""Report pages: one HTML file each that needs no other file, for light and dark screens."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from dlcvcli import __version__
from dlcvcli.files import write_atomically
from dlcvcli.palette import Colour


def write_page(path: Path, template: str, content: Mapping[str, Any]) -> None:
    """Write a page from a template.

    Args:
        path: the HTML file.
        template: its name in `studies/templates`.
        content: name -> value for the template; a missing name is an error.

    Raises:
        DlcvError: the file cannot be written.
    """
    page = _environment().get_template(template).render(version=__version__, **content)
    write_atomically(path, page)


def _environment() -> Environment:
    folder = resources.files("dlcvcli.studies") / "templates"
    environment = Environment(
        loader=FunctionLoader(lambda name: (folder / name).read_text("utf-8")),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "score": score,
        "percent": percent,
        "picture": picture,
        "hex": css_colour,
    }
    return environment


def score(value: float | None) -> str:
    """Return a score in [0, 1] with four digits; a dash for None."""
    return "–" if value is None else f"{value:.4f}"


def percent(value: float | None) -> str:
    """Return a fraction as a percentage with one digit; a dash for None."""
    return "–" if value is None else f"{value:.1%}"


def css_colour(colour: Colour) -> str:
    """Return an RGB colour in CSS notation."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def picture(path: Path) -> Markup:
    """Return an image file as a data URI, so that the page contains it."""
    kind = mimetypes.guess_type(path.name)[0] or "image/png"
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    return Markup("data:{};base64,{}").format(kind, content)
