"""One training run: settings in, a run folder out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
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
from dlcvcli.training.log import LineLog
from dlcvcli.training.results import count_parameters, describe_result
from dlcvcli.training.resume import require_same_settings

Say = Callable[[str], None]
Lost = Callable[[RankLost], None]
MakeJob = Callable[[Any, Any], Job]


@dataclass(frozen=True)
class RunRequest:
    """A training to begin or to resume.

    Attributes:
        make_job: returns the task's job of settings and data.
        run: the run folder.
        settings: resolved.
        data: checked and fingerprinted.
        resume: go on from `last.ckpt`.
        extend: let a resumed run become longer.
        init: checkpoint whose weights a new run starts from.
        allow_seen: the weights that a new run starts from may have been trained on what it is
            validated on.
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
    lost: Lost | None = None,
) -> dict[str, Any]:
    """Train to the end, or until told to stop, and write `results.json`.

    Args:
        request: what to train, and where.
        hooks: the caller's own, e.g. a progress bar; called on rank 0.
        say: given each line of the log.
        lost: called on a thread of its own when another rank died and this one may hang; has to
            end the process. Without it, a rank that is lost is noticed when an exchange fails.

    Returns:
        What `results.json` holds.

    Raises:
        Interrupted: a signal ended the run in good order; it can be resumed.
        ConfigError: a resumed run's settings differ in what decides its numbers.
        CheckpointError, DataError, NonFiniteLoss: see `engine.fit.fit`.
        RankLost: another rank ended before its time.
    """
    settings = request.settings.train
    ranks = prepare(
        devices=settings.devices,
        precision=settings.precision,
        sync_batchnorm=settings.sync_batchnorm,
    )
    watched = nullcontext() if lost is None else ranks.peers.watched(_say_to(lost))
    with watched, deterministic_algorithms(settings.deterministic), ExitStack() as held:
        try:
            return _train(request, ranks.start(), hooks, say, held)
        except RuntimeError as error:
            # An exchange with a rank that is gone fails in the words of its transport.
            fallen = ranks.peers.fallen(wait=3)
            if fallen is None:
                raise
            ranks.peers.stop()
            raise _rank_lost(fallen) from error


def _say_to(lost: Lost) -> Callable[[str], None]:
    return lambda what: lost(_rank_lost(what))


def _rank_lost(what: str) -> RankLost:
    return RankLost(
        f"{what}; the others were stopped",
        "what was saved before is there: go on with --resume, or begin again",
    )


def _train(
    request: RunRequest, launcher: Launcher, hooks: Hooks | None, say: Say, held: ExitStack
) -> dict[str, Any]:
    """Train on this rank; see `train`. The lock of the run folder goes into `held`."""
    if not launcher.on_gpu:
        keep_freed_memory()
    request.settings.images_at_a_time(launcher.world_size)
    # The default folder's name holds the time, which each rank reads for itself.
    request = replace(request, run=RunFolder(Path(launcher.tell(str(request.run.path)))))
    settings, run, data = request.settings, request.run, request.data
    if launcher.is_main and request.resume:
        held.enter_context(locked(run.path))
    # What `auto` chose belongs to the run: on another machine it goes on in the same arithmetic.
    chosen = settings.train.model_copy(update={"precision": launcher.precision.name})
    settings = settings.model_copy(update={"train": chosen})
    request = replace(request, settings=settings)
    job = request.make_job(settings, data)
    checkpoint = _checkpoint_of(request, job)
    if checkpoint is None:
        _look_at_weights(request, job)
    else:
        job.seen = seen_images_of(checkpoint, run.last) or replace(job.seen, complete=False)
    torch.manual_seed(settings.train.seed)
    task = job.build_task(fresh=checkpoint is None)
    taken = job.take_weights(task, request.init) if request.init is not None else None
    batches = job.batches(launcher)
    watching = job.hooks(run)
    # All that a user can have got wrong is found by now; only then does the folder come to be.
    log = LineLog(run, job.scores, say)
    listeners = [log, *watching, *([EventHook(run)] if EventHook.is_possible() else [])]
    listeners += [hooks] if hooks is not None else []
    if launcher.is_main:
        if not request.resume:
            held.enter_context(locked(run.path))
            run.create()
        write_atomically(run.config, to_yaml(settings))
        write_json(run.environment, describe_environment(launcher, data))
        for line in _opening(job, task, launcher, taken):
            log.write(line)
    launcher.barrier()
    with _explained(job, launcher):
        result = fit(
            task,
            batches,
            settings,
            launcher=launcher,
            run=run,
            hooks=HookList(*listeners),
            monitor=job.scores[0],
            validate=job.validation(launcher),
            data=data.as_dict() | {"seen": job.seen.as_dict()},
            resume=checkpoint,
        )
        return _finish(request, job, task, launcher, result, log)


