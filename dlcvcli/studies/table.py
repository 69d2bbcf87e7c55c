"""The tables of a study, for people and for programs; which ones, its task says."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dlcvcli.files import write_atomically
from dlcvcli.studies.cells import NONE
from dlcvcli.studies.outcome import RunOutcome, StudyOutcome, spread
from dlcvcli.studies.study_folder import StudyFolder
from dlcvcli.studies.text_table import Table
from dlcvcli.tasks.fewshot import study as fewshot_table
from dlcvcli.tasks.segmentation import study as seg_table


@dataclass(frozen=True)
class Telling:
    """How studies of one task are told.

    Attributes:
        main: a row a run.
        more: what is printed below it, each None where there is nothing.
        whole: what stands in Markdown alone, as it is long.
        page: all of it in tables narrow enough for a page.
        notes: what the measured numbers are.
        extra: columns for programs, beside those that all tasks have.
    """

    main: Callable[[StudyOutcome], Table]
    more: tuple[Callable[[StudyOutcome], Table | None], ...]
    page: Callable[[StudyOutcome], list[Table]]
    notes: Callable[[StudyOutcome], list[str]]
    whole: tuple[Callable[[StudyOutcome], Table], ...] = ()
    extra: Callable[[StudyOutcome, RunOutcome], dict[str, Any]] = lambda outcome, run: {}


_TELLING = {
    "seg": Telling(
        seg_table.main_table,
        (seg_table.difference_table, seg_table.reported_table),
        seg_table.page_tables,
        seg_table.measured_notes,
        whole=(seg_table.class_table,),
    ),
    "fewshot": Telling(
        fewshot_table.main_table,
        (fewshot_table.difference_table,),
        fewshot_table.page_tables,
        fewshot_table.measured_notes,
        extra=fewshot_table.extra_columns,
    ),
}


def main_table(outcome: StudyOutcome) -> Table:
    """Return a row a run, in the definition's order; `marked` is the best one's row."""
    return _telling(outcome).main(outcome)


def further_tables(outcome: StudyOutcome) -> list[Table]:
    """Return what is printed below the main table."""
    found = (make(outcome) for make in _telling(outcome).more)
    return [table for table in found if table is not None]


def page_tables(outcome: StudyOutcome) -> list[Table]:
    """Return all but the classes in tables narrow enough for a page."""
    return _telling(outcome).page(outcome)


def notes_of(outcome: StudyOutcome) -> list[str]:
    """Return what the numbers of the table are, and what a reader has to know of them."""
    kind, lines = outcome.kind, _telling(outcome).notes(outcome)
    if any(getattr(run.run.reported, kind.main) is not None for run in outcome.runs):
        lines.append(
            "Reported: as the report has it, on its data and settings; not a target of this one."
        )
    when = [run.run for run in outcome.runs if run.run.reported.when]
    if when:
        places = "; ".join(f"{run.label}, {run.reported.when}" for run in when)
        lines.append(f"Reported as best at: {places}.")
    if outcome.best is not None:
        lines.append(f"Best mean {kind.main_name}: {outcome.best.run.label}.")
    if outcome.unfinished:
        names = [one.folder.path.relative_to(outcome.folder.path) for one in outcome.unfinished]
        lines.append("Unfinished: " + ", ".join(name.as_posix() for name in names) + ".")
    return lines + outcome.remarks()


def to_markdown(outcome: StudyOutcome) -> str:
    """Return the tables of a study as Markdown."""
    whole = [make(outcome) for make in _telling(outcome).whole]
    title = escape_markdown(outcome.record.definition.title)
    parts = [f"# {title}", _markdown(main_table(outcome))]
    for table in (*further_tables(outcome), *(table for table in whole if table.rows)):
        parts += [f"## {escape_markdown(table.title)}", _markdown(table)]
    return "\n\n".join([*parts, *map(escape_markdown, notes_of(outcome))]) + "\n"


def to_csv(outcome: StudyOutcome) -> str:
    """Return the main table as CSV: plain numbers, an empty field for what does not exist."""
    rows = [_plain_row(outcome, run) for run in outcome.runs]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write_tables(outcome: StudyOutcome, folder: StudyFolder) -> None:
    """Write table.csv and table.md."""
    write_atomically(folder.csv, to_csv(outcome))
    write_atomically(folder.markdown, to_markdown(outcome))


def _plain_row(outcome: StudyOutcome, run: RunOutcome) -> dict[str, Any]:
    kind = outcome.kind
    others = [] if run is outcome.runs[0] else list(outcome.difference(run).values())
    to_first = spread(others)
    row: dict[str, Any] = {
        "run": run.run.name,
        "label": run.run.label,
        "model": run.model,
        "parameters": run.parameters,
        f"reported_{kind.main}": getattr(run.run.reported, kind.main),
        "seeds": len(run.finished),
        "best_epochs": " ".join(f"{epoch:g}" for epoch in run.best_epochs()),
    }
    for key in kind.scores:
        found = run.over_seeds(key)
        row |= {f"{key}_mean": found.mean, f"{key}_sd": found.sd}
    return {
        **row,
        **_telling(outcome).extra(outcome, run),
        "images_per_s": spread(run.told("images_per_s")).mean,
        "peak_memory_mb": max(run.told("peak_memory_mb"), default=None),
        "to_first_mean": to_first.mean,
        "to_first_sd": to_first.sd,
        "best": int(run is outcome.best),
    }


def _telling(outcome: StudyOutcome) -> Telling:
    return _TELLING[outcome.kind.task]


# An underscore inside a word is one in Markdown too, and model names are easier to read with it.
_MARKDOWN = re.compile(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])")


def escape_markdown(text: str) -> str:
    """Return text for one line of Markdown that is shown as it is: no HTML, link or emphasis.

    Labels and the names of classes are the user's, or those of whoever made the set.
    """
    plain = html.escape(" ".join(text.split()), quote=False)
    return _MARKDOWN.sub(r"\\\g<0>", plain)


def _markdown(table: Table) -> str:
    rules = (":---" if place < table.words else "---:" for place in range(len(table.columns)))
    lines = [_line(map(escape_markdown, table.columns)), _line(rules)]
    for number, row in enumerate(table.rows):
        bold = number == table.marked
        cells = ((cell, escape_markdown(cell)) for cell in row)
        lines.append(
            _line(f"**{text}**" if bold and cell != NONE else text for cell, text in cells)
        )
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
