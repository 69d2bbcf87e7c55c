"""Runs scored on the same episodes are compared episode by episode."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcvcli.runs import RunFolder
from dlcvcli.tasks.fewshot.differences import (
    EpisodeDifference,
    compare_episodes,
    over_seeds,
    read_accuracies,
)
from dlcvcli.tasks.fewshot.scoring import scores_file

SCORES = st.lists(st.integers(0, 75).map(lambda hits: hits / 75), min_size=2, max_size=30)


def _run(folder: Path, values: list[float], **more: Any) -> tuple[RunFolder, dict[str, Any]]:
    folder.mkdir(parents=True, exist_ok=True)
    run = RunFolder(folder)
    lines = [f"{number},{value:.6f}" for number, value in enumerate(values)]
    scores_file(run).write_text("\n".join(["episode_id,accuracy", *lines]) + "\n")
    mean, half = float(np.mean(values)), 1.96 * float(np.std(values, ddof=1)) / len(values) ** 0.5
    results = {"accuracy": mean, "ci95": half, "episodes_sha256": "e", "sha256": "d", **more}
    return run, results


@settings(max_examples=30, deadline=None)
@given(SCORES, st.integers(0, 2**16))
def test_a_paired_interval_is_computed_from_the_differences(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    others = np.random.default_rng(seed).permutation(values).tolist()
    difference = compare_episodes(3, _run(folder / "a", values), _run(folder / "b", others))
    apart = np.array(others) - np.array(values)
    assert (difference.seed, difference.paired) == (3, True)
    assert difference.mean == pytest.approx(apart.mean(), abs=2e-6)
    half = 1.96 * apart.std(ddof=1) / math.sqrt(len(apart))
    assert difference.ci95 == pytest.approx(half, abs=2e-6)


def test_pairing_removes_the_difficulty_that_runs_share(tmp_path: Path) -> None:
    hard = np.random.default_rng(0).uniform(0.2, 0.8, 200)
    one, two = _run(tmp_path / "a", hard.tolist()), _run(tmp_path / "b", (hard + 0.05).tolist())
    paired = compare_episodes(0, one, two)
    assert paired.mean == pytest.approx(0.05)
    assert paired.ci95 == pytest.approx(0, abs=1e-6)
    other = (two[0], {**two[1], "episodes_sha256": "f"})
    apart = compare_episodes(0, one, other)
    assert (apart.paired, apart.why) == (False, "other episodes")
    assert apart.mean == pytest.approx(paired.mean)
    assert apart.ci95 == pytest.approx(math.hypot(one[1]["ci95"], two[1]["ci95"]))
    assert apart.as_dict()["why"] == "other episodes"
    assert "why" not in paired.as_dict()


def test_the_same_list_on_other_images_is_not_paired(tmp_path: Path) -> None:
    one, two = _run(tmp_path / "a", [0.1, 0.2]), _run(tmp_path / "b", [0.1, 0.3], sha256="x")
    assert not compare_episodes(0, one, two).paired


@pytest.mark.parametrize(
    "text", [None, "", "episode_id,accuracy\n", "id,x\n1,2\n", "episode_id,accuracy\n0,a\n"]
)
def test_without_its_episodes_a_run_is_still_compared(tmp_path: Path, text: str | None) -> None:
    one, two = _run(tmp_path / "a", [0.1, 0.2]), _run(tmp_path / "b", [0.1, 0.3])
    file = scores_file(two[0])
    file.unlink() if text is None else file.write_text(text)
    assert read_accuracies(two[0]) == {}
    difference = compare_episodes(0, one, two)
    assert (difference.paired, difference.why) == (False, "no episodes.csv")
    assert difference.mean == pytest.approx(0.05)


def test_an_interval_that_one_run_lacks_is_none(tmp_path: Path) -> None:
    one = _run(tmp_path / "a", [0.1, 0.2])
    two = _run(tmp_path / "b", [0.1, 0.3], ci95=None, episodes_sha256="f")
    assert compare_episodes(0, one, two).ci95 is None


def test_over_seeds_both_are_means() -> None:
    differences = [EpisodeDifference(0, 0.1, 0.02, True), EpisodeDifference(1, 0.3, 0.04, True)]
    assert over_seeds(differences) == pytest.approx((0.2, 0.03))
    assert over_seeds([EpisodeDifference(0, 0.1, None, True)]) == (0.1, None)
