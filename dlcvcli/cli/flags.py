"""Flags that several commands have, each said once."""

from __future__ import annotations

from typing import Annotated

import typer

JsonTo = Annotated[
    str | None,
    typer.Option("--json", help="Write the result to FILE, or - for stdout.", show_default=False),
]
