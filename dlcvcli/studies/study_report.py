"""Tables, figures and page of a study, written again from what its folder holds."""

from __future__ import annotations

import json
from typing import Any

from dlcvcli.config.load import differences
from dlcvcli.files import write_json
from dlcvcli.palette import ClassSet, Colour
from dlcvcli.runs import RunFolder
from dlcvcli.studies.outcome import RunOutcome, StudyOutcome, read_outcome
from dlcvcli.studies.pages import write_page
from dlcvcli.studies.plan import command_line, planned_runs, train_arguments, value_at
from dlcvcli.studies.study_figures import StudyPictures, draw_study
from dlcvcli.studies.study_folder import StudyFolder
from dlcvcli.studies.table import notes_of, page_tables, write_tables
from dlcvcli.tasks.segmentation.study import class_table
from dlcvcli.tasks.segmentation.worked_example import worked_example

# Told elsewhere on the page, or the same for every run.
_UNSHOWN = ("data.path", "train.seed", "snapshot.images")


def report_study(folder: StudyFolder) -> StudyOutcome:
    """Write results.json, both tables, the figures and the page; runs need not be finished.

    Raises:
        DataError: it is no study's folder.
        ConfigError: its record does not fit.
    """
    outcome = read_outcome(folder)
    write_json(folder.results, outcome.as_dict())
    write_tables(outcome, folder)
    write_study_page(outcome, draw_study(outcome))
    return outcome


def write_study_page(outcome: StudyOutcome, pictures: StudyPictures) -> None:
    """Tell a study on one page."""
    shown = outcome.best or next((run for run in outcome.runs if run.finished), None)
    example = None
    if shown is not None and outcome.classes:
        example = worked_example(shown.finished[min(shown.finished)]["metrics"])
    write_page(
        outcome.folder.page,
        "study.html.j2",
        {
            "study": outcome.record.definition,
            "outcome": outcome,
            "finished": sum(len(run.finished) for run in outcome.runs),
            "trainings": sum(len(run.seeds) for run in outcome.runs),
            "tables": page_tables(outcome),
            "remarks": notes_of(outcome),
            "classes": class_table(outcome),
            "colours": _colours(outcome),
            "pictures": pictures,
            "example": example,
            "shown": shown,
            "settings": settings_that_differ(outcome),
            "commands": commands_of(outcome),
            "machines": machines_of(outcome.runs),
            "unfinished": [
                {
                    "name": one.folder.path.relative_to(outcome.folder.path).as_posix(),
                    "state": one.state,
                    "step": one.step,
                }
                for one in outcome.unfinished
            ],
        },
    )


def settings_that_differ(outcome: StudyOutcome) -> dict[str, list[str]]:
    """Return dotted key -> its value in each run, for the keys in which the runs differ."""
    settings = [outcome.record.settings[run.run.name] for run in outcome.runs]
    keys = sorted({key for other in settings[1:] for key in differences(settings[0], other)})
    found = {}
    if any(run.run.init for run in outcome.runs):
        found["begins from"] = [run.run.init or "–" for run in outcome.runs]
    for key in keys:
        whole = any(other.startswith(f"{key}.") for other in keys)
        if key not in _UNSHOWN and not whole:
            found[key] = [value_at(one, key) for one in settings]
    return found


def commands_of(outcome: StudyOutcome) -> list[str]:
    """Return the command line of each training, seed after seed."""
    record = outcome.record
    return [
        command_line(
            train_arguments(one, data=record.data, sets=record.sets, images=_images_of(one.folder))
        )
        for one in planned_runs(record.definition, outcome.folder, record.seeds)
    ]


def machines_of(runs: tuple[RunOutcome, ...]) -> list[dict[str, Any]]:
    """Return what the runs were made with: each machine and set of versions once."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        for one in run.seeds:
            if one.environment is not None:
                keys = ("dlcv", "python", "platform", "cores", "device", "ranks", "precision")
                machine = {key: one.environment[key] for key in (*keys, "versions")}
                found[json.dumps(machine, sort_keys=True)] = machine
    return list(found.values())


def _colours(outcome: StudyOutcome) -> dict[str, Colour]:
    """Return class -> its colour; empty where classes have none."""
    if not outcome.record.classes:
        return {}
    classes = ClassSet.from_dict(outcome.record.classes)
    return dict(zip(classes.names, classes.colours, strict=True))


def _images_of(run: RunFolder) -> list[str]:
    """Return the images that a run was begun with; those of a run to come are not known yet."""
    config = run.read_config() if run.config.is_file() else {}
    return list(config.get("snapshot", {}).get("images", ()))
