"""Run a study: each training in a process of its own, resumable at any moment."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dlcvcli.config.load import parse_set, validate
from dlcvcli.config.schema import RESUMABLE_CHANGES, RunSettings
from dlcvcli.errors import AlreadySaid, ConfigError, Interrupted, UsageError
from dlcvcli.locks import locked
from dlcvcli.outcomes.cells import four_digits
from dlcvcli.outcomes.runs import read_results, state_of
from dlcvcli.outcomes.spec import SyntheticSet
from dlcvcli.processes import run_dlcv
from dlcvcli.studies.definition import StudyDefinition, StudyFigures, given_name, study_spec
from dlcvcli.studies.given import (
    Paths,
    left_out,
    require_given,
    require_same_weights,
    with_digests,
)
from dlcvcli.studies.plan import (
    PlannedRun,
    command_line,
    own_data,
    placed,
    planned_runs,
    study_settings,
    train_arguments,
)
from dlcvcli.studies.study_folder import StudyFolder, StudyRecord, require_same_study
from dlcvcli.tasks.registry import TASKS

Say = Callable[[str], None]


@dataclass(frozen=True)
class StudyRequest:
    """The options of `dlcv study run`.

    Attributes:
        definition: the study.
        called: its name or file, as the user typed it.
        folder: of everything that is written.
        data: the data folder; None for that which the study was started with, or a synthetic set.
        seeds: their number; None for that which the study was started with, else one.
        sets: `--set` texts, for every run.
        only: names of runs; empty for all.
        devices: ranks of each run; None for the default.
        given: name -> what the user gave beside the data, from `parse_given`.
    """

    definition: StudyDefinition
    called: str
    folder: StudyFolder
    data: Path | None = None
    seeds: int | None = None
    sets: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    devices: int | None = None
    given: Paths = field(default_factory=dict)


def run_study(request: StudyRequest, *, say: Say) -> StudyRecord:
    """Train the runs of a study that are not finished.

    Args:
        request: the options.
        say: called with each line of progress.

    Returns:
        What the study was started with.

    Raises:
        UsageError: no data or weights, an unknown run, or a folder that is not a study's.
        ConfigError: the study was started with other settings, or on other data.
        DataError: a data folder cannot be used.
        DlcvError: another process runs a study in the folder.
        Interrupted: a signal stopped it, and everything is saved; the hint has the command that
            continues it.
        AlreadySaid: a training failed; carries its exit status.
    """
    folder, definition = request.folder, request.definition
    settings = study_settings(definition, request.sets)
    before = folder.read() if folder.record.is_file() else None
    if before is not None:
        require_same_study(folder, before, definition, settings)
    seeds = request.seeds or (before.seeds if before is not None else 1)
    given = {**(before.paths if before is not None else {}), **request.given}
    # Before anything is written: a mistyped run is reported at once.
    planned = planned_runs(definition, folder, seeds, request.only, given)
    require_given(definition, given, request.only)
    _require_starts(planned)
    if before is None and request.data is None and definition.needs_data:
        raise UsageError(
            f"the study '{definition.name}' needs data", "give a folder with --data DIR"
        )
    if before is None and request.data is not None:
        for task in dict.fromkeys(run.task for run in definition.runs if run.data is None):
            study_spec(task).recognise(request.data)
    for one in planned:
        if one.seed == 0 and given_name(one.run.data) in request.given and one.data is not None:
            study_spec(one.run.task).recognise(one.data)
    folder.begin()
    with locked(folder.path):
        return _run_started(replace(request, given=given), settings, before, planned, say)


def _run_started(
    request: StudyRequest,
    settings: dict[str, RunSettings],
    before: StudyRecord | None,
    planned: Sequence[PlannedRun],
    say: Say,
) -> StudyRecord:
    """Run a study in its folder, which is locked."""
    folder, definition = request.folder, request.definition
    seeds = request.seeds or (before.seeds if before is not None else 1)
    record = StudyRecord(
        definition=definition,
        sets=request.sets,
        settings=settings,
        data=str(_data_folder(request, before, say)),
        seeds=max(seeds, before.seeds if before is not None else 0),
        given=with_digests(definition, request.given, {} if before is None else before.given),
    )
    # The data of every planned run: a set may be large enough for some of them only.
    runs = {one.run.name: one for one in planned if one.seed == 0}
    _make_own_sets(runs.values(), say)
    opened = (
        study_spec(one.run.task).open(placed(settings[name], one.data or record.data, 0))
        for name, one in runs.items()
    )
    layouts = dict.fromkeys(one.layout for one in opened)
    if before is not None:
        _require_same_inputs(folder, before, record)
    folder.write(record)
    count = "1 training" if len(planned) == 1 else f"{len(planned)} trainings"
    say(f"{definition.title}: {count} into {folder.path}; {'; '.join(layouts)}")
    for name, why in left_out(definition, request.given).items():
        say(f"{name}: {why}")
    _train_all(request, record, planned, say)
    return record


def continue_command(request: StudyRequest) -> str:
    """Return the command that continues a study."""
    data = [] if request.data is None else ["--data", str(request.data)]
    seeds = [] if request.seeds is None else ["--seeds", str(request.seeds)]
    devices = [] if request.devices is None else ["--devices", str(request.devices)]
    given = [w for name, path in request.given.items() for w in ("--given", f"{name}={path}")]
    sets = [word for text in request.sets for word in ("--set", text)]
    only = [word for name in request.only for word in ("--only", name)]
    flags = [*data, *given, "--out", str(request.folder.path), *seeds, *sets, *only, *devices]
    return command_line(["study", "run", request.called, *flags])


def choose_images(figures: StudyFigures, names: Sequence[str]) -> tuple[str, ...]:
    """Return the validation images to show: those that figures name, else the first few."""
    return tuple(name for name in figures.images if name in names) or tuple(names[: figures.first])


def _train_all(
    request: StudyRequest, record: StudyRecord, planned: Sequence[PlannedRun], say: Say
) -> None:
    for number, one in enumerate(planned, 1):
        title = f"{number}/{len(planned)} {one.title}"
        results = read_results(one.folder)
        if results is not None:
            say(f"{title}: done before, {_score(one, results)}")
            continue
        missing = _missing_start(one)
        if missing is not None:
            say(f"{title}: left out, as run '{missing}' that it starts from is not finished")
            continue
        try:
            arguments, how = _arguments(request, record, one)
            say(f"{title}: {how}")
            run_dlcv(arguments)
        except AlreadySaid:
            say(f"{title} failed; fix the cause, then continue with: {continue_command(request)}")
            raise
        except (Interrupted, KeyboardInterrupt) as error:
            which = error.status - 128 if isinstance(error, Interrupted) else signal.SIGINT
            raise Interrupted(
                int(which),
                f"the study was stopped at {title}; finished steps are kept",
                f"continue with: {continue_command(request)}",
            ) from None
        results = read_results(one.folder)
        if results is None:
            say(f"{title}: not finished, and left as it is")
        else:
            say(f"{title}: {_score(one, results)}")


def _arguments(
    request: StudyRequest, record: StudyRecord, one: PlannedRun
) -> tuple[list[str], str]:
    """Return the arguments of `dlcv` that begin or continue a run, and what is said of it."""
    if one.folder.last.is_file():
        devices = [] if request.devices is None else ["--devices", str(request.devices)]
        # What changes no number may differ from session to session, such as --max-time.
        sets = [
            word
            for text in request.sets
            if parse_set(text)[0] in RESUMABLE_CHANGES
            for word in ("--set", text)
        ]
        data = str(one.data or record.data)
        resume = ("train", one.run.task, "--resume", str(one.folder.path), "--data", data)
        return [*resume, *devices, *sets], "continuing"
    if state_of(one.folder) != "not started":
        # Stopped before its first checkpoint, which is written before the first step.
        shutil.rmtree(one.folder.path)
    settings, figures = record.settings[one.run.name], record.definition.figures
    spec = study_spec(one.run.task)
    images: tuple[str, ...] = ()
    if any(map(figures.draws, spec.image_figures)):
        opened = spec.open(placed(settings, one.data or record.data, one.seed))
        images = choose_images(figures, opened.images)
    arguments = train_arguments(
        one, data=record.data, sets=request.sets, images=images, devices=request.devices
    )
    shown = f", showing {', '.join(images)}" if images else ""
    return arguments, f"{settings.model.name}{shown}"


def _data_folder(request: StudyRequest, before: StudyRecord | None, say: Say) -> Path:
    """Return the data folder of the study, after making its synthetic set where it has one."""
    if request.data is not None:
        return request.data.resolve()
    target = request.folder.data.resolve()
    # A study's folder that was moved contains its synthetic set.
    if before is not None and (Path(before.data).is_dir() or not target.is_dir()):
        return Path(before.data)
    if request.definition.data is not None:
        _make(request.definition.data, target, say)
    return target


def _make_own_sets(runs: Iterable[PlannedRun], say: Say) -> None:
    """Make the synthetic sets that runs have of their own."""
    for one in runs:
        if isinstance(one.run.data, SyntheticSet) and one.data is not None:
            _make(one.run.data, one.data, say)


def _make(synthetic: SyntheticSet, target: Path, say: Say) -> None:
    if not target.is_dir():
        say(f"making {synthetic.describe()} in {target}")
        synthetic.make(target)


def _require_starts(planned: Sequence[PlannedRun]) -> None:
    """Refuse a run that starts from one which is neither finished nor planned."""
    coming = {one.folder.path for one in planned}
    for one in planned:
        missing = _missing_start(one, coming)
        if missing is not None:
            raise UsageError(
                f"{one.title} starts from run '{missing}', which is not finished with that seed",
                f"train that too: --only {missing} --only {one.run.name}",
            )


def _missing_start(one: PlannedRun, coming: Collection[Path] = ()) -> str | None:
    """Return the run that another needs and that is not finished, if any.

    Args:
        one: the run to train; once it has a checkpoint, it needs no other run.
        coming: folders of runs that will be trained.
    """
    if one.folder.last.is_file():
        return None
    for name, first in one.earlier.items():
        if first.path not in coming and read_results(first) is None:
            return name
    return None


def _require_same_inputs(folder: StudyFolder, before: StudyRecord, now: StudyRecord) -> None:
    """Refuse other weights or data folders, unless their content is what runs were started with."""
    planned = planned_runs(before.definition, folder, before.seeds, given=before.paths)
    started = [one for one in planned if one.folder.environment.is_file()]
    names = dict.fromkeys(one.run.name for one in started)
    require_same_weights(before.definition, before.given, now.given, names)
    checked = set()
    for one in started:
        old = one.data or Path(before.data)
        new = own_data(now.definition, folder, one.run, now.paths) or Path(now.data)
        if old != new and old not in checked:
            checked.add(old)
            _require_same_data(folder, one, old, new)


def _require_same_data(folder: StudyFolder, one: PlannedRun, old: Path, new: Path) -> None:
    known = json.loads(one.folder.environment.read_text(encoding="utf-8"))["data"]["sha256"]
    settings = validate(TASKS[one.run.task].settings(), one.folder.read_config())
    if study_spec(one.run.task).fingerprints(placed(settings, new, one.seed)) != known:
        raise ConfigError(
            f"the data in {new} is not what the study in {folder.path} was started with ({old})",
            "give the folder that it was started with, or choose another --out",
        )


def _score(one: PlannedRun, results: dict[str, Any]) -> str:
    score = TASKS[one.run.task].scores[0]
    return f"{score.name} {four_digits(results['metrics'][score.key])}"
