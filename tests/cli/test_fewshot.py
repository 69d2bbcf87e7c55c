"""`dlcv train fewshot`, `eval`, `predict` and `figure episode` on the command line."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.command import dlcv, dlcv_without_torch, refused
from tests.json_reference import undocumented, undocumented_in_run
from tests.synthetic_characters import CHARACTERS, EACH

SMALL = (
    *("--size", "16x16", "--n-way", 3, "--n-query", 2, "--episodes", 2, "--test-k-shot", 2),
    *("--set", "episode.val_episodes=4", "--set", "episode.test_episodes=5"),
    *("--set", "model.options.channels=4", "--precision", "fp32"),
)


def evaluated(*arguments: object) -> dict[str, Any]:
    done = dlcv("eval", *arguments, "--json", "-")
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert not undocumented("dlcv eval --json", result)
    return result


def test_a_run_is_trained_and_extended(tmp_path: Path, characters: Path) -> None:
    run = tmp_path / "run"
    done = dlcv("train", "fewshot", "--data", characters, *SMALL, "--out", run)
    assert done.returncode == 0, done.stderr
    assert "layout omniglot" in done.stderr
    assert "split by class" in done.stderr
    assert "best validation accuracy" in done.stdout
    assert "3-way 2-shot on 5 other episodes" in done.stderr
    assert "next: dlcv eval" in done.stdout
    more = dlcv("train", "fewshot", "--resume", run, "--episodes", 3, "--extend")
    assert more.returncode == 0, more.stderr
    assert "3 of 3" in more.stdout
    refused(2, "train", "seg", "--resume", run, message="is a run of task fewshot")
    refused(
        2,
        "train",
        "fewshot",
        "--model",
        "fcn8s_vgg16",
        message="gives logits of every pixel, not one embedding per image",
    )
    refused(2, "train", "fewshot", "--set", "episode.ways=3", message="unknown key 'episode.ways'")


def test_printed_settings_are_those_of_the_task() -> None:
    done = dlcv_without_torch(
        "train", "fewshot", "--n-way", 20, "--distance", "cosine", "--print-config"
    )
    assert done.returncode == 0, done.stderr
    for line in ("task: fewshot", "n_way: 20", "name: cosine", "name: adam", "every: 2000"):
        assert line in done.stdout


def test_eval_reproduces_the_scores_of_the_run_and_of_a_file(
    tmp_path: Path, fewshot_run: Path, characters: Path
) -> None:
    assert not undocumented_in_run(fewshot_run)
    own = json.loads((fewshot_run / "results.json").read_text())["metrics"]
    result = evaluated(fewshot_run, "--data", characters, "--episodes", 30)
    assert result["task"] == "fewshot"
    assert result["metrics"]["accuracy"] == own["accuracy"]
    assert result["metrics"]["episodes_sha256"] == own["episodes_sha256"]
    assert result["data"]["split"] == "val"
    assert result["data"]["images"] == CHARACTERS * 6
    assert result["speed"]["episodes_per_s"] > 0
    shaped = evaluated(
        fewshot_run, "--data", characters, "--split", "all", "--episodes", 4, "--n-way", 5,
        "--k-shot", 2, "--n-query", 1, "--seed", 3, "--rotations",
    )  # fmt: skip
    file = tmp_path / "episodes.csv"
    arguments = ("--n-way", 5, "--k-shot", 2, "--n-query", 1, "--seed", 3, "--rotations")
    dlcv_without_torch(
        "data", "episodes", characters, *arguments, "--episodes", 4, "--split", "all", "--out", file
    )
    again = evaluated(
        fewshot_run, "--data", characters, "--split", "all", "--episodes", file, "--rotations"
    )
    assert shaped["data"]["classes"] == 4 * 18
    assert again["metrics"] == shaped["metrics"]
    refused(
        2, "eval", fewshot_run, "--data", characters, "--episodes", file, "--n-way", 5,
        message="is about drawn episodes",
    )  # fmt: skip


def test_training_images_are_counted_under_any_class_name(
    tmp_path: Path, fewshot_run: Path, characters: Path
) -> None:
    renamed = tmp_path / "renamed"
    for alphabet in characters.iterdir():
        shutil.copytree(alphabet, renamed / f"Other{alphabet.name}")
    for model in (fewshot_run, fewshot_run / "checkpoints" / "best.ckpt"):
        data = evaluated(model, "--data", renamed, "--episodes", 4)["data"]
        assert data["classes_trained_on"] == 0
        # All alphabets but the one that the run held out.
        assert data["trained_on"] == 5 * CHARACTERS * EACH
    shown = dlcv("eval", fewshot_run, "--data", renamed, "--episodes", 4).stdout
    assert "warning: the model was trained on 90 of the 108 images" in " ".join(shown.split())


def test_invalid_eval_requests_are_refused(
    fewshot_run: Path, trained_run: Path, characters: Path, landcover: Path
) -> None:
    data = ("--data", characters)
    refused(
        2,
        "eval",
        fewshot_run,
        *data,
        "--metric",
        "voc",
        message="--metric is for a seg",
    )
    refused(
        2,
        "eval",
        trained_run,
        "--data",
        landcover,
        "--n-way",
        5,
        message="--n-way is for a few",
    )
    refused(2, "eval", fewshot_run, *data, "--episodes", 1, message="at least 2")
    refused(1, "eval", fewshot_run, *data, "--n-way", 4, message="too few for 4 ways")
    refused(
        1, "eval", fewshot_run, *data, "--episodes", "none.csv", message="cannot read the episodes"
    )
    refused(1, "eval", fewshot_run, "--data", landcover / "train", message="no images by class")
    low = dlcv("eval", fewshot_run, *data, "--episodes", 5, "--min-accuracy", 1.0)
    assert low.returncode == 3
    assert "is below --min-accuracy" in low.stderr


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images that a CSV names by id, without labels, and a file of two episodes."""
    root = tmp_path_factory.mktemp("cases")
    (root / "test").mkdir()
    rng = np.random.default_rng(1)
    rows = ["id,filename"]
    for number in range(6):
        pixels = rng.integers(0, 256, (16, 16), np.uint8)
        Image.fromarray(pixels).save(root / "test" / f"n{number}.png")
        rows.append(f"{number},n{number}.png")
    # A query that is a support image is predicted as its class by any model.
    (root / "test.csv").write_text("\n".join(rows) + "\n")
    head = "episode_id,class0_support,class1_support,query0,query1,query2\n"
    (root / "cases.txt").write_text(head + "0,0,1,1,0,1\n1,5,4,4,4,5\n")
    return root


