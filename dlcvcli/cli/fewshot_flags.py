"""The flags with which few-shot models are tested."""

from __future__ import annotations

from typing import Annotated, Any

import typer

FEWSHOT = "Few-shot"


def _count(name: str, least: int, what: str) -> Any:
    return typer.Option(
        name, min=least, rich_help_panel=FEWSHOT, help=what, show_default="as trained"
    )


NWay = Annotated[int | None, _count("--n-way", 2, "Classes of an episode.")]
KShot = Annotated[int | None, _count("--k-shot", 1, "Examples of each.")]
NQuery = Annotated[int | None, _count("--n-query", 1, "Queries of each.")]
Rotations = Annotated[
    bool | None,
    typer.Option(
        "--rotations/--no-rotations",
        rich_help_panel=FEWSHOT,
        help="Turned images as classes of their own.",
        show_default="as trained",
    ),
]
AllowOutside = Annotated[
    bool,
    typer.Option(
        "--allow-outside",
        rich_help_panel=FEWSHOT,
        help="Read images that a CSV or an episode file names outside of the data folder.",
    ),
]
Splits = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=FEWSHOT,
        help="Which class is in which split: vinyals, or a CSV with class,split.",
        show_default="as the folder says",
    ),
]
