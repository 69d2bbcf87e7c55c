"""A study is one YAML file; what is wrong with one is said with its file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcvcli.config.load import recipe_names
from dlcvcli.errors import ConfigError
from dlcvcli.studies.definition import load_study, parse_study, run_settings, study_names

HEAD = "name: a\ntitle: t\nquestion: q\nsource: s\n"


@pytest.mark.parametrize("name", study_names())
def test_the_shipped_ones_are_whole(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    assert len(study.runs) > 1
    recipes = [run.recipe for run in study.runs]
    assert all(recipe is None or recipe in recipe_names() for recipe in recipes)


def test_every_study_with_a_report_has_its_figures() -> None:
    reported = {
        name: [run.reported.miou for run in load_study(name).runs] for name in study_names()
    }
    assert reported == {
        "landcover-models": [None, None, None],
        "study1-segmentation": [0.4153, 0.7472],
        "study2-segmentation": [0.6581, 0.7413],
        "study4-segmentation": [0.676, 0.696],
        "study5-segmentation": [0.6055, 0.5937],
    }


def test_the_one_without_data_is_as_small_as_it_says() -> None:
    study = load_study("landcover-models")
    assert study.data is not None
    assert (study.data.train, study.data.validation, study.data.size) == (160, 40, (64, 64))
    settings = [run_settings(run) for run in study.runs]
    assert [one.optim.lr for one in settings] == [1e-4, 1e-4, 1e-3]
    assert {one.train.steps for one in settings} == {120}
    assert {one.data.augment.scale for one in settings} == {(0.75, 1.5)}


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        (HEAD.replace("title", "titel") + "runs: [{name: b, label: c}]", "'titel'", "'title'"),
        (HEAD + "runs: [{nam: b, label: c}]", "'runs.0.nam'", "'name'"),
        (HEAD + "runs: [{name: b, label: c, reported: {mio: 1}}]", "'runs.0.reported.mio'", "miou"),
        (HEAD + "runs: [{name: b, label: c, reported: {miou: 41}}]", "got 41", ""),
        (HEAD + "runs: [{name: b, label: c, settings: {optim: {rl: 1}}}]", "'optim.rl'", "'lr'"),
        (HEAD + "runs: [{name: b, label: c, settings: {model: {name: unet}}}]", "'unet'", "known"),
        (HEAD + "runs: [{name: b, label: c, recipe: campvid}]", "'campvid'", "'camvid'"),
        (HEAD + "runs: [{name: b, label: c}, {name: b, label: d}]", "the name 'b'", ""),
        (HEAD + "runs: [{name: b, label: c}, {name: d, label: c}]", "the label 'c'", ""),
        (HEAD + "runs: [{name: ../b, label: c}]", "runs.0.name", ""),
        (HEAD + "runs: []", "'runs'", ""),
        (HEAD, "'runs'", ""),
        (HEAD + "task: cls\nruns: [{name: b, label: c}]", "'task'", ""),
        ("- a", "mapping", ""),
        ("a: [", "not YAML", ""),
    ],
)
def test_what_does_not_fit_is_one_line_with_the_file(
    text: str, says: str, hint: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_study(str(file))
    assert str(file) in caught.value.message
    assert says in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "says", "hint"),
    [
        (
            "study4-segment",
            "no study is called 'study4-segment'",
            "did you mean 'study4-segmentation'?",
        ),
        ("absent.yaml", "absent.yaml does not exist", ""),
    ],
)
def test_a_study_that_there_is_not(name: str, says: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load_study(name)
    assert caught.value.hint == hint


def test_the_users_settings_go_over_the_studys_and_leave_it_as_it_is() -> None:
    text = (
        HEAD
        + "runs: [{name: b, label: c, recipe: study5-exponential, settings: {train: {steps: 9}}}]"
    )
    (run,) = parse_study(text, "x").runs
    assert run_settings(run).train.steps == 9
    shorter = run_settings(run, ("train.epochs=2", "loss.gamma=0.5"))
    assert (shorter.train.steps, shorter.train.epochs, shorter.loss.gamma) == (None, 2, 0.5)
    assert run_settings(run).train.steps == 9
