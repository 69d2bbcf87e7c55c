"""How far two few-shot runs differ, episode by episode where both were scored on the same ones.

Needs no torch.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcvcli.prototypes import interval
from dlcvcli.runs import RunFolder
from dlcvcli.tasks.fewshot.scoring import scores_file


@dataclass(frozen=True)
class EpisodeDifference:
    """Accuracy of one training less that of another one with the same seed.

    Attributes:
        seed: of both.
        mean: the difference.
        ci95: half of its 95 % interval over episodes; None for fewer than two.
        paired: whether it is of the same episodes, one by one, which makes the interval narrow.
        why: where it is not paired, the reason.
    """

    seed: int
    mean: float
    ci95: float | None
    paired: bool
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain types."""
        told = {} if self.paired else {"why": self.why}
        return {"mean": self.mean, "ci95": self.ci95, "paired": self.paired, **told}


def compare_episodes(
    seed: int,
    first: tuple[RunFolder, Mapping[str, Any]],
    other: tuple[RunFolder, Mapping[str, Any]],
) -> EpisodeDifference:
    """Return the accuracy of `other` less that of `first`.

    Of the same episodes, on the same images, the differences are taken episode by episode: how
    hard an episode is does not count, and the interval is 1.96 s / sqrt(E) of the differences.
    Otherwise the two means are independent, and it is sqrt(a² + b²) of their own intervals.

    Args:
        seed: of both.
        first, other: a run's folder, and the metrics in its results.json.
    """
    one, two = first[1], other[1]
    if any(one.get(key) != two.get(key) for key in ("episodes_sha256", "sha256")):
        return _unpaired(seed, one, two, "other episodes")
    before, after = read_accuracies(first[0]), read_accuracies(other[0])
    if not before or not after or before.keys() != after.keys():
        return _unpaired(seed, one, two, f"no {scores_file(first[0]).name}")
    found = interval(np.array([after[name] - before[name] for name in before]))
    return EpisodeDifference(seed, found.mean, found.ci95, paired=True)


def over_seeds(differences: Sequence[EpisodeDifference]) -> tuple[float, float | None]:
    """Return the mean difference over seeds, at least one, and the mean of their intervals.

    The interval is that of one seed's episodes; how far trainings differ, it does not say.
    """
    halves = [one.ci95 for one in differences if one.ci95 is not None]
    mean = sum(one.mean for one in differences) / len(differences)
    return mean, sum(halves) / len(halves) if halves else None


def read_accuracies(run: RunFolder) -> dict[str, float]:
    """Return episode -> accuracy of a run; empty where its file is missing or damaged."""
    try:
        with scores_file(run).open(encoding="utf-8", newline="") as lines:
            return {row["episode_id"]: float(row["accuracy"]) for row in csv.DictReader(lines)}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError):
        return {}


def _unpaired(
    seed: int, first: Mapping[str, Any], other: Mapping[str, Any], why: str
) -> EpisodeDifference:
    halves = [one.get("ci95") for one in (first, other)]
    known = [half for half in halves if half is not None]
    both = math.hypot(*known) if len(known) == len(halves) else None
    mean = float(other["accuracy"]) - float(first["accuracy"])
    return EpisodeDifference(seed, mean, both, paired=False, why=why)
