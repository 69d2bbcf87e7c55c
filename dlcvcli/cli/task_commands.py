"""Commands that only one task has, such as its figures."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from dlcvcli.cli.flag_table import command, epilog
from dlcvcli.tasks.registry import TASKS

if TYPE_CHECKING:
    from dlcvcli.tasks.spec import Command


def add_task_commands(app: typer.Typer, group: str) -> None:
    """Add the tasks' commands of a group, e.g. `figure`, to it."""
    for spec in TASKS.values():
        for one in spec.commands:
            if one.group == group:
                function = command(partial(_run, one), [one.flags], summary=one.help)
                app.command(one.name, epilog=epilog(one.examples))(function)


def _run(one: Command, /, **typed: Any) -> None:
    from dlcvcli.cli.console import SHOWN, stdout
    from dlcvcli.extras import require_package
    from dlcvcli.figures.output import require_format

    flags = one.flags(**typed)
    if one.group == "figure":
        out = typed["out"]
        if out is not None:
            require_format(out)
        require_package("matplotlib", "drawing")
    for line in one.run(flags, SHOWN):
        stdout().print(line, markup=False, soft_wrap=True)
