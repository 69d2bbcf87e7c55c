"""One training run: from settings to a run folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from dlcvcli.config.load import to_yaml
from dlcvcli.config.schema import RunSettings
from dlcvcli.engine.checkpoint import Checkpoint, load_checkpoint, seen_images_of
from dlcvcli.engine.determinism import deterministic_algorithms
from dlcvcli.engine.fit import fit, total_steps
from dlcvcli.engine.hooks import HookList, Hooks
from dlcvcli.engine.launch import Launcher, prepare
from dlcvcli.engine.result import FitResult
from dlcvcli.engine.task import Task
from dlcvcli.errors import (
    CheckpointError,
    ConfigError,
    DeviceError,
    Interrupted,
    RankLost,
    UsageError,
)
from dlcvcli.files import write_atomically, write_json
from dlcvcli.locks import locked
from dlcvcli.machine import keep_freed_memory
from dlcvcli.runs import RunFolder
from dlcvcli.training.environment import describe_environment
from dlcvcli.training.events import EventHook
from dlcvcli.training.job import Job, JobData
from dlcvcli.training.log import LineLog, score_texts
from dlcvcli.training.results import count_parameters, describe_result
from dlcvcli.training.resume import require_same_settings

Say = Callable[[str], None]
OnRankLost = Callable[[RankLost], None]
MakeJob = Callable[[Any, Any], Job]


@dataclass(frozen=True)
class RunRequest:
    """Options of a training run to start or resume.

    Attributes:
        make_job: returns the task's job for settings and data.
        run: the run folder.
        settings: resolved settings.
        data: checked and fingerprinted data.
        resume: continue from `last.ckpt`.
        extend: let a resumed run train longer.
        init: checkpoint with the initial weights of a new run.
        allow_seen: accept initial weights that were trained on validation images of the run.
    """

    make_job: MakeJob
    run: RunFolder
    settings: RunSettings
    data: JobData
    resume: bool = False
    extend: bool = False
    init: Path | None = None
    allow_seen: bool = False


def train(
    request: RunRequest,
    *,
    hooks: Hooks | None = None,
    say: Say = lambda line: None,
    on_rank_lost: OnRankLost | None = None,
) -> dict[str, Any]:
    """Train until the last step or a request to stop, and write `results.json`.

    Args:
        request: the run.
        hooks: hooks of the caller, e.g. a progress bar; called on rank 0.
        say: called with each line of the log.
        on_rank_lost: called on a separate thread when another rank has died and this one may hang;
            must end the process. Without it, a lost rank is noticed when communication fails.

    Returns:
        The content of `results.json`.

    Raises:
        Interrupted: a signal stopped the run after saving; it can be resumed.
        ConfigError: the settings of a resumed run would change its results.
        CheckpointError, DataError, NonFiniteLoss: see `engine.fit.fit`.
        RankLost: another rank ended early.
    """
    settings = request.settings.train
    ranks = prepare(
        devices=settings.devices,
        precision=settings.precision,
        sync_batchnorm=settings.sync_batchnorm,
    )
    watched: AbstractContextManager[None] = nullcontext()
    if on_rank_lost is not None:
        watched = ranks.peers.watched(lambda failure: on_rank_lost(_rank_lost(failure)))
    with watched, deterministic_algorithms(settings.deterministic), ExitStack() as held:
        try:
            return _train(request, ranks.start(), hooks, say, held)
        except RuntimeError as error:
            # Communication with a dead rank raises errors of the transport, e.g. of gloo.
            failure = ranks.peers.find_failed(wait=3)
            if failure is None:
                raise
            ranks.peers.stop()
            raise _rank_lost(failure) from error


def _rank_lost(failure: str) -> RankLost:
    return RankLost(
        f"{failure}; the others were stopped",
        "continue from the last checkpoint with --resume, or start the run again",
    )


def _train(
    request: RunRequest, launcher: Launcher, hooks: Hooks | None, say: Say, held: ExitStack
) -> dict[str, Any]:
    """Train on this rank; see `train`. `held` receives the lock of the run folder."""
    if not launcher.on_gpu:
        keep_freed_memory()
    request.settings.require_even_split(launcher.world_size)
    # The name of the default folder contains the time, which may differ between ranks.
    request = replace(request, run=RunFolder(Path(launcher.broadcast(str(request.run.path)))))
    settings, run, data = request.settings, request.run, request.data
    if launcher.is_main and request.resume:
        held.enter_context(locked(run.path))
    # Stores what `auto` chose, so that the run resumes in the same precision on any machine.
    chosen = settings.train.model_copy(update={"precision": launcher.precision.name})
    settings = settings.model_copy(update={"train": chosen})
    request = replace(request, settings=settings)
    job = request.make_job(settings, data)
    checkpoint = _checkpoint_of(request, job)
    if checkpoint is None:
        _record_initial_weights(request, job)
    else:
        job.seen = seen_images_of(checkpoint, run.last) or replace(job.seen, complete=False)
    torch.manual_seed(settings.train.seed)
    task = job.build_task(fresh=checkpoint is None)
    init_line = job.take_weights(task, request.init) if request.init is not None else None
    batches = job.batches(launcher)
    log = LineLog(run, job.scores, say)
    all_hooks = [log, *job.hooks(run)]
    if EventHook.is_possible():
        all_hooks.append(EventHook(run))
    if hooks is not None:
        all_hooks.append(hooks)
    # All errors of the user are found by now, so a refused run creates no folder.
    if launcher.is_main:
        if not request.resume:
            held.enter_context(locked(run.path))
            run.create()
        write_atomically(run.config, to_yaml(settings))
        write_json(run.environment, describe_environment(launcher, data))
        for line in _first_lines(job, task, launcher, init_line):
            log.write(line)
    launcher.barrier()
    with _batch_errors_explained(job, launcher):
        result = fit(
            task,
            batches,
            settings,
            launcher=launcher,
            run=run,
            hooks=HookList(*all_hooks),
            monitor=job.scores[0],
            validate=job.validation(launcher),
            data=data.as_dict() | {"seen": job.seen.as_dict()},
            resume=checkpoint,
        )
        return _finish(request, job, task, launcher, result, log)


@contextmanager
def _batch_errors_explained(job: Job, launcher: Launcher) -> Iterator[None]:
    """Replace PyTorch's errors about batches that are too small or too large by ours."""
    try:
        yield
    except ValueError as error:
        # The error of torch for BatchNorm over a single 1x1 map.
        if "more than 1 value per channel" not in str(error):
            raise
        raise UsageError(
            f"{job.model_name} cannot train on batches of {job.batch}: BatchNorm would have one "
            "value per channel",
            f"choose {job.larger}",
        ) from error
    except (RuntimeError, MemoryError) as error:
        # GPUs raise OutOfMemoryError, numpy MemoryError, and PyTorch's allocator on CPUs a
        # RuntimeError with one text on Linux and another on Windows.
        typed = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not typed and not re.search("can't allocate memory|not enough memory", str(error)):
            raise
        raise DeviceError(
            f"{launcher.device_name} has too little memory for batches of {job.batch}",
            f"choose {job.smaller}, compute the batch in parts with --set optim.accumulate=2, or "
            "validate fewer images at a time with --set train.val_batch_size=1",
        ) from error


