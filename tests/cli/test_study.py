"""`dlcv study` on the command line: short trainings, stopped and continued."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from dlcvcli.cli.study import _print_table
from dlcvcli.studies.definition import load_study, study_names
from dlcvcli.studies.plan import key_settings, study_settings
from tests.cli.command import ROOT, dlcv, dlcv_without_torch, refused
from tests.studies.prepared_fewshot import TEXT as FEW
from tests.studies.prepared_seg import TEXT


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("definition") / "tiny.yaml"
    file.write_text(TEXT)
    return file


def test_studies_are_listed_and_shown() -> None:
    listed = dlcv("study", "list")
    assert listed.returncode == 0, listed.stderr
    assert all(name in listed.stdout for name in study_names())
    shown = dlcv("study", "show", "study4-segmentation", "--seeds", 2, "--set", "train.epochs=3")
    assert shown.returncode == 0, shown.stderr
    assert "0.676" in shown.stdout
    commands = [line for line in shown.stdout.splitlines() if line.startswith("dlcv train seg ")]
    assert commands[3] == (
        "dlcv train seg --recipe study4-fcn8s --data DIR --seed 1 --set train.epochs=3 "
        "--out OUT/runs/fcn8s/seed-1"
    )


# Four processes that import torch, one after the other.
@pytest.mark.timeout(300)
def test_a_study_is_stopped_continued_and_reported(
    tiny: Path, landcover: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    # Long enough to be stopped in the middle of its first training.
    arguments = ["study", "run", tiny, "--data", landcover, "--out", out, "--only", "small"]
    arguments += ["--set", "train.steps=16", "--set", "train.val_every=8"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "dlcvcli", *map(str, arguments)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as first:
        metrics = out / "runs" / "small" / "seed-0" / "metrics.jsonl"
        while not metrics.is_file() and first.poll() is None:
            time.sleep(0.05)
        first.send_signal(signal.SIGINT)
        _, stderr = first.communicate()
    assert first.returncode == 130, stderr.decode()
    last = stderr.decode().splitlines()[-2:]
    assert last[0] == "error: the study was stopped at 1/1 small seed 0; finished steps are kept"
    assert last[1].startswith(f"hint: continue with: dlcv study run {tiny} --data {landcover}")

    halfway = dlcv("study", "report", out, "--json", tmp_path / "reported.json")
    assert halfway.returncode == 0, halfway.stderr
    assert "runs/small/seed-0: unfinished at step" in halfway.stderr
    assert "Unfinished: runs/small/seed-0, runs/large/seed-0." in halfway.stdout
    assert f"report page: {out / 'index.html'}" in halfway.stdout
    assert not json.loads((tmp_path / "reported.json").read_text())["finished"]

    changed = refused(2, *arguments[:-1], "train.val_every=4", message="train.val_every: 8 -> 4")
    assert "choose another --out" in changed

    second = dlcv(*arguments, "--json", "-")
    assert second.returncode == 0, second.stderr
    assert "1/1 small seed 0: continuing" in second.stderr
    result = json.loads(second.stdout)
    assert [run["measured"]["miou"]["seeds"] for run in result["runs"]] == [1, 0]
    assert [one["folder"] for one in result["unfinished"]] == ["runs/large/seed-0"]
    assert (out / "figures" / "side-by-side.png").is_file()
    assert "Two learning rates" in (out / "index.html").read_text("utf-8")


@pytest.mark.usefixtures("children_here")
def test_a_shrunk_recipe_of_a_study_runs(landcover: Path, tmp_path: Path) -> None:
    sets = ("train.steps=2", "train.batch_size=2", "data.crop=64x64", "model.weights=none")
    flags = [word for text in (*sets, "train.workers=0") for word in ("--set", text)]
    done = dlcv(
        *("study", "run", "study5-segmentation", "--data", landcover, "--out", tmp_path / "out"),
        *("--only", "exponential", *flags),
    )
    assert done.returncode == 0, done.stderr
    assert "0.5937" in done.stdout
    assert "exponential cross-entropy, iteration 4026" in done.stdout
    assert "runs/cross-entropy/seed-0: not started" in done.stderr
    run = tmp_path / "out" / "runs" / "exponential" / "seed-0"
    assert len(list(run.glob("snapshots/*/step-0000002.png"))) == 4  # every image of the set


@pytest.mark.usefixtures("children_here")
def test_a_few_shot_study_trains_on_its_synthetic_characters(tmp_path: Path) -> None:
    file, out = tmp_path / "few.yaml", tmp_path / "out"
    synthetic = "data: {alphabets: 5, characters: 4, drawers: 6, size: 16x16}\n"
    file.write_text(FEW + synthetic)
    only = ("--only", "euclid", "--only", "learned", "--set", "model.options={channels: 4}")
    done = dlcv("study", "run", file, "--out", out, *only)
    assert done.returncode == 0, done.stderr
    assert "making 5 alphabets of 4 characters" in done.stderr
    assert f"tensors from {out / 'runs' / 'euclid' / 'seed-0'}" in done.stderr
    assert "not finished" not in done.stderr
    assert "paired" in done.stdout
    result = json.loads((out / "results.json").read_text())
    euclid, cosine, _, learned = result["runs"]
    assert 0 < euclid["measured"]["accuracy"]["mean"] < 1
    assert euclid["by_seed"][0]["split"] == "test"
    assert cosine["measured"]["accuracy"]["mean"] is None
    assert learned["to_first_by_episode"]["paired"]
    mean = learned["measured"]["accuracy"]["mean"] - euclid["measured"]["accuracy"]["mean"]
    assert learned["to_first_by_episode"]["mean"] == pytest.approx(mean, abs=1e-5)
    assert (out / "figures" / "accuracy.png").is_file()


def test_names_of_runs_are_not_broken_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    narrow = Console(file=io.StringIO(), width=80)
    monkeypatch.setattr("dlcvcli.cli.console.stdout", lambda: narrow)
    _print_table(key_settings(study := load_study("distance"), study_settings(study, ())))
    lines = narrow.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= 80
    words = [line.split() for line in lines]
    # The last run does not fit beside the others.
    assert ["euclidean", "cosine", "parametric"] in words
    assert ["parametric-pretrained"] in words
    assert sum(line[:1] == ["recipe"] for line in words) == 2


def test_a_few_shot_study_is_shown() -> None:
    shown = dlcv("study", "show", "distance")
    assert shown.returncode == 0, shown.stderr
    assert "images shown" not in shown.stdout
    commands = [line for line in shown.stdout.splitlines() if line.startswith("dlcv train ")]
    assert commands[3] == (
        "dlcv train fewshot --recipe study3-protonet --data DIR --seed 0 "
        "--set distance.name=parametric --init OUT/runs/euclidean/seed-0 "
        "--out OUT/runs/parametric-pretrained/seed-0"
    )
    assert "12 alphabets of 20 characters" in dlcv("study", "show", "fewshot-glyphs").stdout


@pytest.mark.parametrize(
    ("status", "arguments", "message"),
    [
        (2, ("run", "study9"), "no study is called 'study9'"),
        (2, ("run", "absent.yaml"), "does not exist"),
        (2, ("run", "study4-segmentation"), "needs data"),
        (1, ("run", "study4-segmentation", "--data", "absent"), "absent does not exist"),
        (2, ("run", "landcover-models", "--only", "unet"), "no such run"),
        (2, ("run", "landcover-models", "--set", "optim.rl=1"), "unknown key 'optim.rl'"),
        (2, ("run", "landcover-models", "--set", "train.seed=1"), "sets that itself"),
        (2, ("run", "landcover-models", "--given", "byol=tests"), "takes nothing called 'byol'"),
        (2, ("run", "distance"), "needs data"),
        (2, ("run", "fewshot-glyphs", "--set", "data.crop=64x64"), "unknown key 'data.crop'"),
        (2, ("show", "study4-segmentation", "--set", "model.name=unet"), "unet"),
        (1, ("report", "absent"), "does not exist"),
        (1, ("report", "tests"), "is not a study's folder"),
    ],
)
def test_invalid_studies_are_refused(
    status: int, arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "out") if arguments[0] == "run" else ()
    refused(status, "study", *arguments, *out, message=message)
    assert list(tmp_path.iterdir()) == []


def test_without_torch_the_error_names_what_is_missing(tmp_path: Path) -> None:
    done = dlcv_without_torch("study", "run", "landcover-models", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "a study needs torch" in done.stderr
    assert not (tmp_path / "out").exists()
    assert dlcv_without_torch("study", "show", "study4-segmentation").returncode == 0
