"""From the flags of tasks to the signature of a command, and back to what was typed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, fields
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from dlcvcli.errors import UsageError
from dlcvcli.flags import FlagInfo, Flags, info_of, names_of

if TYPE_CHECKING:
    from dlcvcli.tasks.spec import TaskSpec

F = TypeVar("F", bound=Flags)


def command(
    run: Callable[..., None], tables: Iterable[type[Flags]], *, summary: str
) -> Callable[..., None]:
    """Return a function that Typer makes a command of.

    Its parameters are those of `run` but `**typed`, then the flags of the tables, each name once;
    it calls `run` with all of them.

    Args:
        run: takes its own parameters, annotated for Typer, and the flags as `**typed`.
        tables: the flags.
        summary: what the command does, for its help.

    Raises:
        ValueError: two flags have one name and differ; a bug.
    """
    own = [
        parameter
        for parameter in inspect.signature(run, eval_str=True).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    parameters = {parameter.name: parameter for parameter in own}
    infos: dict[str, FlagInfo | None] = dict.fromkeys(parameters)
    for table in tables:
        for one, parameter in zip(fields(table), _parameters(table), strict=True):
            parameters.setdefault(one.name, parameter)
            if infos.setdefault(one.name, info_of(one)) != info_of(one):
                raise ValueError(f"{table.__name__}: the command has another flag '{one.name}'")

    def function(**values: Any) -> None:
        run(**values)

    signature = inspect.Signature(
        [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters.values()]
    )
    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__annotations__ = {name: one.annotation for name, one in parameters.items()}
    function.__doc__ = summary
    return function


def epilog(examples: Iterable[str]) -> str:
    """Return the examples at the end of a command's help."""
    return "\n\n".join(examples)


def epilog_of(tasks: Iterable[TaskSpec], name: str) -> str:
    """Return the examples of all tasks for the command of a name."""
    return epilog(line for spec in tasks for line in spec.examples.get(name, ()))


def flags_of(
    table: type[F],
    typed: Mapping[str, Any],
    spec: TaskSpec,
    tables: Mapping[str, type[Flags]],
    *,
    model: object,
    tasks: Mapping[str, TaskSpec],
) -> F:
    """Return a task's flags, and refuse those that only other tasks have.

    Args:
        table: the task's.
        typed: the values of all flags of the command, by name.
        spec: the task.
        tables: task -> its flags, of every task that has the command.
        model: what the user named it.
        tasks: the table of tasks.

    Raises:
        UsageError: names the flag, and the tasks that have it.
    """
    mine = _names(table)
    for other in tables.values():
        for one in fields(other):
            if one.name not in mine and typed[one.name] not in (None, []):
                nouns = [tasks[n].noun for n, t in tables.items() if one.name in _names(t)]
                raise UsageError(
                    f"{names_of(one)[0].split('/')[0]} is for {' or '.join(nouns)}, and {model} is "
                    f"{spec.noun}",
                    "the command's --help lists the flags of each",
                )
    return table(**{name: typed[name] for name in mine})


def _names(table: type[Flags]) -> set[str]:
    return {one.name for one in fields(table)}


def _parameters(table: type[Flags]) -> list[inspect.Parameter]:
    hints = get_type_hints(table)
    return [_parameter(one, hints[one.name]) for one in fields(table)]


def _parameter(one: Field[Any], kind: Any) -> inspect.Parameter:
    info = info_of(one)
    more: dict[str, Any] = {}
    if info.metavar is not None:
        more["metavar"] = info.metavar
    if info.argument:
        what: Any = typer.Argument(help=info.help, show_default=False, **more)
    else:
        if info.least is not None:
            more["min"] = info.least
        if info.most is not None:
            more["max"] = info.most
        if info.complete is not None:
            more["autocompletion"] = info.complete
        what = typer.Option(
            *names_of(one),
            help=info.help,
            rich_help_panel=info.panel,
            show_default=info.default or (one.default not in (None, MISSING)),
            **more,
        )
    return inspect.Parameter(
        one.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if one.default is MISSING else one.default,
        annotation=Annotated[kind, what],
    )
