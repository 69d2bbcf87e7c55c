"""The flags with which `dlcv eval` and `dlcv predict` look at an image more than once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dlcvcli.errors import UsageError

if TYPE_CHECKING:
    from dlcvcli.tasks.segmentation.views import Views

PANEL = "Large images, several views"

Tile = Annotated[
    str | None,
    typer.Option(
        help="Predict in tiles of HxW (or one number), so that memory is bounded by them.",
        rich_help_panel=PANEL,
        show_default="whole images",
    ),
]
Overlap = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Pixels that tiles overlap and are blended over.",
        rich_help_panel=PANEL,
        show_default="an eighth of a tile",
    ),
]
Tta = Annotated[
    bool,
    typer.Option(
        "--tta",
        help="Average over mirror images and scales; six times the work.",
        rich_help_panel=PANEL,
    ),
]
TtaScales = Annotated[
    str | None,
    typer.Option(
        help="Scales of --tta, with commas between.",
        rich_help_panel=PANEL,
        show_default="0.75,1,1.25",
    ),
]


def read_views(tile: str | None, overlap: int | None, tta: bool, tta_scales: str | None) -> Views:
    """Turn the flags into what they ask for.

    Raises:
        UsageError: one is no size or no list of scales, or goes without the other that it needs.
    """
    from dlcvcli.cli.networks import read_size
    from dlcvcli.tasks.segmentation.tta import SCALES
    from dlcvcli.tasks.segmentation.views import Views

    if overlap is not None and tile is None:
        raise UsageError("--overlap goes with --tile")
    if tta_scales is not None and not tta:
        raise UsageError("--tta-scales goes with --tta")
    size = None
    if tile is not None:
        size = read_size(tile, "--tile")
        if min(size) < SMALLEST_TILE:
            raise UsageError(
                f"--tile {tile}: a side has to be at least {SMALLEST_TILE} pixels",
                "512 is a good size",
            )
    scales: tuple[float, ...] = SCALES if tta else ()
    if tta_scales is not None:
        try:
            scales = tuple(float(part) for part in tta_scales.split(","))
        except ValueError:
            raise UsageError(
                f"--tta-scales {tta_scales} is no list of numbers", "e.g. 0.75,1,1.25"
            ) from None
    return Views(size, overlap, scales)


SMALLEST_TILE = 32


def as_flags(
    tile: str | None, overlap: int | None, tta: bool, tta_scales: str | None
) -> tuple[str, ...]:
    """Return the flags again, to hand them on to another `dlcv`."""
    flags: list[str] = []
    for name, value in (("--tile", tile), ("--overlap", overlap), ("--tta-scales", tta_scales)):
        if value is not None:
            flags += [name, str(value)]
    return (*flags, "--tta") if tta else tuple(flags)
