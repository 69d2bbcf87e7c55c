"""The file that a figure is written to; needs no matplotlib."""

from __future__ import annotations

from pathlib import Path

from dlcvcli.errors import UsageError
from dlcvcli.extras import require_package

FORMATS = (".png", ".pdf")


def require_drawing(path: Path) -> None:
    """Refuse to draw without matplotlib, or into a file whose suffix names no format.

    Raises:
        MissingExtra, UsageError: see above.
    """
    require_format(path)
    require_package("matplotlib", "drawing")


def require_format(path: Path) -> None:
    """Refuse the file of a figure whose suffix names no format.

    Raises:
        UsageError: it is neither .png nor .pdf.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            f"--out {path}: a figure is a {' or '.join(FORMATS)} file",
            f"e.g. --out {path.with_suffix('.png') if path.name else 'figure.png'}",
        )


def titles_of(paths: list[Path], names: list[str] | None) -> list[str]:
    """Return a title for each path: the user's, else its own name, longer where two are alike.

    Raises:
        UsageError: there is not one name for each, or two are alike.
    """
    if names:
        if len(names) != len(paths) or len(set(names)) != len(names):
            raise UsageError(
                f"{len(names)} --name for {len(paths)} of them", "give each one of its own"
            )
        return names
    complete = [path.resolve() for path in paths]
    for parts in (1, 2, 3):
        titles = ["/".join(path.parts[-parts:]) for path in complete]
        if len(set(titles)) == len(titles):
            return titles
    if len(set(complete)) < len(complete):
        raise UsageError("one of them is named twice", "name each once")
    return [str(path) for path in complete]
