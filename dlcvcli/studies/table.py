"""The table of a study: a row a run, what was reported beside what was measured."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from dlcvcli.files import write_atomically
from dlcvcli.studies.outcome import METRICS, RunOutcome, Spread, StudyOutcome, spread
from dlcvcli.studies.study_folder import StudyFolder
from dlcvcli.studies.text_table import Table

NONE = "–"


def main_table(outcome: StudyOutcome) -> Table:
    """Return a row a run, in the definition's order; `marked` is the best one's row."""
    columns = (
        *("run", "model", "parameters", "reported mIoU", "measured mIoU", "seeds", "best epoch"),
        *("overall accuracy", "mean accuracy", "freq.-w. IoU", "images/s", "peak MiB"),
    )
    marked = None if outcome.best is None else outcome.runs.index(outcome.best)
    rows = tuple(_row(run) for run in outcome.runs)
    return Table(outcome.record.definition.title, columns, rows, words=2, marked=marked)


def difference_table(outcome: StudyOutcome) -> Table | None:
    """Return how far the runs differ from the first, seed by seed; None where there is nothing."""
    first, rows = outcome.runs[0], []
    for run in outcome.runs[1:]:
        by_seed = outcome.difference(run)
        if by_seed:
            found = spread(list(by_seed.values()))
            each = ", ".join(f"{value:+.4f}" for value in by_seed.values())
            rows.append((run.run.label, with_spread(found, sign="+"), str(found.count), each))
    title = f"mIoU less that of {first.run.label}, paired by seed"
    return (
        Table(title, ("run", "difference", "seeds", "seed by seed"), tuple(rows)) if rows else None
    )


def reported_table(outcome: StudyOutcome) -> Table | None:
    """Return the reported scores other than the mIoU beside the measured ones, if there are any."""
    rows = []
    for run in outcome.runs:
        told = run.run.reported.model_dump()
        for key, name in zip(METRICS, _METRIC_NAMES, strict=True):
            if key != "miou" and told[key] is not None:
                found = run.over_seeds(key)
                rows.append((run.run.label, name, f"{told[key]:.4f}", with_spread(found)))
    columns = ("run", "score", "reported", "measured")
    return Table("Other reported scores", columns, tuple(rows), words=2) if rows else None


def class_table(outcome: StudyOutcome) -> Table:
    """Return the IoU of every class, a column a run."""
    return Table(
        "IoU of every class",
        ("class", *(run.run.label for run in outcome.runs)),
        tuple(
            (name, *(with_spread(run.iou_of(name)) for run in outcome.runs))
            for name in outcome.classes
        ),
    )


def with_spread(found: Spread, *, sign: str = "") -> str:
    """Return `mean ± sd`; a dash for what does not exist."""
    if found.mean is None:
        return NONE
    sd = NONE if found.sd is None else f"{found.sd:.4f}"
    return f"{found.mean:{sign}.4f} ± {sd}"


def page_tables(outcome: StudyOutcome) -> list[Table]:
    """Return what the other functions do in tables narrow enough for a page."""
    whole = main_table(outcome)
    scores = ("reported mIoU", "measured mIoU", "seeds", "best epoch")
    more = ("overall accuracy", "mean accuracy", "freq.-w. IoU")
    cost = ("model", "parameters", "images/s", "peak MiB")
    tables = (
        whole.only("", scores, marked=True),
        difference_table(outcome),
        whole.only("Other scores, means over seeds", more),
        reported_table(outcome),
        whole.only("Size, speed of training and memory", cost),
    )
    return [table for table in tables if table is not None]


def notes_of(outcome: StudyOutcome) -> list[str]:
    """Return what the numbers of the table are, and what a reader has to know of them."""
    lines = [
        "Measured: the best checkpoint of each seed, evaluated in float32; mean ± standard "
        "deviation over seeds (ddof 1), a dash with one seed. Images/s are those of training.",
    ]
    if any(run.run.reported.miou is not None for run in outcome.runs):
        lines.append(
            "Reported: as the report has it, on its data and settings; not a target of this one."
        )
    when = [run.run for run in outcome.runs if run.run.reported.when]
    if when:
        places = "; ".join(f"{run.label}, {run.reported.when}" for run in when)
        lines.append(f"Reported as best at: {places}.")
    if outcome.best is not None:
        lines.append(f"Best mean mIoU: {outcome.best.run.label}.")
    if outcome.unfinished:
        names = [one.folder.path.relative_to(outcome.folder.path) for one in outcome.unfinished]
        lines.append("Unfinished: " + ", ".join(name.as_posix() for name in names) + ".")
    return lines + outcome.remarks()


def to_markdown(outcome: StudyOutcome) -> str:
    """Return the tables of a study as Markdown."""
    classes = class_table(outcome) if outcome.classes else None
    parts = [f"# {outcome.record.definition.title}", _markdown(main_table(outcome))]
    for table in (difference_table(outcome), reported_table(outcome), classes):
        if table is not None:
            parts += [f"## {table.title}", _markdown(table)]
    return "\n\n".join([*parts, *notes_of(outcome)]) + "\n"


def to_csv(outcome: StudyOutcome) -> str:
    """Return the main table as CSV: plain numbers, an empty field for what does not exist."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            *("run", "label", "model", "parameters", "reported_miou", "seeds", "best_epochs"),
            *(f"{key}_{part}" for key in METRICS for part in ("mean", "sd")),
            *("images_per_s", "peak_memory_mb", "to_first_mean", "to_first_sd", "best"),
        ]
    )
    for run in outcome.runs:
        found = [run.over_seeds(key) for key in METRICS]
        first = run is outcome.runs[0]
        other = spread([] if first else list(outcome.difference(run).values()))
        writer.writerow(
            [
                *(run.run.name, run.run.label, run.model, next(iter(run.told("parameters")), None)),
                *(run.run.reported.miou, len(run.finished)),
                " ".join(f"{epoch:g}" for epoch in run.best_epochs()),
                *(value for one in found for value in (one.mean, one.sd)),
                spread(run.told("images_per_s")).mean,
                *(max(run.told("peak_memory_mb"), default=None), other.mean, other.sd),
                int(run is outcome.best),
            ]
        )
    return out.getvalue()


