"""Scores of runs along one setting, such as the fraction of the labels. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dlcvcli.outcomes.cells import NONE, with_spread
from dlcvcli.outcomes.page import Picture, Section
from dlcvcli.outcomes.runs import Comparison, RunOutcome
from dlcvcli.outcomes.table import Table


def along_table(comparison: Comparison) -> Table:
    """Return a row for each line of runs, a column for each place; none without places."""
    lines = _lines(comparison)
    places = sorted({place for runs in lines.values() for place in runs})
    rows = tuple(
        (label, *(_score(comparison, runs.get(place)) for place in places))
        for label, runs in lines.items()
    )
    title = f"{comparison.main.name} along the {comparison.along}"
    return Table(title, ("run", *(f"{place:g}" for place in places)), rows)


def draw_along(comparison: Comparison, folder: Path) -> list[Picture]:
    """Draw the main score along the places, a line for each line of runs with its deviation."""
    from dlcvcli.figures.score_lines import score_lines
    from dlcvcli.figures.style import save

    key, score = comparison.main.key, comparison.main.name
    lines = {
        label: [
            (place, measured.mean, measured.sd)
            for place, run in sorted(runs.items())
            if (measured := run.over_seeds(key)).mean is not None
        ]
        for label, runs in _lines(comparison).items()
    }
    if sum(map(len, lines.values())) < 2:
        return []
    path = folder / "along.png"
    save(score_lines(lines, x=comparison.along, y=score), path)
    bars = ", with bars of ±1 standard deviation over seeds" if comparison.seeds > 1 else ""
    caption = f"The {score} of the best checkpoints along the {comparison.along}{bars}."
    return [Picture(path, f"{score} of every run along the {comparison.along}", caption)]


def along_section(comparison: Comparison, pictures: Sequence[Picture]) -> Section:
    """Return the section of the page that shows the scores along the places."""
    table = along_table(comparison)
    return Section(table.title, pictures, table=table.only("", table.columns[1:]))


def _lines(comparison: Comparison) -> Mapping[str, Mapping[float, RunOutcome]]:
    """Return label of a line -> place -> its run there."""
    lines: dict[str, dict[float, RunOutcome]] = {}
    for run in comparison.runs:
        if run.line is not None and run.place is not None:
            lines.setdefault(run.line, {})[run.place] = run
    return lines


def _score(comparison: Comparison, run: RunOutcome | None) -> str:
    return NONE if run is None else with_spread(run.over_seeds(comparison.main.key))