def _checkpoint_of(request: RunRequest, job: Job) -> Checkpoint | None:
    """Return the checkpoint to resume from; None for a new run."""
    run = request.run
    if not request.resume:
        return None
    if not run.last.exists():
        raise CheckpointError(
            f"run {run.path} has no {run.last.name} to resume from",
            "start a new run with --init CKPT",
        )
    checkpoint = load_checkpoint(run.last)
    require_same_settings(checkpoint["config"], request.settings, extend=request.extend)
    stored = {key: value for key, value in checkpoint["data"].items() if key != "seen"}
    if stored != request.data.as_dict():
        what = "fingerprint" if stored.get("sha256") != request.data.sha256 else "class set"
        raise ConfigError(
            f"the data in {request.data.root} is not the data that the run was started with: "
            f"its {what} differs",
            "restore the files, or start a new run with --init CKPT",
        )
    total = total_steps(request.settings, job.steps_per_epoch)
    if checkpoint["step"] > total:
        raise UsageError(
            f"{run.path} has done {checkpoint['step']} steps, more than the {total} requested",
            "set a larger number of steps or epochs",
        )
    return checkpoint


def _record_initial_weights(request: RunRequest, job: Job) -> None:
    """Record which images the initial weights of a new run were trained on.

    Raises:
        UsageError: they include validation images of this run, without --allow-seen.
        CheckpointError: --init cannot be read.
    """
    if request.init is not None:
        job.accept_weights(
            load_checkpoint(request.init), f"--init {request.init}", allow_seen=request.allow_seen
        )
    if job.weights not in {"none", "imagenet"}:
        try:
            checkpoint = load_checkpoint(Path(job.weights))
        except CheckpointError:
            # A state dict of another project has no record of its training images.
            return
        job.accept_weights(checkpoint, f"--weights {job.weights}", allow_seen=request.allow_seen)


def _first_lines(job: Job, task: Task, launcher: Launcher, init_line: str | None) -> list[str]:
    """Return the first lines of the log, which describe data, network and device."""
    return [
        job.data.layout,
        *job.data.remarks,
        *(f"warning: {line}" for line in job.warnings()),
        f"{job.model_name}: {count_parameters(task.network):,} parameters, "
        f"{launcher.device_name}, {launcher.precision.name} ({launcher.precision.reason})",
        *job.lines(task, launcher),
        *([init_line] if init_line is not None else []),
    ]


def _finish(
    request: RunRequest,
    job: Job,
    task: Task,
    launcher: Launcher,
    result: FitResult,
    log: LineLog,
) -> dict[str, Any]:
    """Write the results; the best weights of a finished run are evaluated in fp32."""
    run = request.run
    resume_command = f"dlcv train {request.settings.task} --resume {run.path}"
    results = {
        "task": request.settings.task,
        "model": job.model_name,
        **describe_result(task.network, launcher, result),
        "warnings": job.warnings(),
    }
    if results["best"] is not None:
        results["best"]["trained_on"] = job.seen.leaked
    if launcher.is_main and result.ended == "finished":
        if result.step < result.total_steps:
            log.write(
                f"stopped early at step {result.step} of {result.total_steps}: none of the last "
                f"{request.settings.train.patience} validations improved the score"
            )
        log.write("evaluating the best checkpoint in fp32")
        if not run.best.is_file():
            log.write(f"{run.best.name} is missing; evaluating {run.last.name} instead")
        metrics = results["metrics"] = job.score_best(run, launcher)
        scores = ", ".join(score_texts(metrics, job.scores[:1]))
        log.write(f"{job.describe_final(metrics)}: {scores}")
    if launcher.is_main:
        write_json(run.results, results)
        job.draw(run, result.plan.steps_per_epoch)
    if result.ended == "signal":
        # Ranks wait for rank 0, which still draws: one that exited would be reported as lost.
        launcher.barrier()
        raise Interrupted(
            result.signal,
            f"stopped by a signal after step {result.step} of {result.total_steps}; "
            "everything is saved",
            f"continue with: {resume_command}",
        )
    if launcher.is_main and result.ended == "max_time":
        log.write(
            f"--max-time has passed after step {result.step} of {result.total_steps}; "
            f"continue with: {resume_command}"
        )
    return results
