"""The table of tasks, and which of them a model or a run belongs to."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from dlcvcli.errors import CheckpointError, DataError, ModelFileError, UsageError, naming, nearest
from dlcvcli.tasks.classification import spec as classification
from dlcvcli.tasks.fewshot import spec as fewshot
from dlcvcli.tasks.segmentation import spec as segmentation

if TYPE_CHECKING:
    from dlcvcli.exporting.subject import Subject
    from dlcvcli.flags import ExportFlags
    from dlcvcli.runs import ModelRef, RunFolder
    from dlcvcli.tasks.spec import TaskSpec

TASKS: dict[str, TaskSpec] = {
    spec.name: spec for spec in (segmentation.SPEC, classification.SPEC, fewshot.SPEC)
}


def task_named(name: str) -> TaskSpec:
    """Return a task by its name.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in TASKS:
        raise UsageError(f"no task is called '{name}'", nearest(name, TASKS))
    return TASKS[name]


def task_of_run(run: RunFolder) -> TaskSpec:
    """Return the task of a run folder.

    Raises:
        DataError: its settings cannot be read, or name a task that this dlcv does not have.
    """
    name = run.read_config().get("task")
    if name not in TASKS:
        raise DataError(f"{run.config} names task {name!r}; this dlcv has {', '.join(TASKS)}")
    return TASKS[name]


def task_of(ref: ModelRef) -> TaskSpec:
    """Return the task of a model.

    Torch is needed only for a checkpoint without a run; its tensors are not loaded.

    Raises:
        ModelFileError, CheckpointError: the file cannot be used.
        MissingExtra: a checkpoint without a run, and torch is not installed.
    """
    if ref.kind == "onnx":
        from dlcvcli.runtime.metadata import read_task
        from dlcvcli.runtime.session import read_metadata

        name = read_task(read_metadata(ref.path), ref.path)
        if name not in TASKS:
            raise ModelFileError(
                f"{ref.path} is a model of task {name!r}; this dlcv has {', '.join(TASKS)}"
            )
        return TASKS[name]
    if ref.run is not None:
        # The checkpoint names it as well, so settings that cannot be read are no obstacle.
        with contextlib.suppress(DataError, OSError):
            return task_of_run(ref.run)
    from dlcvcli.extras import require_torch

    require_torch("reading a PyTorch checkpoint")
    from dlcvcli.engine.checkpoint import read_config

    name = read_config(ref.path).get("task", "")
    if name not in TASKS:
        raise CheckpointError(
            f"{ref.path} is a model of task {name!r}; this dlcv has {', '.join(TASKS)}"
        )
    return TASKS[name]


def open_subject(spec: TaskSpec, ref: ModelRef, flags: ExportFlags) -> Subject:
    """Load a checkpoint for its export.

    Raises:
        CheckpointError: it cannot be used; names the file.
        UsageError: models of the task cannot be exported.
    """
    from dlcvcli.engine.checkpoint import load_checkpoint
    from dlcvcli.files import sha256_of
    from dlcvcli.tasks.spec import SubjectRequest

    if spec.subject is None:
        raise UsageError(f"{ref.path} is {spec.noun}, which cannot be exported")
    checkpoint = load_checkpoint(ref.path)
    with naming(ref.path):
        return spec.subject(SubjectRequest(ref.path, checkpoint, sha256_of(ref.path), flags))
