"""Checks of the output file of a figure; needs no matplotlib."""

from __future__ import annotations

from pathlib import Path

from dlcvcli.errors import UsageError
from dlcvcli.extras import require_package

FORMATS = (".png", ".pdf")


def require_drawing(path: Path) -> None:
    """Refuse to draw without matplotlib, or to a file with an unsupported suffix.

    Raises:
        MissingExtra: matplotlib is missing.
        UsageError: the suffix is neither .png nor .pdf.
    """
    require_format(path)
    require_package("matplotlib", "drawing")


def require_format(path: Path) -> None:
    """Refuse a file with an unsupported suffix.

    Raises:
        UsageError: the suffix is neither .png nor .pdf.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            f"--out {path}: figures are {' or '.join(FORMATS)} files",
            f"e.g. --out {path.with_suffix('.png') if path.name else 'figure.png'}",
        )


def titles_of(paths: list[Path], names: list[str] | None) -> list[str]:
    """Return a title for each path: the user's, or its file name with as many parents as needed.

    Raises:
        UsageError: there is not one name for each path, or two names or paths are equal.
    """
    if names:
        if len(names) != len(paths) or len(set(names)) != len(names):
            raise UsageError(
                f"{len(names)} --name for {len(paths)} runs or models",
                "use --name once for each, with different names",
            )
        return names
    complete = [path.resolve() for path in paths]
    for parts in (1, 2, 3):
        titles = ["/".join(path.parts[-parts:]) for path in complete]
        if len(set(titles)) == len(titles):
            return titles
    if len(set(complete)) < len(complete):
        raise UsageError("one of the paths is named twice", "name each path once")
    return [str(path) for path in complete]
