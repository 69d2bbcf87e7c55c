"""A study is one YAML file; what is wrong with one is said with its file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcvcli.config.load import recipe_names
from dlcvcli.errors import ConfigError
from dlcvcli.studies.definition import load_study, parse_study, run_settings, study_names

HEAD = "name: a\ntitle: t\nquestion: q\nsource: s\n"
FEW = f"{HEAD}task: fewshot\n"
RUN = "runs: [{name: b, label: c}]"
GLYPHS = "{alphabets: 2, characters: 3, drawers: 4, size: 28x28}"


@pytest.mark.parametrize("name", study_names())
def test_the_shipped_ones_are_whole(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    assert len(study.runs) > 1
    recipes = [run.recipe for run in study.runs]
    assert all(recipe is None or recipe in recipe_names() for recipe in recipes)


def test_every_study_with_a_report_has_its_figures() -> None:
    studies = {name: load_study(name) for name in study_names()}
    reported = {
        name: [getattr(run.reported, study.kind.main) for run in study.runs]
        for name, study in studies.items()
    }
    assert reported == {
        "distance": [0.4695, None, None, 0.46],
        "fewshot-glyphs": [None, None, None, None],
        "landcover-models": [None, None, None],
        "shots": [0.4695, None, None],
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


def test_the_few_shot_studies_differ_in_one_thing_alone() -> None:
    shots = [run_settings(run, task="fewshot") for run in load_study("shots").runs]
    assert [one.episode.k_shot for one in shots] == [1, 5, 10]
    assert {one.episode.test_k_shot for one in shots} == {None}
    plain = [one.model_copy(update={"episode": None}).model_dump() for one in shots]
    assert plain == [plain[0]] * 3
    runs = load_study("distance").runs
    distances = [run_settings(run, task="fewshot") for run in runs]
    assert [one.distance.name for one in distances] == [
        *("euclidean", "cosine", "parametric", "parametric"),
    ]  # fmt: skip
    assert [run.init for run in runs] == [None, None, None, "euclidean"]
    plain = [one.model_copy(update={"distance": None}).model_dump() for one in distances]
    assert plain == [plain[0]] * 4


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
        (HEAD + "runs: [{name: b, label: c, reported: {accuracy: 0.5}}]", "no reported acc", ""),
        (HEAD + f"data: {GLYPHS}\n{RUN}", "unknown key 'alphabets'", "validation"),
        (HEAD + "data: {train: 2, validation: 0, size: 64x64}\n" + RUN, "'validation'", ""),
        (FEW + "data: {alphabets: 2, drawers: 3, size: 28x28}\n" + RUN, "'characters'", ""),
        (HEAD + "figures: {points: false}\nruns: [{name: b, label: c}]", "no figures.points", ""),
        (FEW + "runs: [{name: b, label: c, reported: {miou: 0.5}}]", "no reported miou", ""),
        (FEW + "data: {trian: 2}\n" + RUN, "unknown key 'trian'", "alphabets, characters"),
        (FEW + "figures: {first: 2}\n" + RUN, "no figures.first", ""),
        (FEW + "runs: [{name: b, label: c, settings: {loss: {name: dice}}}]", "'loss'", ""),
        (FEW + "runs: [{name: b, label: c, recipe: camvid}]", "for task seg, not few", "train seg"),
        (
            HEAD + "runs: [{name: b, label: c, recipe: study3-protonet}]",
            "task fewshot, not seg",
            "",
        ),
        (HEAD + "runs: [{name: b, label: c, init: d}]", "'d', which the study does not have", ""),
        (HEAD + "runs: [{name: b, label: c, init: b}]", "'b', which does not come before it", ""),
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
