"""Tables, figures and page of a study, written from the content of its folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dlcvcli.config.load import differences
from dlcvcli.files import write_json
from dlcvcli.outcomes.along import along_section, draw_along
from dlcvcli.outcomes.cells import NONE
from dlcvcli.outcomes.page import Section
from dlcvcli.outcomes.runs import RunOutcome
from dlcvcli.runs import RunFolder
from dlcvcli.studies.outcome import StudyOutcome, TaskOutcome, read_outcome
from dlcvcli.studies.pages import write_page
from dlcvcli.studies.plan import command_line, origins, planned_runs, train_arguments, value_at
from dlcvcli.studies.study_folder import StudyFolder
from dlcvcli.studies.table import notes_of, page_tables, write_tables

# Shown elsewhere on the page, or the same for every run.
_UNSHOWN = ("data.path", "train.seed", "snapshot.images")


def report_study(folder: StudyFolder) -> StudyOutcome:
    """Write results.json, the tables, the figures and the page; runs need not be finished.

    Raises:
        DataError: it is no study's folder.
        ConfigError: its record does not fit.
    """
    outcome = read_outcome(folder)
    write_json(folder.results, outcome.as_dict())
    write_tables(outcome, folder)
    write_study_page(outcome, draw_study(outcome))
    return outcome


def draw_study(outcome: StudyOutcome) -> dict[str, list[Section]]:
    """Replace the figures of a study; return group -> the sections of the page that show them.

    Several groups have a folder of figures each.
    """
    for old in outcome.folder.figures.rglob("*.png"):
        old.unlink()
    several = len(outcome.groups) > 1
    sections = {}
    for group in outcome.groups:
        folder = outcome.folder.figures / group.name if several else outcome.folder.figures
        sections[group.name] = _sections(outcome, group, folder)
    return sections


def _sections(outcome: StudyOutcome, group: TaskOutcome, folder: Path) -> list[Section]:
    """Draw the figures of a task, without those that the definition switches off."""
    spec, figures = group.spec, outcome.record.definition.figures
    pictures = {
        name: spec.draw(name, group.comparison, folder) if figures.draws(name) else []
        for name in spec.figures
    }
    sections = spec.sections(group.comparison, pictures)
    if group.comparison.along:
        sections.insert(0, along_section(group.comparison, draw_along(group.comparison, folder)))
    return [one for one in sections if not one.is_empty]


def write_study_page(outcome: StudyOutcome, sections: dict[str, list[Section]]) -> None:
    """Write the page of a study."""
    write_page(
        outcome.folder.page,
        "study.html.j2",
        {
            "study": outcome.record.definition,
            "seeds": outcome.record.seeds,
            "runs": outcome.runs,
            "finished": sum(len(run.finished) for run in outcome.runs),
            "trainings": sum(len(run.seeds) for run in outcome.runs),
            "unfinished": [(outcome.relative(one), one) for one in outcome.unfinished],
            "groups": [
                {
                    "name": group.name,
                    "labels": [run.label for run in group.comparison.runs],
                    "tables": page_tables(group),
                    "notes": notes_of(outcome, group),
                    "sections": sections[group.name],
                    "settings": settings_that_differ(outcome, group),
                }
                for group in outcome.groups
            ],
            "drawn": any(one.pictures for group in sections.values() for one in group),
            "commands": commands_of(outcome),
            "machines": machines_of(outcome.runs),
        },
    )


def settings_that_differ(outcome: StudyOutcome, group: TaskOutcome) -> dict[str, list[str]]:
    """Return dotted key -> its value in each run, for the keys in which the runs differ."""
    names = {run.name for run in group.comparison.runs}
    runs = [run for run in outcome.record.definition.runs if run.name in names]
    settings = [outcome.record.settings[run.name] for run in runs]
    keys = sorted({key for other in settings[1:] for key in differences(settings[0], other)})
    differing = {
        name: [value or NONE for value in values] for name, values in origins(runs).items()
    }
    for key in keys:
        complete = any(other.startswith(f"{key}.") for other in keys)
        if key not in _UNSHOWN and not complete:
            differing[key] = [value_at(one, key) for one in settings]
    return differing


def commands_of(outcome: StudyOutcome) -> list[str]:
    """Return the command line of each training, seed after seed."""
    record = outcome.record
    return [
        command_line(
            train_arguments(one, data=record.data, sets=record.sets, images=_images_of(one.folder))
        )
        for one in planned_runs(record.definition, outcome.folder, record.seeds, given=record.paths)
    ]


def machines_of(runs: Iterable[RunOutcome]) -> list[dict[str, Any]]:
    """Return the machines and versions of the runs, without repetition."""
    machines: dict[str, dict[str, Any]] = {}
    for run in runs:
        for one in run.seeds:
            if one.environment is not None:
                keys = ("dlcv", "python", "platform", "cores", "device", "ranks", "precision")
                machine = {key: one.environment[key] for key in (*keys, "versions")}
                machines[json.dumps(machine, sort_keys=True)] = machine
    return list(machines.values())


def _images_of(run: RunFolder) -> list[str]:
    """Return the images that a run was started with; none for one that was not started."""
    config = run.read_config() if run.config.is_file() else {}
    return list(config.get("snapshot", {}).get("images", ()))
