"""The commands of a study are complete: parsed, they give the settings that it compares."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from dlcvcli.cli.app import make_app
from dlcvcli.config.load import resolve
from dlcvcli.errors import UsageError
from dlcvcli.studies.definition import load_study, parse_study, study_names
from dlcvcli.studies.plan import (
    PlannedRun,
    command_line,
    key_settings,
    planned_runs,
    study_settings,
    train_arguments,
)
from dlcvcli.studies.study_folder import StudyFolder
from dlcvcli.tasks.registry import TASKS
from dlcvcli.tasks.segmentation.settings import TrainSegSettings

FOLDER = StudyFolder(Path("a folder"))


def _parsed(arguments: list[str]) -> dict[str, Any]:
    """Return the parameters that typer parses from the command line of `dlcv train seg`."""
    command: Any = typer.main.get_command(make_app())
    for word in arguments[:2]:
        command = command.commands[word]
    context = command.make_context("seg", arguments[2:])
    return dict(context.params)


def _settings(params: dict[str, Any], schema: Any = TrainSegSettings) -> Any:
    return resolve(
        schema,
        recipe=params["recipe"],
        flags={"train.seed": params["seed"], "data.path": str(params["data"])},
        sets=params["sets"] or [],
    )


@pytest.mark.parametrize("name", study_names())
@pytest.mark.parametrize(
    "sets", [(), ("train.epochs=2", "data.size=64x64"), ("train={steps: 3}",), ("optim.lr=1e-5",)]
)
def test_a_command_gives_the_settings_of_the_plan(name: str, sets: tuple[str, ...]) -> None:
    study = load_study(name)
    wanted = study_settings(study, sets)
    images = ("0013",) if study.shows_images else ()
    for one in planned_runs(study, FOLDER, 2):
        line = command_line(train_arguments(one, data="my data", sets=sets, images=images))
        words = shlex.split(line)
        assert words[:3] == ["dlcv", "train", study.task]
        params = _parsed(words[1:])
        got = _settings(params, TASKS[study.task].settings())
        assert got.train.seed == one.seed
        assert got.data.path == "my data"
        assert list(params.get("snapshot", ())) == list(images)
        begins = None if one.run.init is None else FOLDER.run(one.run.init, one.seed).path
        assert params["init"] == begins
        assert Path(params["out"]) == one.folder.path
        plain = got.model_dump(mode="json")
        plain["train"]["seed"], plain["data"]["path"] = 0, ""
        assert plain == wanted[one.run.name].model_dump(mode="json")


def test_a_run_starts_from_that_of_its_seed() -> None:
    planned = planned_runs(load_study("distance"), FOLDER, 2, ["parametric-pretrained"])
    assert [one.starts["init"] for one in planned] == [
        Path(f"a folder/runs/euclidean/seed-{seed}") for seed in range(2)
    ]


def test_texts_that_look_like_other_types_remain_texts() -> None:
    text = (
        "name: a\ntitle: t\nquestion: q\nsource: s\nruns:\n"
        "- {name: b, label: c, settings: {data: {val_split: 'no'}}}\n"
    )
    study = parse_study(text, "x")
    (one,) = planned_runs(study, FOLDER, 1)
    got = _settings(_parsed(train_arguments(one, data="d")))
    assert got.data.val_split == "no"


def test_all_runs_of_one_seed_precede_those_of_the_next() -> None:
    study = load_study("study4-segmentation")
    assert [one.title for one in planned_runs(study, FOLDER, 2)] == [
        "fcn32s seed 0", "fcn8s seed 0", "fcn32s seed 1", "fcn8s seed 1",
    ]  # fmt: skip
    (only,) = planned_runs(study, FOLDER, 1, ["fcn8s"])
    assert only.folder.path == Path("a folder/runs/fcn8s/seed-0")
    with pytest.raises(UsageError, match="no such run") as caught:
        planned_runs(study, FOLDER, 1, ["fcn8"])
    assert caught.value.hint == "did you mean 'fcn8s'?"


@pytest.mark.parametrize("text", ["train.seed=3", "data.path=x", "train.devices=2"])
def test_settings_that_the_study_controls_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="sets that itself"):
        study_settings(load_study("study4-segmentation"), (text,))


def test_shown_settings_are_the_reported_score_and_those_off_the_defaults() -> None:
    study = load_study("study5-segmentation")
    table = key_settings(study, study_settings(study, ()))
    rows = {row[0]: row[1:] for row in table.rows}
    assert table.columns == ("", "cross-entropy", "exponential")
    assert rows["reported miou"] == ("0.6055", "0.5937")
    assert rows["recipe"] == ("study5-cross-entropy", "study5-exponential")
    assert rows["loss.gamma"] == ("–", "0.3")
    assert rows["model.options.output_stride"] == ("16", "16")
    assert "model.options" not in rows
    assert "train.batch_size" not in rows


def test_shown_settings_of_a_few_shot_study_name_initial_runs() -> None:
    study = load_study("distance")
    rows = {row[0]: row[1:] for row in key_settings(study, study_settings(study, ())).rows}
    assert rows["starts from"] == ("–", "–", "–", "euclidean")
    assert rows["reported accuracy"] == ("0.4695", "–", "–", "0.46")
    assert rows["distance.name"] == ("euclidean", "cosine", "parametric", "parametric")
    assert "snapshot.images" not in rows


TWO_TASKS = """
name: a
title: t
question: q
source: s
task: seg
runs:
  - {name: masks, label: masks}
  - name: few
    label: few
    task: fewshot
    data: &own {alphabets: 5, characters: 4, drawers: 6, size: 16x16}
  - {name: more, label: more, task: fewshot, data: *own, init: few}
  - {name: mine, label: mine, task: fewshot, data: my set}
"""


def test_runs_are_trained_on_their_own_data() -> None:
    study = parse_study(TWO_TASKS, "x")
    lines = [train_arguments(one, data="d") for one in planned_runs(study, FOLDER, 1)]
    assert [line[:4] for line in lines] == [
        ["train", "seg", "--data", "d"],
        ["train", "fewshot", "--data", "a folder/runs/few/data"],
        ["train", "fewshot", "--data", "a folder/runs/few/data"],
        ["train", "fewshot", "--data", "my set"],
    ]
    rows = {row[0]: row[1:] for row in key_settings(study, study_settings(study, ())).rows}
    assert rows["task"] == ("seg", "fewshot", "fewshot", "fewshot")
    described = "5 alphabets of 4 characters by 6 drawers, 16x16"
    assert rows["data"] == ("–", described, described, "my set")
    assert rows["starts from"] == ("–", "–", "few", "–")


def test_a_backbone_is_passed_on() -> None:
    (_, second) = parse_study(TWO_TASKS, "x").runs[:2]
    starts = {"backbone": Path("a.ckpt"), "supervised_backbone": FOLDER.run("masks", 0).path}
    line = train_arguments(PlannedRun(second, 0, FOLDER.run("few", 0), starts=starts), data="d")
    assert line[line.index("--backbone") + 1] == "a.ckpt"
    assert line[line.index("--supervised-backbone") + 1] == "a folder/runs/masks/seed-0"
