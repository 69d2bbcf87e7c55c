"""A study is one YAML file; an error names the file and the key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dlcvcli.config.load import recipe_names
from dlcvcli.errors import ConfigError
from dlcvcli.flags import flag
from dlcvcli.outcomes.spec import StudySpec
from dlcvcli.studies.definition import (
    load_study,
    parse_study,
    run_settings,
    study_names,
    study_spec,
    study_tasks,
)
from dlcvcli.tasks.flags import TrainFlags
from dlcvcli.tasks.registry import TASKS
from dlcvcli.tasks.segmentation.study import SyntheticTiles

HEAD = "name: a\ntitle: t\nquestion: q\nsource: s\n"
FEW = f"{HEAD}task: fewshot\n"
RUN = "runs: [{name: b, label: c}]"
GLYPHS = "{alphabets: 2, characters: 3, drawers: 4, size: 28x28}"


@pytest.mark.parametrize("name", study_names())
def test_the_shipped_studies_are_complete(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    assert len(study.runs) > 1
    recipes = [run.recipe for run in study.runs]
    assert all(recipe is None or recipe in recipe_names() for recipe in recipes)


def test_every_study_with_a_report_has_its_scores() -> None:
    studies = {name: load_study(name) for name in study_names()}
    reported = {
        name: [run.reported.scores.get(TASKS[run.task].scores[0].key) for run in study.runs]
        for name, study in studies.items()
    }
    assert reported == {
        "distance": [0.4695, None, None, 0.46],
        "fewshot-glyphs": [None, None, None, None],
        "landcover-models": [None, None, None],
        "shots": [0.4695, None, None],
        "study1-segmentation": [0.4153, 0.7472],
        # The first run is for pre-training; the settings A to E follow.
        "study1-transfer": [None, 0.2562, 0.4655, 0.4828, 0.2931, 0.1256],
        "study2-segmentation": [0.6581, 0.7413],
        "study2-transfer": [None, 0.2438, 0.5172, 0.4483, 0.2241, 0.2980],
        "study3-transfer": [None, 0.23, 0.35, 0.46, 0.36, 0.44],
        "study4-segmentation": [0.676, 0.696],
        "study5-segmentation": [0.6055, 0.5937],
        "transfer": [None] * 6,
        "transfer-labels": [None] * 21,
    }


def test_the_study_without_data_has_the_size_that_it_names() -> None:
    study = load_study("landcover-models")
    assert isinstance(study.data, SyntheticTiles)
    assert (study.data.train, study.data.validation, study.data.size) == (160, 40, (64, 64))
    settings = [run_settings(run) for run in study.runs]
    assert [one.optim.lr for one in settings] == [1e-4, 1e-4, 1e-3]
    assert {one.train.steps for one in settings} == {120}
    assert {one.data.augment.scale for one in settings} == {(0.75, 1.5)}


def test_the_runs_of_few_shot_studies_differ_in_one_setting() -> None:
    shots = [run_settings(run) for run in load_study("shots").runs]
    assert [one.episode.k_shot for one in shots] == [1, 5, 10]
    assert {one.episode.test_k_shot for one in shots} == {None}
    plain = [one.model_copy(update={"episode": None}).model_dump() for one in shots]
    assert plain == [plain[0]] * 3
    runs = load_study("distance").runs
    distances = [run_settings(run) for run in runs]
    assert [one.distance.name for one in distances] == [
        *("euclidean", "cosine", "parametric", "parametric"),
    ]  # fmt: skip
    assert [run.init for run in runs] == [None, None, None, "euclidean"]
    plain = [one.model_copy(update={"distance": None}).model_dump() for one in distances]
    assert plain == [plain[0]] * 4


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (HEAD.replace("title", "titel") + "runs: [{name: b, label: c}]", "'titel'", "'title'"),
        (HEAD + "runs: [{nam: b, label: c}]", "'runs.0.nam'", "'name'"),
        (HEAD + "runs: [{name: b, label: c, reported: {mio: 1}}]", "no reported mio", ""),
        (HEAD + "runs: [{name: b, label: c, reported: {miou: 41}}]", "got 41", ""),
        (HEAD + "runs: [{name: b, label: c, settings: {optim: {rl: 1}}}]", "'optim.rl'", "'lr'"),
        (HEAD + "runs: [{name: b, label: c, settings: {model: {name: unet}}}]", "'unet'", "known"),
        (HEAD + "runs: [{name: b, label: c, recipe: campvid}]", "'campvid'", "'camvid'"),
        (HEAD + "runs: [{name: b, label: c}, {name: b, label: d}]", "the name 'b'", ""),
        (HEAD + "runs: [{name: b, label: c}, {name: d, label: c}]", "the label 'c'", ""),
        (HEAD + "runs: [{name: ../b, label: c}]", "runs.0.name", ""),
        (HEAD + "runs: []", "'runs'", ""),
        (HEAD, "'runs'", ""),
        (HEAD + "task: segm\nruns: [{name: b, label: c}]", "'task'", ""),
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
        (HEAD + "runs: [{name: b, label: c, task: fewsho}]", "'runs.0.task'", "'fewshot'"),
        (HEAD + f"runs: [{{name: b, label: c, data: {GLYPHS}}}]", "runs.0.data", "validation"),
        (HEAD + "figures: {curvs: true}\n" + RUN, "no figures.curvs", ""),
        (HEAD + "figures: {curves: 1}\n" + RUN, "figures", ""),
        (HEAD + "runs: [{name: b, label: c, backbone: b}]", "task seg has no backbone", ""),
        ("- a", "mapping", ""),
        ("a: [", "not YAML", ""),
    ],
)
def test_a_definition_that_does_not_fit_is_one_line_with_the_file(
    text: str, message: str, hint: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_study(str(file))
    assert str(file) in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        (
            "study4-segment",
            "no study is called 'study4-segment'",
            "did you mean 'study4-segmentation'?",
        ),
        ("absent.yaml", "absent.yaml does not exist", ""),
    ],
)
def test_an_unknown_study_is_refused(name: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_study(name)
    assert caught.value.hint == hint


def test_the_users_settings_replace_the_studys() -> None:
    text = (
        HEAD
        + "runs: [{name: b, label: c, recipe: study5-exponential, settings: {train: {steps: 9}}}]"
    )
    (run,) = parse_study(text, "x").runs
    assert run_settings(run).train.steps == 9
    shorter = run_settings(run, ("train.epochs=2", "loss.gamma=0.5"))
    assert (shorter.train.steps, shorter.train.epochs, shorter.loss.gamma) == (None, 2, 0.5)
    assert run_settings(run).train.steps == 9


@pytest.mark.parametrize("task", study_tasks())
def test_the_spec_of_a_task_is_complete(task: str) -> None:
    spec = study_spec(task)
    assert isinstance(spec, StudySpec)
    assert set(spec.image_figures) <= set(spec.figures)
    assert "curves" in spec.figures
    assert not set(spec.by_seed) & {score.key for score in TASKS[task].scores}


TWO_TASKS = f"""{HEAD}task: seg
runs:
  - {{name: masks, label: masks, reported: {{miou: 0.4}}}}
  - name: characters
    label: characters
    task: fewshot
    data: {GLYPHS}
    reported: {{accuracy: 0.5}}
  - {{name: folder, label: folder, task: fewshot, data: my-set}}
