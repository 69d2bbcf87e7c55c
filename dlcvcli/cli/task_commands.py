"""Commands that only one task has, such as its figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from dlcvcli.cli.flag_table import command, epilog
from dlcvcli.tasks.registry import TASKS

if TYPE_CHECKING:
    from dlcvcli.tasks.spec import Command


def with_task_commands(group: typer.Typer, name: str) -> typer.Typer:
    """Return a copy of a group, e.g. `figure`, with the commands that tasks add to it."""
    app = typer.Typer(help=group.info.help, no_args_is_help=True)
    app.registered_callback = group.registered_callback
    app.registered_commands = [*group.registered_commands]
    for spec in TASKS.values():
        for one in spec.commands:
            if one.group == name:
                function = command(_running(one), [one.flags], summary=one.help)
                app.command(one.name, epilog=epilog(one.examples))(function)
    return app


def _running(one: Command) -> Callable[..., None]:
    def run(**typed: Any) -> None:
        from dlcvcli.cli.console import SHOWN, stdout
        from dlcvcli.extras import require_package
        from dlcvcli.figures.output import require_format

        if one.group == "figure":
            if typed["out"] is not None:
                require_format(typed["out"])
            require_package("matplotlib", "drawing")
        for line in one.run(one.flags(**typed), SHOWN):
            stdout().print(line, markup=False, soft_wrap=True)

    return run
