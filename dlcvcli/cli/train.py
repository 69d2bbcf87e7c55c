"""`dlcv train TASK`: from flags to a run, for every task alike."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dlcvcli.cli.flag_table import command, epilog
from dlcvcli.errors import UsageError
from dlcvcli.tasks.registry import TASKS

if TYPE_CHECKING:
    from dlcvcli.config.schema import RunSettings
    from dlcvcli.errors import RankLost
    from dlcvcli.runs import RunFolder
    from dlcvcli.tasks.flags import TrainFlags
    from dlcvcli.tasks.spec import TaskSpec
    from dlcvcli.training.run import RunRequest


def train_app() -> typer.Typer:
    """Return the group of `dlcv train`, with a command for each task."""
    app = typer.Typer(help="Train a model.", no_args_is_help=True)
    app.callback()(_group)
    for spec in TASKS.values():
        function = command(_training(spec), [spec.flags.train], summary=spec.trains)
        app.command(spec.name, epilog=epilog(spec.examples["train"]))(function)
    return app


def _group() -> None:
    """Train a model."""


def _training(spec: TaskSpec) -> Callable[..., None]:
    def run(**typed: Any) -> None:
        flags = spec.flags.train(**typed)
        settings = resolve_flags(spec, flags)
        if flags.print_config:
            from dlcvcli.config.load import to_yaml

            typer.echo(to_yaml(settings), nl=False)
            return
        run_training(spec, prepare(spec, settings, flags))

    return run


def resolve_flags(spec: TaskSpec, flags: TrainFlags) -> RunSettings:
    """Return the settings of a run, before those that depend on its data are filled in.

    Raises:
        UsageError: flags that contradict each other, or an unknown key, recipe or network.
        DataError: there is no run to resume.
    """
    from dlcvcli.config.load import resolve
    from dlcvcli.models.registry import require_network

    if flags.extend and flags.resume is None:
        raise UsageError("--extend goes with --resume")
    settings = resolve(
        spec.settings(),
        base=_base(spec, flags),
        recipe=flags.recipe,
        file=flags.config,
        flags={
            key: str(value) if isinstance(value, Path) else value
            for key, value in flags.settings().items()
            if value != []
        },
        sets=flags.sets or (),
    )
    require_network(settings.model.name, spec.networks)
    return settings


def _base(spec: TaskSpec, flags: TrainFlags) -> dict[str, Any] | None:
    """Return the settings that a run to resume was started with; None for a new run."""
    from dlcvcli.machine import torchrun_shape
    from dlcvcli.runs import RunFolder

    if flags.resume is None:
        return None
    new = {"out": flags.out, "init": flags.init, "recipe": flags.recipe, "config": flags.config}
    for name, value in new.items():
        if value is not None:
            raise UsageError(
                f"--{name} does not go with --resume, which continues a run as it was started"
            )
    RunFolder(flags.resume).require_started()
    base = RunFolder.open(flags.resume).read_config()
    task = base.get("task")
    if task != spec.name:
        raise UsageError(
            f"{flags.resume} is a run of task {task}",
            f"continue it with: dlcv train {task} --resume {flags.resume}",
        )
    # A limit of the session that was resumed, not of the run.
    base.get("train", {}).pop("max_time", None)
    if torchrun_shape() is not None:
        # It decides how many ranks there are now.
        base.get("train", {}).pop("devices", None)
    return base


def prepare(spec: TaskSpec, settings: RunSettings, flags: TrainFlags) -> RunRequest:
    """Check everything that can be wrong before torch is imported, which takes seconds.

    Raises:
        MissingExtra: torch is missing.
        UsageError, ConfigError: the flags or settings do not fit each other or the data.
        DataError: the data cannot be used.
        DlcvError: another process trains in the run folder.
    """
    from dlcvcli.cli.console import SHOWN
    from dlcvcli.machine import this_rank
    from dlcvcli.training.resume import require_same_settings

    run, init = _open_run(flags, settings.model.name)
    resume = flags.resume is not None
    # Rank 0 checks the data for all, and reports it.
    settings, data = spec.prepare(settings, SHOWN, known=resume or bool(this_rank()))
    if resume:
        require_same_settings(run.read_config(), settings, extend=bool(flags.extend))

    from dlcvcli.training.run import RunRequest

    return RunRequest(
        make_job=spec.job,
        run=run,
        settings=settings,
        data=data,
        resume=resume,
        extend=bool(flags.extend),
        init=init,
        allow_seen=bool(flags.allow_seen),
    )


def _open_run(flags: TrainFlags, model: str) -> tuple[RunFolder, Path | None]:
    """Return the folder of a run and the checkpoint that it starts from; creates nothing."""
    from dlcvcli.extras import require_torch
    from dlcvcli.locks import require_unlocked
    from dlcvcli.machine import this_rank
    from dlcvcli.runs import RunFolder, default_run_path

    require_torch("training")
    init = None if flags.init is None else _checkpoint_at(flags.init)
    run = RunFolder(flags.resume or flags.out or default_run_path(model))
    if flags.resume is None:
        run.require_free()
    elif not this_rank():
        # Refused at once; the lock itself is taken when all else is known to be right.
        require_unlocked(run.path)
    return run, init


def _checkpoint_at(init: Path) -> Path:
    """Return the checkpoint that --init names: a file, or the best of a run."""
    from dlcvcli.runs import find_model

    ref = find_model(init)
    if ref.kind != "checkpoint":
        raise UsageError(f"--init {init} is no checkpoint", "give a run folder or a .ckpt")
    return ref.path


def run_training(spec: TaskSpec, request: RunRequest) -> None:
    """Train, show the progress, and print the results."""
    from dlcvcli.cli.console import on_terminal, say, stdout
    from dlcvcli.machine import this_rank
    from dlcvcli.training.run import train

    if this_rank():
        train(request, on_rank_lost=_give_up)
        return
    if on_terminal():
        from dlcvcli.cli.live import LiveView

        with LiveView(spec.scores) as view:
            results = train(request, hooks=view, say=view.print, on_rank_lost=_give_up)
    else:
        results = train(request, say=say, on_rank_lost=_give_up)
    stdout().print(_summary(spec, results, request))
    if results["finished"] and spec.evaluator is not None:
        data = shlex.quote(str(request.data.root))
        both = "" if spec.subject is None else " --onnx --compare"
        evaluate = f"dlcv eval {shlex.quote(str(request.run.path))} --data {data}{both}"
        stdout().print(f"next: {evaluate}", markup=False, soft_wrap=True)


def _give_up(error: RankLost) -> None:
    """End this rank from another thread: its own may hang in an exchange with one that is gone."""
    import os

    from dlcvcli.cli.console import complain
    from dlcvcli.machine import this_rank

    if not this_rank():
        complain(error.message, error.hint)
    os._exit(int(error.status))


def _summary(spec: TaskSpec, results: dict[str, Any], request: RunRequest) -> Any:
    from dlcvcli.cli.console import facts, fraction

    rows = []
    best, main = results["best"], spec.scores[0]
    if best is not None:
        place = f"at step {best['step']}, epoch {best['epoch']:g}"
        rows.append((f"best validation {main.name}", f"{fraction(best[main.key])} {place}"))
    if "metrics" in results:
        final = results["metrics"]
        half = "" if main.interval is None else f" ± {fraction(final[main.interval])}"
        name = f"{main.name} of {final['checkpoint']} in fp32 ({final['split']})"
        rows.append((name, f"{fraction(final[main.key])}{half}"))
    rows += [("warning", line) for line in results["warnings"]]
    rows += [
        ("steps", f"{results['step']} of {results['total_steps']}"),
        ("time", f"{results['wall_s']:.0f} s, {results['images_per_s']:.1f} images/s"),
        ("waiting for data", f"{results['data_wait']:.1%}"),
        ("figures", str(request.run.figures)),
    ]
    return facts(f"{results['model']} in {request.run.path}", rows)