figures: {{points: false}}
"""


def test_runs_may_have_a_task_and_data_of_their_own() -> None:
    study = parse_study(TWO_TASKS, "x")
    assert [run.task for run in study.runs] == ["seg", "fewshot", "fewshot"]
    masks, characters, folder = study.runs
    assert (masks.data, folder.data) == (None, "my-set")
    assert type(characters.data) is study_spec("fewshot").synthetic
    assert [run_settings(run).task for run in study.runs] == ["seg", "fewshot", "fewshot"]
    assert study.needs_data
    assert study.shows_images
    assert not study.figures.draws("points")
    assert study.figures.draws("curves")
    own = TWO_TASKS.replace("label: masks,", "label: masks, data: mine,")
    assert not parse_study(own, "x").needs_data


def test_a_backbone_is_for_tasks_whose_trainings_take_one(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class BackboneFlags(TrainFlags):
        backbone: Path | None = flag("A backbone.")

    flags = replace(TASKS["fewshot"].flags, train=BackboneFlags)
    monkeypatch.setitem(TASKS, "fewshot", replace(TASKS["fewshot"], flags=flags))
    text = f"{FEW}runs: [{{name: a, label: a}}, {{name: b, label: b, backbone: a}}]"
    assert parse_study(text, "x").runs[1].starts == {"backbone": "a"}
    with pytest.raises(ConfigError, match="'c', which the study does not have"):
        parse_study(text.replace("backbone: a", "backbone: c"), "x")


def test_a_task_may_have_no_synthetic_set(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(study_spec("seg"), synthetic=None)
    monkeypatch.setitem(TASKS, "seg", replace(TASKS["seg"], study=lambda: spec))
    assert parse_study(HEAD + RUN, "x").needs_data
    with pytest.raises(ConfigError, match="x, data: task seg has no synthetic set"):
        parse_study(f"{HEAD}data: {GLYPHS}\n{RUN}", "x")