def write_tables(outcome: StudyOutcome, folder: StudyFolder) -> None:
    """Write table.csv and table.md."""
    write_atomically(folder.csv, to_csv(outcome))
    write_atomically(folder.markdown, to_markdown(outcome))


_METRIC_NAMES = ("mIoU", "overall accuracy", "mean accuracy", "frequency-weighted IoU")


def _row(run: RunOutcome) -> tuple[str, ...]:
    reported = run.run.reported
    told = NONE if reported.miou is None else f"{reported.miou:.4f}"
    parameters = next(iter(run.told("parameters")), None)
    done, asked = len(run.finished), len(run.seeds)
    rate = spread(run.told("images_per_s")).mean
    return (
        *(run.run.label, run.model),
        NONE if parameters is None else f"{parameters / 1e6:.1f} M",
        told,
        with_spread(run.over_seeds("miou")),
        str(done) if done == asked else f"{done} of {asked}",
        _range(run.best_epochs()),
        *(_mean(run.over_seeds(key)) for key in METRICS[1:]),
        NONE if rate is None else f"{rate:.1f}",
        str(max(run.told("peak_memory_mb"), default=NONE)),
    )


def _mean(found: Spread) -> str:
    return NONE if found.mean is None else f"{found.mean:.4f}"


def _range(epochs: list[float]) -> str:
    if not epochs:
        return NONE
    low, high = min(epochs), max(epochs)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _markdown(table: Table) -> str:
    lines = [_line(table.columns)]
    rules = (":---" if place < table.words else "---:" for place in range(len(table.columns)))
    lines.append(_line(rules))
    for number, row in enumerate(table.rows):
        bold = number == table.marked
        lines.append(_line(f"**{cell}**" if bold and cell != NONE else cell for cell in row))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
