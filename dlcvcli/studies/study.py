"""Running a study: each training in a process of its own, resumable at any moment."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlcvcli.config.load import parse_set, validate
from dlcvcli.config.schema import RESUMABLE_CHANGES
from dlcvcli.errors import AlreadySaid, ConfigError, Interrupted, UsageError
from dlcvcli.locks import locked
from dlcvcli.processes import run_dlcv
from dlcvcli.studies.definition import StudyDefinition, StudyFigures
from dlcvcli.studies.kinds import StudySettings
from dlcvcli.studies.plan import (
    PlannedRun,
    command_line,
    planned_runs,
    study_settings,
    train_arguments,
)
from dlcvcli.studies.study_data import DATA, placed
from dlcvcli.studies.study_folder import (
    StudyFolder,
    StudyRecord,
    read_results,
    require_same_study,
    state_of,
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class StudyRequest:
    """What `dlcv study run` was asked for.

    Attributes:
        definition: the study.
        called: its name or file, as the user wrote it.
        folder: where everything goes.
        data: the data folder; None for the one that the folder was begun with, or that is made.
        seeds: how many; None for as many as the folder was begun with, else one.
        sets: `--set` texts, for every run.
        only: names of runs; none for all.
        devices: ranks of each run; None for the default.
    """

    definition: StudyDefinition
    called: str
    folder: StudyFolder
    data: Path | None = None
    seeds: int | None = None
    sets: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    devices: int | None = None


def run_study(request: StudyRequest, *, say: Say) -> StudyRecord:
    """Train what a study still lacks; what is finished is left as it is.

    Args:
        request: what was asked for.
        say: given each line of progress.

    Returns:
        What the study's folder was begun with.

    Raises:
        UsageError: no data, an unknown run, or a folder that is not a study's.
        ConfigError: the study was begun with other settings, or on other data.
        DataError: the data folder cannot be used.
        DlcvError: another process runs a study in the folder.
        Interrupted: a signal ended it in good order; the hint has the command to go on.
        AlreadySaid: a training failed; carries its exit status.
    """
    folder, definition = request.folder, request.definition
    settings = study_settings(definition, request.sets)
    before = folder.read() if folder.record.is_file() else None
    if before is not None:
        require_same_study(folder, before, definition, settings)
    seeds = request.seeds or (before.seeds if before is not None else 1)
    # Asked about before anything is made: a mistyped run is said at once.
    planned = planned_runs(definition, folder, seeds, request.only)
    _require_their_beginnings(planned)
    if before is None and request.data is None and definition.data is None:
        raise UsageError(
            f"the study '{definition.name}' needs data", "give a folder with --data DIR"
        )
    if before is None and request.data is not None:
        DATA[definition.task].recognise(request.data)
    folder.begin()
    with locked(folder.path):
        return _run_begun(request, settings, before, planned, say)


def _run_begun(
    request: StudyRequest,
    settings: dict[str, StudySettings],
    before: StudyRecord | None,
    planned: Sequence[PlannedRun],
    say: Say,
) -> StudyRecord:
    """Run a study in its folder, which no other process works in."""
    folder, definition = request.folder, request.definition
    seeds = request.seeds or (before.seeds if before is not None else 1)
    data = _data_folder(request, before, say)
    # Of every run that is to come: a set may be large enough for some of them only.
    names = dict.fromkeys([definition.runs[0].name, *(one.run.name for one in planned)])
    each = [DATA[definition.task].open(placed(settings[name], data, 0)) for name in names]
    opened = each[0]
    if before is not None and Path(before.data) != data:
        _require_same_data(folder, before, data)
    record = StudyRecord(
        definition=definition,
        sets=request.sets,
        settings=settings,
        data=str(data),
        classes=opened.classes,
        seeds=max(seeds, before.seeds if before is not None else 0),
    )
    folder.write(record)
    count = "1 training" if len(planned) == 1 else f"{len(planned)} trainings"
    say(f"{definition.title}: {count} into {folder.path}; {opened.layout}")
    _train_all(request, record, planned, say)
    return record


def go_on_command(request: StudyRequest) -> str:
    """Return the command that goes on with a study."""
    data = [] if request.data is None else ["--data", str(request.data)]
    seeds = [] if request.seeds is None else ["--seeds", str(request.seeds)]
    devices = [] if request.devices is None else ["--devices", str(request.devices)]
    sets = [word for text in request.sets for word in ("--set", text)]
    only = [word for name in request.only for word in ("--only", name)]
    flags = [*data, "--out", str(request.folder.path), *seeds, *sets, *only, *devices]
    return command_line(["study", "run", request.called, *flags])


def choose_images(figures: StudyFigures, names: Sequence[str]) -> tuple[str, ...]:
    """Return which validation images to show: the wished ones there are, else the first few."""
    wished = tuple(name for name in figures.images if name in names)
    return wished or tuple(names[: figures.first])


def _train_all(
    request: StudyRequest, record: StudyRecord, planned: Sequence[PlannedRun], say: Say
) -> None:
    main = record.definition.kind.main_name
    for number, one in enumerate(planned, 1):
        title = f"{number}/{len(planned)} {one.title}"
        results = read_results(one.folder)
        if results is not None:
            say(f"{title}: done before, {main} {_score(record, results)}")
            continue
        if not _can_begin(one):
            say(f"{title}: left out, as run '{one.run.init}' that it begins from is not finished")
            continue
        try:
            arguments, how = _arguments(request, record, one)
            say(f"{title}: {how}")
            run_dlcv(arguments)
        except AlreadySaid:
            say(f"{title} failed; mend it, and go on with: {go_on_command(request)}")
            raise
        except (Interrupted, KeyboardInterrupt) as error:
            number_of = error.status - 128 if isinstance(error, Interrupted) else signal.SIGINT
            raise Interrupted(
                int(number_of),
                f"the study was stopped at {title}; what is done is kept",
                f"go on with: {go_on_command(request)}",
            ) from None
        results = read_results(one.folder)
        if results is None:
            say(f"{title}: not finished, and left as it is")
        else:
            say(f"{title}: {main} {_score(record, results)}")


def _arguments(
    request: StudyRequest, record: StudyRecord, one: PlannedRun
) -> tuple[list[str], str]:
    """Return what to call dlcv with to begin a run or to go on with it, and how to say so."""
    if one.folder.last.is_file():
        devices = [] if request.devices is None else ["--devices", str(request.devices)]
        # What changes no number may be another one in every session, such as --max-time.
        sets = [
            word
            for text in request.sets
            if parse_set(text)[0] in RESUMABLE_CHANGES
            for word in ("--set", text)
        ]
        resume = ("train", one.task, "--resume", str(one.folder.path), "--data", record.data)
        return [*resume, *devices, *sets], "going on"
    if state_of(one.folder) != "not begun":
        # Broken off before its first checkpoint, which is written before the first step.
        shutil.rmtree(one.folder.path)
    settings, figures = record.settings[one.run.name], record.definition.figures
    images: tuple[str, ...] = ()
    if record.definition.kind.shows_images and (figures.snapshots or figures.side_by_side):
        opened = DATA[one.task].open(placed(settings, record.data, one.seed))
        images = choose_images(figures, opened.images)
    arguments = train_arguments(
        one, data=record.data, sets=request.sets, images=images, devices=request.devices
    )
    shown = f", showing {', '.join(images)}" if images else ""
    return arguments, f"{settings.model.name}{shown}"


def _data_folder(request: StudyRequest, before: StudyRecord | None, say: Say) -> Path:
    """Return the data folder, making the set where the study brings its own."""
    if request.data is not None:
        return request.data.resolve()
    made, target = request.definition.data, request.folder.data.resolve()
    # A folder that was moved brings the set that it made along.
    if before is not None and (Path(before.data).is_dir() or not target.is_dir()):
        return Path(before.data)
    if made is not None and not target.is_dir():
        say(f"making {made.describe()} in {target}")
        made.make(target)
    return target


def _require_their_beginnings(planned: Sequence[PlannedRun]) -> None:
    """Refuse a run that begins from one which is not finished and is not to be trained before."""
    coming = {one.folder.path for one in planned}
    for one in planned:
        if one.init is not None and one.init.path not in coming and not _can_begin(one):
            raise UsageError(
                f"{one.title} begins from run '{one.run.init}', which is not finished with that "
                "seed",
                f"train that too: --only {one.run.init} --only {one.run.name}",
            )


def _can_begin(one: PlannedRun) -> bool:
    """Say whether the run that another begins from is finished, or no longer needed."""
    return one.init is None or one.folder.last.is_file() or read_results(one.init) is not None


def _require_same_data(folder: StudyFolder, before: StudyRecord, data: Path) -> None:
    """Refuse another data folder, unless its files are those that the runs were begun with."""
    for one in planned_runs(before.definition, folder, before.seeds):
        if not one.folder.environment.is_file():
            continue
        known = json.loads(one.folder.environment.read_text(encoding="utf-8"))["data"]["sha256"]
        settings = validate(before.definition.kind.schema, one.folder.read_config())
        if DATA[one.task].fingerprints(placed(settings, data, one.seed)) != known:
            raise ConfigError(
                f"the data in {data} is not what the study in {folder.path} was begun with "
                f"({before.data})",
                "give the folder that it was begun with, or choose another --out",
            )
        return


def _score(record: StudyRecord, results: dict[str, Any]) -> str:
    value = results["metrics"][record.definition.kind.main]
    return "–" if value is None else f"{value:.4f}"
