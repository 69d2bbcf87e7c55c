"""`dlcv demo`: the complete workflow once, on synthetic data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = "dlcv demo\n\ndlcv demo --out runs/demo"


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that it writes.")] = Path(
        "dlcv-demo"
    ),
) -> None:
    """Make synthetic data, train, export, certify and evaluate, in minutes on a CPU."""
    from dlcvcli.cli.console import on_terminal, say, stdout
    from dlcvcli.extras import require_torch

    require_torch("the demo")
    from dlcvcli.cli.result_table import rendered
    from dlcvcli.reporter import Lines
    from dlcvcli.studies.demo import demo as run_demo
    from dlcvcli.studies.demo import demo_task
    from dlcvcli.studies.demo_folder import DemoFolder

    folder, spec = DemoFolder(out), demo_task()
    if on_terminal():
        from dlcvcli.cli.live import LiveView

        with LiveView(spec.scores) as view:
            result = run_demo(folder, hooks=view, reporter=Lines(view.print))
    else:
        result = run_demo(folder, reporter=Lines(say))
    assert spec.evaluator is not None
    stdout().print(rendered(spec.evaluator().table(result), result))
    for what, path in (
        ("report page", folder.page),
        ("figures", folder.figures),
        ("commands of the steps", folder.commands),
    ):
        stdout().print(f"{what}: {path}", markup=False, soft_wrap=True)
