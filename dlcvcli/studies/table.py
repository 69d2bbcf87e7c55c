"""The tables of a study, for people and for programs; their content is the task's."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dlcvcli.files import write_atomically
from dlcvcli.outcomes.along import along_table
from dlcvcli.outcomes.cells import NONE
from dlcvcli.outcomes.runs import Comparison, RunOutcome
from dlcvcli.outcomes.spread import spread
from dlcvcli.outcomes.table import Table
from dlcvcli.studies.latex import LATEX_HEAD, latex_table
from dlcvcli.studies.outcome import StudyOutcome, TaskOutcome
from dlcvcli.studies.study_folder import StudyFolder


def main_table(group: TaskOutcome) -> Table:
    """Return a row a run, in the definition's order; the best one is marked."""
    return group.spec.main_table(group.comparison)


def further_tables(group: TaskOutcome) -> list[Table]:
    """Return what is printed below the main table."""
    makers = (*_along(group), *group.spec.further_tables)
    return _with_rows(make(group.comparison) for make in makers)


def page_tables(group: TaskOutcome) -> list[Table]:
    """Return the tables of a page."""
    return _with_rows(group.spec.page_tables(group.comparison))


def _along(group: TaskOutcome) -> Sequence[Callable[[Comparison], Table]]:
    return [along_table] if group.comparison.along else []


def _with_rows(tables: Iterable[Table]) -> list[Table]:
    return [table for table in tables if table.rows]


def notes_of(outcome: StudyOutcome, group: TaskOutcome) -> list[str]:
    """Return what the numbers of a table are, and what a reader has to know of them."""
    comparison = group.comparison
    lines = group.spec.notes(comparison)
    if any(comparison.main.key in run.reported for run in comparison.runs):
        lines.append(
            "Reported: as in the report, for its data and settings; it is not what this study "
            "should reach."
        )
    places = "; ".join(f"{run.label}, {run.when}" for run in comparison.runs if run.when)
    if places:
        lines.append(f"Reported as best at: {places}.")
    if comparison.best is not None:
        lines.append(f"Best mean {comparison.main.name}: {comparison.best.label}.")
    if comparison.unfinished:
        names = [outcome.relative(one) for one in comparison.unfinished]
        lines.append(f"Unfinished: {', '.join(names)}.")
    return lines + comparison.remarks()


def to_markdown(outcome: StudyOutcome) -> str:
    """Return the tables of a study as Markdown."""
    parts = []
    for group in outcome.groups:
        main = main_table(group)
        complete = _with_rows(make(group.comparison) for make in group.spec.complete_tables)
        parts += [f"# {escape_markdown(main.title)}", _markdown(main)]
        for table in (*further_tables(group), *complete):
            parts += [f"## {escape_markdown(table.title)}", _markdown(table)]
        parts += map(escape_markdown, notes_of(outcome, group))
    return "\n\n".join(parts) + "\n"


def to_latex(outcome: StudyOutcome) -> str:
    """Return the tables of a study's page as LaTeX, with the notes as comments."""
    parts = [LATEX_HEAD]
    for group in outcome.groups:
        along = _with_rows(make(group.comparison) for make in _along(group))
        parts.append("".join(f"% {' '.join(line.split())}\n" for line in notes_of(outcome, group)))
        for number, table in enumerate([*page_tables(group), *along], 1):
            caption = f"{table.title or group.comparison.title}."
            caption += "" if table.marked is None else " The best run is bold."
            label = f"tab:{outcome.record.definition.name}-{group.name}-{number}"
            parts.append(latex_table(table, caption=caption, label=label))
    return "\n".join(parts)


def to_csv(outcome: StudyOutcome) -> str:
    """Return the main tables as CSV: plain numbers, an empty field for what does not exist."""
    several = len(outcome.groups) > 1
    rows = [
        ({"task": group.name} if several else {}) | _plain_row(group, run)
        for group in outcome.groups
        for run in group.comparison.runs
    ]
    out = io.StringIO()
    columns = dict.fromkeys(key for row in rows for key in row)
    writer = csv.DictWriter(out, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write_tables(outcome: StudyOutcome, folder: StudyFolder) -> None:
    """Write table.csv, table.md and table.tex."""
    write_atomically(folder.csv, to_csv(outcome))
    write_atomically(folder.markdown, to_markdown(outcome))
    write_atomically(folder.latex, to_latex(outcome))


def _plain_row(group: TaskOutcome, run: RunOutcome) -> dict[str, Any]:
    comparison = group.comparison
    main, is_first = comparison.main.key, run is comparison.first_beside(run)
    to_first = spread([] if is_first else list(comparison.difference(run).values()))
    best = max if comparison.main.higher_is_better else min
    row: dict[str, Any] = {
        "run": run.name,
        "label": run.label,
        "model": run.model,
        "parameters": run.parameters,
        f"reported_{main}": run.reported.get(main),
        "seeds": len(run.finished),
        "best_epochs": " ".join(f"{epoch:g}" for epoch in run.best_epochs()),
        f"{main}_best": best(comparison.values(run).values(), default=None),
    }
    for score in comparison.scores:
        measured = run.over_seeds(score.key)
        row |= {f"{score.key}_mean": measured.mean, f"{score.key}_sd": measured.sd}
    return {
        **row,
        **group.spec.columns(comparison, run),
        "images_per_s": run.images_per_s,
        "peak_memory_mb": run.peak_memory_mb,
        "to_first_mean": to_first.mean,
        "to_first_sd": to_first.sd,
        "best": int(run is comparison.best),
    }


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
