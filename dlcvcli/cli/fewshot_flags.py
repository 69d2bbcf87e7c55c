"""The flags with which few-shot models are tested."""

from __future__ import annotations

from typing import Annotated

import typer

FEWSHOT = "Few-shot"

NWay = Annotated[
    int | None,
    typer.Option(
        "--n-way",
        min=2,
        rich_help_panel=FEWSHOT,
        help="Classes of an episode.",
        show_default="as trained",
    ),
]
KShot = Annotated[
    int | None,
    typer.Option(
        "--k-shot",
        min=1,
        rich_help_panel=FEWSHOT,
        help="Examples of each.",
        show_default="as trained",
    ),
]
NQuery = Annotated[
    int | None,
    typer.Option(
        "--n-query",
        min=1,
        rich_help_panel=FEWSHOT,
        help="Queries of each.",
        show_default="as trained",
    ),
]
Rotations = Annotated[
    bool | None,
    typer.Option(
        "--rotations/--no-rotations",
        rich_help_panel=FEWSHOT,
        help="Turned images as classes of their own.",
        show_default="as trained",
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
