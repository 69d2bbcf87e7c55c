"""From the flags of a training to its run, whatever is trained."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from dlcvcli.errors import UsageError

if TYPE_CHECKING:
    from dlcvcli.config.schema import RunSettings
    from dlcvcli.errors import RankLost
    from dlcvcli.runs import RunFolder
    from dlcvcli.training.run import RunRequest

S = TypeVar("S", bound="RunSettings")

_SCORES = {"miou": "mIoU", "accuracy": "accuracy"}


@dataclass(frozen=True)
class RunOptions:
    """Which run, and what its settings start from.

    Attributes:
        resume: a run to go on with.
        extend: whether its length may change.
        init: a checkpoint or run whose weights a new run starts from.
        out: the folder of a new run.
        recipe, config, sets: layers of settings; see `config.load.resolve`.
        allow_seen: see `training.run.RunRequest`.
    """

    resume: Path | None
    extend: bool
    init: Path | None
    out: Path | None
    recipe: str | None
    config: Path | None
    sets: list[str] = field(default_factory=list)
    allow_seen: bool = False


def resolve_flags(schema: type[S], task: str, options: RunOptions, flags: dict[str, Any]) -> S:
    """Return the settings of a run, before what depends on its data is filled in.

    Args:
        schema: of the settings.
        task: what the model has to be for.
        options: which run.
        flags: dotted key -> what the user typed; None for what was not.

    Raises:
        UsageError: flags that contradict each other, or an unknown key, recipe or model.
        DataError: there is no run to resume.
    """
    from dlcvcli.config.load import resolve
    from dlcvcli.models.registry import require_network
    from dlcvcli.runs import RunFolder

    if options.extend and options.resume is None:
        raise UsageError("--extend goes with --resume")
    base = None
    if options.resume is not None:
        alien = {
            "out": options.out,
            "init": options.init,
            "recipe": options.recipe,
            "config": options.config,
        }
        for name, value in alien.items():
            if value is not None:
                raise UsageError(
                    f"--{name} does not go with --resume, which goes on with a run as it was begun"
                )
        RunFolder(options.resume).require_begun()
        base = _base_of(RunFolder.open(options.resume).read_config(), task, options.resume)
    settings = resolve(
        schema,
        base=base,
        recipe=options.recipe,
        file=options.config,
        flags=flags,
        sets=options.sets,
    )
    name = settings.model.name  # type: ignore[attr-defined]
    require_network(name, "vectors" if task == "fewshot" else "masks")
    return settings


def _base_of(base: dict[str, Any], task: str, run: Path) -> dict[str, Any]:
    from dlcvcli.machine import torchrun_shape

    begun = base.get("task")
    if begun != task:
        raise UsageError(
            f"{run} is a run of task {begun}", f"go on with: dlcv train {begun} --resume {run}"
        )
    # A limit of the session that was resumed, not of the run.
    base.get("train", {}).pop("max_time", None)
    if torchrun_shape() is not None:
        # It says how many ranks there are now.
        base.get("train", {}).pop("devices", None)
    return base


def print_settings(settings: RunSettings) -> None:
    """Print resolved settings as YAML."""
    from dlcvcli.config.load import to_yaml

    typer.echo(to_yaml(settings), nl=False)


def open_run(options: RunOptions, model: str) -> tuple[RunFolder, Path | None]:
    """Return the folder of a run and the checkpoint it starts from; makes nothing.

    Raises:
        MissingExtra: torch is missing.
        UsageError, DataError: the folder holds a run already, or --init is no checkpoint.
        DlcvError: another process goes on with the run.
    """
    from dlcvcli.inference.load import require_torch
    from dlcvcli.locks import require_unlocked
    from dlcvcli.machine import this_rank
    from dlcvcli.runs import RunFolder, default_run_path

    require_torch("training")
    init = None if options.init is None else _checkpoint_at(options.init)
    run = RunFolder(options.resume or options.out or default_run_path(model))
    if options.resume is None:
        run.require_free()
    elif not this_rank():
        # Said at once; the lock itself is taken when all else is known to be right.
        require_unlocked(run.path)
    return run, init


def _checkpoint_at(init: Path) -> Path:
    """Return the checkpoint that --init names: a file, or the best of a run."""
    from dlcvcli.runs import find_model

    ref = find_model(init)
    if ref.kind != "checkpoint":
        raise UsageError(f"--init {init} is no checkpoint", "give a run folder or a .ckpt")
    return ref.path


def run_training(request: RunRequest) -> None:
    """Train, show how it goes, and print what came of it."""
    from dlcvcli.cli.console import on_terminal, say, stdout
    from dlcvcli.machine import this_rank
    from dlcvcli.training.run import train

    if this_rank():
        train(request, lost=_give_up)
        return
    if on_terminal():
        from dlcvcli.cli.live import LiveView

        with LiveView() as view:
            results = train(request, hooks=view, say=view.print, lost=_give_up)
    else:
        results = train(request, say=say, lost=_give_up)
    stdout().print(_summary(results, request))
    if results["finished"]:
        data = shlex.quote(str(request.data.root))
        command = f"dlcv eval {shlex.quote(str(request.run.path))} --data {data} --onnx --compare"
        stdout().print(f"next: {command}", markup=False, soft_wrap=True)


def _give_up(error: RankLost) -> None:
    """End this rank from another thread: its own may hang in an exchange with one that is gone."""
    import os

    from dlcvcli.cli.console import complain
    from dlcvcli.machine import this_rank

    if not this_rank():
        complain(error.message, error.hint)
    os._exit(int(error.status))


def _summary(results: dict[str, Any], request: RunRequest) -> Any:
    from dlcvcli.cli.console import facts, fraction

    rows = []
    best = results["best"]
    if best is not None:
        key = next(key for key in _SCORES if key in best)
        score = f"{fraction(best[key])} at step {best['step']}, epoch {best['epoch']:g}"
        rows.append((f"best validation {_SCORES[key]}", score))
    if "metrics" in results:
        rows.append(_final_score(results["metrics"]))
    rows += [("warning", line) for line in results["warnings"]]
    rows += [
        ("steps", f"{results['step']} of {results['total_steps']}"),
        ("time", f"{results['wall_s']:.0f} s, {results['images_per_s']:.1f} images/s"),
        ("waiting for data", f"{results['data_wait']:.1%}"),
        ("figures", str(request.run.figures)),
    ]
    return facts(f"{results['model']} in {request.run.path}", rows)


def _final_score(metrics: dict[str, Any]) -> tuple[str, str]:
    from dlcvcli.cli.console import fraction

    if "miou" in metrics:
        return "the same in fp32", fraction(metrics["miou"])
    shape = f"{metrics['n_way']}-way {metrics['k_shot']}-shot"
    return (
        f"{shape} on {metrics['episodes']} other episodes ({metrics['split']})",
        f"{fraction(metrics['accuracy'])} ± {fraction(metrics['ci95'])}",
    )
