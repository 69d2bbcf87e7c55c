"""The file that a figure goes into."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dlcvcli.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".pdf")


def require_drawing(path: Path) -> None:
    """Refuse to draw without matplotlib, or into a file whose ending names no format.

    Raises:
        MissingExtra, UsageError: see above.
    """
    from dlcvcli.extras import require_package

    require_format(path)
    require_package("matplotlib", "drawing")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure and print where it is."""
    from dlcvcli.figures.style import save

    save(figure, path)
    typer.echo(path)


def require_format(path: Path) -> None:
    """Refuse a figure's file whose ending names no format.

    Raises:
        UsageError: it ends in neither .png nor .pdf.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            f"--out {path}: a figure is a {' or '.join(FORMATS)} file",
            f"e.g. --out {path.with_suffix('.png') if path.name else 'figure.png'}",
        )
