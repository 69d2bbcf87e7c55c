"""Studies of few-shot models: accuracies with intervals, and paired differences. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlcvcli.config.values import Size
from dlcvcli.data.glyphs import make_glyphs
from dlcvcli.data.image_classes import ImageLayout, find_image_layout
from dlcvcli.outcomes.cells import (
    NONE,
    best_epochs,
    four_digits,
    plus_minus,
    seeds_done,
    throughput,
)
from dlcvcli.outcomes.curves import curves_section
from dlcvcli.outcomes.page import Picture, Pictures, Section
from dlcvcli.outcomes.runs import Comparison, RunOutcome
from dlcvcli.outcomes.spec import Count, OpenedData, Seed, StudySpec, SyntheticSet
from dlcvcli.outcomes.spread import spread
from dlcvcli.outcomes.table import Table
from dlcvcli.runs import RunFolder
from dlcvcli.tasks.fewshot.data import (
    check_fewshot_data,
    evaluation_shape,
    open_fewshot_data,
    training_shape,
)
from dlcvcli.tasks.fewshot.differences import EpisodeDifference, compare_episodes, over_seeds
from dlcvcli.tasks.fewshot.settings import TrainFewshotSettings

PAIRED, UNPAIRED = "paired", "not paired"
SEED_BY_SEED = "seed by seed"


class SyntheticGlyphs(SyntheticSet):
    """Synthetic characters: a number of alphabets, characters of each, and drawers of each."""

    alphabets: Count
    characters: Count
    drawers: Count
    size: Size
    seed: Seed = 0

    def describe(self) -> str:
        height, width = self.size
        return (
            f"{self.alphabets} alphabets of {self.characters} characters by {self.drawers} "
            f"drawers, {height}x{width}"
        )

    def make(self, folder: Path) -> None:
        make_glyphs(
            folder,
            alphabets=self.alphabets,
            characters=self.characters,
            drawers=self.drawers,
            size=self.size,
            seed=self.seed,
        )


def recognise(folder: Path) -> ImageLayout:
    """Return the layout of a folder; see `StudySpec.recognise`."""
    # The settings say whether files outside of the set are accepted; `open_data` checks it.
    return find_image_layout(folder, allow_outside=True)


def open_data(settings: TrainFewshotSettings) -> OpenedData:
    """Open the splits; see `StudySpec.open`."""
    return OpenedData(open_fewshot_data(settings).layout.describe())


def fingerprints(settings: TrainFewshotSettings) -> dict[str, str]:
    """Return the fingerprints of the splits; see `StudySpec.fingerprints`."""
    return check_fewshot_data(settings).sha256


def main_table(comparison: Comparison) -> Table:
    """Return a row a run, in their order; the best one is marked."""
    columns = (
        *("run", "encoder", "distance", "trained", "tested", "reported accuracy"),
        *("measured accuracy", "seeds", "best epoch", "images/s", "parameters"),
    )
    rows = tuple(_row(run, comparison.seeds) for run in comparison.runs)
    return Table(comparison.title, columns, rows, words=5, marked=comparison.marked)


def _row(run: RunOutcome, seeds: int) -> tuple[str, ...]:
    settings, measured = _settings(run), run.over_seeds("accuracy")
    reported = NONE
    if "accuracy" in run.reported:
        reported = four_digits(run.reported["accuracy"])
        reported += f" ± {run.reported['ci95']:.4f}" if "ci95" in run.reported else ""
    return (
        *(run.label, run.model, settings.distance.name),
        *(str(training_shape(settings.episode)), str(evaluation_shape(settings.episode))),
        reported,
        plus_minus(measured.mean, run.over_seeds("ci95").mean if seeds == 1 else measured.sd),
        *(seeds_done(run), best_epochs(run), throughput(run)),
        NONE if run.parameters is None else f"{run.parameters:,}",
    )


def difference_table(comparison: Comparison) -> Table:
    """Return how far the accuracy of each run differs from that of the first, over episodes."""
    several = comparison.seeds > 1
    rows = []
    for run in comparison.runs[1:]:
        differences = by_episode(comparison, run)
        if differences:
            mean, half = over_seeds(differences)
            row = (run.label, how_compared(differences), plus_minus(mean, half, sign="+"))
            each = ", ".join(plus_minus(one.mean, one.ci95, sign="+") for one in differences)
            sd = spread([one.mean for one in differences]).sd
            rows.append((*row, *((four_digits(sd), str(len(differences)), each) * several)))
    title = f"Accuracy minus that of {comparison.runs[0].label}, ± 95 % interval over episodes"
    more = ("sd over seeds", "seeds", SEED_BY_SEED) if several else ()
    return Table(title, ("run", "episodes", "difference", *more), tuple(rows), words=2)


def by_episode(comparison: Comparison, run: RunOutcome) -> list[EpisodeDifference]:
    """Return how a run differs from the first, for each seed that both have; none for the first."""
    first = comparison.runs[0]
    if run is first:
        return []

    def scored(one: RunOutcome, seed: int) -> tuple[RunFolder, dict[str, Any]]:
        return one.seeds[seed].folder, one.finished[seed]["metrics"]

    seeds = sorted(first.finished.keys() & run.finished.keys())
    return [compare_episodes(seed, scored(first, seed), scored(run, seed)) for seed in seeds]


def how_compared(differences: list[EpisodeDifference]) -> str:
    """Return whether differences are of the same episodes, and if not, why."""
    why = dict.fromkeys(one.why for one in differences if not one.paired)
    return f"{UNPAIRED}: {', '.join(why)}" if why else PAIRED


def page_tables(comparison: Comparison) -> list[Table]:
    """Return the tables, narrow enough for a page."""
    main, differences = main_table(comparison), difference_table(comparison)
    # The differences of many seeds are too wide for a page, and the figure shows each seed.
    kept = (name for name in differences.columns[1:] if name != SEED_BY_SEED)
    scores = ("reported accuracy", "measured accuracy", "seeds", "best epoch")
    setup = ("encoder", "distance", "trained", "tested", "images/s", "parameters")
    return [
        main.only("", scores, marked=True),
        differences.only(differences.title, kept),
        main.only("What was trained and tested, its speed and its size", setup),
    ]


def notes(comparison: Comparison) -> list[str]:
    """Return what the measured numbers are."""
    metrics = [results["metrics"] for run in comparison.runs for results in run.finished.values()]
    counts = sorted({one["episodes"] for one in metrics})
    episodes = " or ".join(f"{count:,}" for count in counts) or "the"
    interval = (
        "mean ± half of its 95 % interval over the episodes, 1.96 s / √E (ddof 1). The interval "
        "is that of this one training's accuracy, not of how far another training would differ."
        if comparison.seeds == 1
        else "mean ± standard deviation over seeds (ddof 1). The intervals of the differences are "
        "over episodes, a mean of those of the seeds; results.json has all of them."
    )
    lines = [
        f"Measured: the best checkpoint of each seed, scored in float32 on {episodes} episodes "
        f"that no validation has used; {interval} Images/s are those of training."
    ]
    if any(one["split"] == "val" for one in metrics):
        lines.append(
            "There is no test split: the episodes are of the classes by which validation chose the "
            "best checkpoint."
        )
    return lines + _difference_notes(comparison)


def _difference_notes(comparison: Comparison) -> list[str]:
    differences = [one for run in comparison.runs for one in by_episode(comparison, run)]
    lines = []
    if any(one.paired for one in differences):
        lines.append(
            "Paired: both runs were scored on the same episodes. The difference is the mean of "
            "those of the episodes, and its interval is 1.96 s / √E of these."
        )
    if any(not one.paired for one in differences):
        lines.append(
            "Not paired: the two runs were not scored on the same episodes (other shots, queries "
            "or images make other episodes), or their episodes.csv is gone. The means are then "
            "independent: √(a² + b²) of their own intervals, which is wider."
        )
    return lines


def sections(comparison: Comparison, pictures: Pictures) -> list[Section]:
    """Return what the page shows below the tables."""
    return [Section("", pictures["points"]), curves_section(pictures)]


def _draw(name: str, comparison: Comparison, folder: Path) -> list[Picture]:
    from dlcvcli.tasks.fewshot.study_figures import FIGURES

    return FIGURES[name](comparison, folder)


def _columns(comparison: Comparison, run: RunOutcome) -> dict[str, Any]:
    differences, settings = by_episode(comparison, run), _settings(run)
    mean, half = over_seeds(differences) if differences else (None, None)
    return {
        "distance": settings.distance.name,
        "trained": training_shape(settings.episode),
        "tested": evaluation_shape(settings.episode),
        "reported_ci95": run.reported.get("ci95"),
        "ci95": run.over_seeds("ci95").mean,
        "to_first_by_episode": mean,
        "to_first_ci95": half,
        "to_first_paired": int(all(one.paired for one in differences)) if differences else None,
    }


def _results(comparison: Comparison, run: RunOutcome) -> dict[str, Any]:
    differences, settings = by_episode(comparison, run), _settings(run)
    mean, half = over_seeds(differences) if differences else (None, None)
    return {
        "distance": settings.distance.name,
        "trained": str(training_shape(settings.episode)),
        "tested": str(evaluation_shape(settings.episode)),
        "ci95": run.over_seeds("ci95").mean,
        "to_first_by_episode": None
        if run is comparison.runs[0]
        else {
            "mean": mean,
            "ci95": half,
            "paired": bool(differences) and all(one.paired for one in differences),
            "by_seed": {str(one.seed): one.as_dict() for one in differences},
        },
    }


def _settings(run: RunOutcome) -> TrainFewshotSettings:
    assert isinstance(run.settings, TrainFewshotSettings)
    return run.settings


STUDY = StudySpec(
    synthetic=SyntheticGlyphs,
    rule=(
        "fraction of an episode's queries whose class is predicted, averaged over the episodes; "
        "ci95 is half of its 95 % interval, 1.96 s / sqrt(episodes) with s of ddof 1"
    ),
    recognise=recognise,
    open=open_data,
    fingerprints=fingerprints,
    main_table=main_table,
    further_tables=(difference_table,),
    page_tables=page_tables,
    notes=notes,
    figures=("curves", "points"),
    draw=_draw,
    sections=sections,
    by_seed=("ci95", "episodes", "split", "scale", "episodes_sha256"),
    columns=_columns,
    results=_results,
)