@contextmanager
def _explained(job: Job, launcher: Launcher) -> Iterator[None]:
    """Say in our own words what PyTorch says of batches too small or too large."""
    try:
        yield
    except ValueError as error:
        # Torch's words for a BatchNorm over a single 1x1 map.
        if "more than 1 value per channel" not in str(error):
            raise
        raise UsageError(
            f"{job.model_name} cannot train on batches of {job.batch}: its norms have a single "
            "value to average",
            f"choose {job.larger}",
        ) from error
    except (RuntimeError, MemoryError) as error:
        # Of a GPU, of numpy, and of PyTorch's allocator for the CPU on Linux and on Windows.
        own = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not own and not re.search("can't allocate memory|not enough memory", str(error)):
            raise
        raise DeviceError(
            f"{launcher.device_name} has too little memory for batches of {job.batch}",
            f"choose {job.smaller}, compute the batch in parts with --set optim.accumulate=2, or "
            "validate fewer at a time with --set train.val_batch_size=1",
        ) from error


def _checkpoint_of(request: RunRequest, job: Job) -> Checkpoint | None:
    """Return the checkpoint to go on from; None for a new run."""
    run = request.run
    if not request.resume:
        return None
    if not run.last.exists():
        raise CheckpointError(
            f"run {run.path} has no {run.last.name} to go on from",
            "begin another one with --init CKPT",
        )
    checkpoint = load_checkpoint(run.last)
    require_same_settings(checkpoint["config"], request.settings, extend=request.extend)
    kept = {key: value for key, value in checkpoint["data"].items() if key != "seen"}
    if kept != request.data.as_dict():
        what = "fingerprint" if kept.get("sha256") != request.data.sha256 else "class set"
        raise ConfigError(
            f"the data in {request.data.root} is not what the run was begun with: "
            f"its {what} differs",
            "restore the files, or begin a new run with --init CKPT",
        )
    total = total_steps(request.settings, job.steps_per_epoch)
    if checkpoint["step"] > total:
        raise UsageError(
            f"{run.path} has done {checkpoint['step']} steps, more than the {total} asked for",
            "extend it to a larger number",
        )
    return checkpoint


def _look_at_weights(request: RunRequest, job: Job) -> None:
    """Note what the weights that a new run starts from were trained on.

    Raises:
        UsageError: on what this run is validated on, without --allow-seen.
        CheckpointError: --init cannot be read.
    """
    if request.init is not None:
        job.accept_weights(
            load_checkpoint(request.init), f"--init {request.init}", allow_seen=request.allow_seen
        )
    if job.weights not in {"none", "imagenet"}:
        try:
            theirs = load_checkpoint(Path(job.weights))
        except CheckpointError:
            # A state dict of another project does not say what it was trained on.
            return
        job.accept_weights(theirs, f"--weights {job.weights}", allow_seen=request.allow_seen)


def _opening(job: Job, task: Task, launcher: Launcher, taken: str | None) -> list[str]:
    """Return the lines that say what is about to be trained."""
    return [
        job.data.layout,
        *job.data.remarks,
        *(f"warning: {line}" for line in job.warnings()),
        f"{job.model_name}: {count_parameters(task.network):,} parameters, "
        f"{launcher.device_name}, {launcher.precision.name} ({launcher.precision.reason})",
        *job.lines(task, launcher),
        *([taken] if taken is not None else []),
    ]


def _finish(
    request: RunRequest,
    job: Job,
    task: Task,
    launcher: Launcher,
    result: FitResult,
    log: LineLog,
) -> dict[str, Any]:
    """Write the results; a finished run is evaluated once more, in fp32, with its best weights."""
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
                f"ended at step {result.step} of {result.total_steps}: none of the last "
                f"{request.settings.train.patience} validations was better than the best"
            )
        log.write("evaluating the best checkpoint in fp32")
        if not run.best.is_file():
            log.write(f"{run.best.name} is missing; {run.last.name} is evaluated instead")
        results["metrics"] = job.score_best(run, launcher)
    if launcher.is_main:
        write_json(run.results, results)
        job.draw(run, result.plan.steps_per_epoch)
    if result.ended == "signal":
        # A rank that ends with a signal's status would be taken for lost while rank 0 still draws.
        launcher.barrier()
        raise Interrupted(
            result.signal,
            f"stopped by a signal after step {result.step} of {result.total_steps}; "
            "everything is saved",
            f"go on with: {resume_command}",
        )
    if launcher.is_main and result.ended == "max_time":
        log.write(
            f"--max-time is over after step {result.step} of {result.total_steps}; "
            f"go on with: {resume_command}"
        )
    return results