def test_labels_of_the_course_format_are_predicted(
    tmp_path: Path, fewshot_run: Path, unlabelled: Path
) -> None:
    out = tmp_path / "labels"
    arguments = ("predict", fewshot_run, unlabelled / "cases.txt", "--out", out)
    done = dlcv(*arguments, "--data", unlabelled)
    assert done.returncode == 0, done.stderr
    rows = list(csv.reader((out / "cases.csv").read_text().splitlines()))
    assert rows == [
        ["episode_id", "query0", "query1", "query2"],
        ["0", "1", "0", "1"],
        ["1", "1", "1", "0"],
    ]
    refused(2, *arguments, message="needs the images that it names")
    refused(2, *arguments, "--data", unlabelled, "--tta", message="--tta is for a seg")
    refused(1, *arguments, "--data", tmp_path, message="is not in")


def test_episodes_outside_of_the_set_need_permission(
    tmp_path: Path, fewshot_run: Path, trained_run: Path, unlabelled: Path
) -> None:
    root = shutil.copytree(unlabelled, tmp_path / "set")
    (root / "test" / "n5.png").rename(tmp_path / "secret.png")
    (root / "cases.txt").write_text((root / "cases.txt").read_text().replace("5", "../secret.png"))
    out = tmp_path / "labels.csv"
    predict = ("predict", fewshot_run, root / "cases.txt", "--out", out, "--data", root)
    stderr = refused(1, *predict, message="cases.txt names ../secret.png, which lies outside of")
    assert "--allow-outside" in stderr
    assert not out.exists()
    assert dlcv(*predict, "--allow-outside").returncode == 0
    segment = ("predict", trained_run, root / "test", "--out", tmp_path, "--allow-outside")
    refused(2, *segment, message="--allow-outside is for a classifier or a few-shot model")


def test_csv_paths_outside_of_the_set_need_permission(tmp_path: Path, fewshot_run: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    rng = np.random.default_rng(2)
    rows = {"train": ["filename;label"], "val": ["filename;label"]}
    for split, first in (("train", 0), ("val", 3)):
        for number in range(12):
            pixels = rng.integers(0, 256, (16, 16), np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{split}{number}.png")
            rows[split].append(f"../../{split}{number}.png; c{first + number // 4}")
        (root / split).mkdir()
        (root / f"{split}.csv").write_text("\n".join(rows[split]) + "\n")
    run = ("--data", root, *SMALL, "--set", "episode.n_query=1", "--set", "episode.test_n_query=1")
    train = ("train", "fewshot", *run, "--out", tmp_path / "run")
    episodes = ("data", "episodes", root, "--n-way", 3, "--n-query", 2, "--out", tmp_path / "e.csv")
    figure = ("figure", "episode", fewshot_run, "--data", root, "--out", tmp_path / "e.png")
    scored = ("eval", fewshot_run, "--data", root, "--episodes", 3)
    for command in (episodes, scored, figure):
        refused(
            1, *command, message="train.csv, line 2 names ../../train0.png, which lies outside of"
        )
        done = dlcv(*command, "--allow-outside")
        assert done.returncode == 0, done.stderr
    refused(1, *train, message="lies outside of")
    done = dlcv(*train, "--set", "data.allow_outside=true")
    assert done.returncode == 0, done.stderr


def test_an_episode_is_drawn(tmp_path: Path, fewshot_run: Path, characters: Path) -> None:
    out = tmp_path / "episode.png"
    arguments = ("figure", "episode", fewshot_run, "--data", characters)
    done = dlcv(*arguments, "--episode", 1, "--out", out)
    assert done.returncode == 0, done.stderr
    with Image.open(out) as picture:
        assert picture.width > 1000
    refused(2, *arguments, "--out", tmp_path / "episode.gif", message=".png")
