"""`dlcv demo`: the whole road once, on made data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that it makes.")] = Path(
        "dlcv-demo"
    ),
) -> None:
    """Make data, train, export, certify and evaluate: the whole road, in minutes on a CPU."""
    from dlcvcli.cli.console import on_terminal, say, stdout
    from dlcvcli.extras import require_torch

    require_torch("the demo")
    from dlcvcli.cli.scores import result_table
    from dlcvcli.studies.demo import demo as run_demo
    from dlcvcli.studies.demo_folder import DemoFolder

    folder = DemoFolder(out)
    if on_terminal():
        from dlcvcli.cli.live import LiveView

        with LiveView() as view:
            result = run_demo(folder, hooks=view, say=view.print)
    else:
        result = run_demo(folder, say=say)
    stdout().print(result_table(result))
    for what, path in (
        ("all of it as a page", folder.page),
        ("figures", folder.figures),
        ("the same step by step", folder.commands),
    ):
        stdout().print(f"{what}: {path}", markup=False, soft_wrap=True)
