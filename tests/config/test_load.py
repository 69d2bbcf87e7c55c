"""Merging and validation of settings."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcvcli.config import load
from dlcvcli.config.load import differences, recipe_names, resolve, to_yaml, validate
from dlcvcli.errors import ConfigError, ExitStatus
from dlcvcli.tasks.classification.settings import TrainClsSettings
from dlcvcli.tasks.fewshot.settings import TrainFewshotSettings
from dlcvcli.tasks.segmentation.settings import TrainSegSettings


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a recipe for tests, independent of the recipes of dlcv."""
    tree = {
        "task": "seg",
        "data": {"augment": {"scale": [0.75, 1.5]}},
        "model": {"name": "fcn32s_vgg16"},
        "optim": {"lr": 0.005},
        "train": {"epochs": 10, "batch_size": 6},
    }
    shipped = load.load_recipe
    monkeypatch.setattr(
        load, "load_recipe", lambda name: copy.deepcopy(tree) if name == "test" else shipped(name)
    )
    return "test"


def _resolve(**layers: Any) -> TrainSegSettings:
    return resolve(TrainSegSettings, **layers)


def _file(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _refused(**layers: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        _resolve(**layers)
    assert "\n" not in caught.value.message + caught.value.hint
    assert caught.value.status == ExitStatus.USAGE
    return caught.value


# -- the order of the layers ---------------------------------------------------------------------


def test_settings_without_layers_are_the_defaults() -> None:
    assert _resolve() == TrainSegSettings()


def test_each_layer_overrides_lower_layers(recipe: str, tmp_path: Path) -> None:
    file = _file(tmp_path, "optim: {lr: 0.02}\ntrain: {batch_size: 2, seed: 2}\n")
    flags = {"train.batch_size": 3, "train.seed": 3, "optim.name": None}
    sets = ["train.seed=4"]
    layers: dict[str, Any] = {"recipe": recipe, "file": file, "flags": flags, "sets": sets}

    def values(*names: str) -> tuple[float, int, int]:
        resolved = _resolve(**{name: layers[name] for name in names})
        return resolved.optim.lr, resolved.train.batch_size, resolved.train.seed

    assert values("recipe") == (0.005, 6, 0)
    assert values("recipe", "file") == (0.02, 2, 2)
    assert values("recipe", "file", "flags") == (0.02, 3, 3)
    assert values("recipe", "file", "flags", "sets") == (0.02, 3, 4)


def test_layer_replaces_single_keys(recipe: str, tmp_path: Path) -> None:
    resolved = _resolve(
        recipe=recipe,
        file=_file(tmp_path, "data: {augment: {flip: 0.0}}\nmodel: {options: {a: 1, b: 2}}\n"),
        sets=["model.options.b=3"],
    )
    assert resolved.data.augment.scale == (0.75, 1.5)
    assert resolved.data.augment.flip == 0.0
    assert resolved.model.name == "fcn32s_vgg16"
    assert resolved.model.options == {"a": 1, "b": 3}


def test_later_set_overrides_earlier_one() -> None:
    assert _resolve(sets=["train.seed=1", "train.seed=2"]).train.seed == 2


def test_missing_flags_do_not_override_a_recipe(recipe: str) -> None:
    assert _resolve(recipe=recipe, flags={"train.epochs": None}).train.epochs == 10


def test_settings_store_the_recipe(recipe: str) -> None:
    assert _resolve(recipe=recipe).recipe == "test"
    assert _resolve().recipe is None


def test_layers_cannot_name_another_recipe(recipe: str, tmp_path: Path) -> None:
    assert _refused(sets=["recipe=demo"]).hint == "use --recipe demo and remove the key"
    assert _refused(sets=["recipe=x"]).hint == "use --recipe NAME and remove the key"
    assert "key 'recipe' in" in _refused(recipe=recipe, sets=["recipe=null"]).message
    file = _file(tmp_path, f"recipe: {recipe}")
    assert f"key 'recipe' in {file}" in _refused(file=file).message
    # The settings of an earlier run name its recipe.
    assert _resolve(recipe=recipe, file=file).recipe == recipe
    assert _resolve(file=_file(tmp_path, "recipe: null")).recipe is None


def test_base_settings_are_used_and_not_changed() -> None:
    base = _resolve(sets=["train.seed=5", "train.steps=9"]).model_dump(mode="json")
    before = yaml.safe_dump(base)
    resolved = _resolve(base=base, flags={"train.epochs": 2})
    assert (resolved.train.seed, resolved.train.epochs, resolved.train.steps) == (5, 2, None)
    assert yaml.safe_dump(base) == before


# -- epochs and steps ----------------------------------------------------------------------------


def test_flag_for_steps_replaces_the_epochs_of_a_recipe(recipe: str) -> None:
    for layer in ({"flags": {"train.steps": 7}}, {"sets": ["train.steps=7"]}):
        resolved = _resolve(recipe=recipe, **layer).train
        assert (resolved.epochs, resolved.steps) == (None, 7)


def test_steps_in_a_file_replace_the_epochs_of_a_recipe(recipe: str, tmp_path: Path) -> None:
    resolved = _resolve(recipe=recipe, file=_file(tmp_path, "train: {steps: 7}")).train
    assert (resolved.epochs, resolved.steps) == (None, 7)


def test_flag_for_epochs_replaces_the_steps_in_a_file(tmp_path: Path) -> None:
    resolved = _resolve(file=_file(tmp_path, "train: {steps: 7}"), flags={"train.epochs": 3}).train
    assert (resolved.epochs, resolved.steps) == (3, None)


def test_null_steps_replace_nothing(recipe: str) -> None:
    assert _resolve(recipe=recipe, sets=["train.steps=null"]).train.epochs == 10


def test_epochs_and_steps_in_one_layer_are_refused(recipe: str, tmp_path: Path) -> None:
    reason = "epochs and steps are both set; set only one of them"
    file = _file(tmp_path, "train: {steps: 7, epochs: 3}")
    assert reason in _refused(flags={"train.epochs": 3, "train.steps": 4}).message
    assert reason in _refused(sets=["train.epochs=3", "train.steps=4"]).message
    assert _refused(recipe=recipe, file=file).message == f"key 'train' in {file}: {reason}"


# -- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("optim.nme=sgd", "optim.nme", "did you mean 'name'?"),
        ("optm.name=sgd", "optm", "did you mean 'optim'?"),
        ("data.augment.flp=1", "data.augment.flp", "did you mean 'flip'?"),
        ("train.zzz=1", "train.zzz", "known: batch_size, deterministic, devices, epochs, keep"),
        ("train..steps=3", "train.", "known: "),
    ],
)
def test_unknown_key_is_reported_with_its_source_and_a_similar_key(
    text: str, key: str, hint: str
) -> None:
    error = _refused(sets=[text])
    assert error.message == f"unknown key '{key}' in --set {text}"
    assert error.hint.startswith(hint)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "optim.lr=-1",
            "key 'optim.lr' in --set optim.lr=-1: Input should be greater than 0 (got",
        ),
        ("optim.lr=fast", "key 'optim.lr'"),
        ("optim.lr=1e400", "finite number"),
        ("optim.lr=.nan", "finite number"),
        ("optim.lr.x=3", "key 'optim.lr' in"),
        ("optim.name=sdg", "Input should be 'sgd', 'adam' or 'adamw' (got 'sdg')"),
        ("loss.class_weights=[1,-2]", "Input should be greater than or equal to 0 (got -2)"),
        ("loss.class_weights=[1,a]", "(got 'a')"),
        ("loss.class_weights=often", "'median_frequency', 'inverse_log' or 'inverse_root'"),
        ("train.batch_size=2.5", "key 'train.batch_size'"),
        ("train.batch_size=", "key 'train.batch_size'"),
        ("train.seed=4294967296", "key 'train.seed'"),
        ("train.max_time=1x", "'1x' is not a time, e.g. 90s, 15m, 1h30m"),
        ("train=5", "key 'train'"),
        ("train=null", "key 'train'"),
        ("data.size=big", "'big' is not HxW, e.g. 256x256"),
        ("data.size=[1, 2, 3]", "key 'data.size'"),
        ("data.crop=[a, b]", "key 'data.crop'"),
        ("data.ignore_index=256", "key 'data.ignore_index'"),
        ("data.holdout=1", "key 'data.holdout'"),
        ("data.augment.scale=[2, 1]", "[2.0, 1.0] is not a range"),
        ("data.layout=folders", "key 'data.layout'"),
        ("model.options=3", "key 'model.options'"),
        ("model.options={3: 4}", "key 'model.options'"),
        ("snapshot.images=a.png", "key 'snapshot.images'"),
        ("snapshot.epochs=[-1]", "key 'snapshot.epochs'"),
        ("task=cls", "key 'task'"),
        ("data={3: 4}", "key 'data.3' in --set data={3: 4}: Keys should be strings"),
        ("optim.lr=true", "Input should be a valid number (got True)"),
        ("train.steps=10000000000", "less than or equal to 1000000000 (got 10000000000)"),
        ("train.workers=100000", "less than or equal to 256 (got 100000)"),
        ("data.crop=99999x99999", "key 'data.crop' in --set data.crop=99999x99999: 99999x99999 is"),
        ("data.augment.scale=[1e-9, 1]", "key 'data.augment.scale'"),
        ("loss.class_weights=[0, 0]", "no class has a weight of 1e-06 or more"),
        ("model.options.num_classes=3", "'num_classes' is not an option of a model"),
        (
            "recipe=demo",
            "key 'recipe' in --set recipe=demo: only the flag --recipe selects a recipe",
        ),
        ("optim.lr=[", "the value is not YAML"),
        ('train.steps=!!int "abc"', "the value: 'abc' is not an integer"),
        ("train.steps=999999999999999999999999999999", "does not fit into 64 bits"),
        ("data.crop=2020-13-45", "'2020-13-45' is not HxW"),
        ("model.options=" + "[" * 40 + "]" * 40, "nested more than 32 levels deep"),
        (".".join("a" * 40) + "=1", "the key has more than 32 parts"),
        ("optim.lr", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
    ],
)
def test_invalid_value_is_reported_with_its_reason(text: str, reason: str) -> None:
    message = _refused(sets=[text]).message
    assert reason in message
    assert f"--set {text[:60]}" in message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- a\n- b\n", "does not hold a mapping of keys"),
        ("just words", "does not hold a mapping of keys"),
        ('"open', "is not YAML"),
        ("a: !!python/object:os.system 1", "python/object:os.system' is not supported"),
        ("3: 4", "key '3'"),
        ("null: 4", "key 'None'"),
        ("on: 4", "Keys should be strings"),
        ("2020-01-01: 4", "unknown key '2020-01-01'"),
        ("data: null", "key 'data'"),
        ("data: {1: 2}", "key 'data.1'"),
        ("trian: {steps: 3}", "unknown key 'trian'"),
    ],
)
def test_invalid_file_is_reported_in_one_line(
    recipe: str, tmp_path: Path, text: str, reason: str
) -> None:
    assert reason in _refused(file=_file(tmp_path, text), recipe=recipe).message


def test_source_is_the_layer_with_the_invalid_key(recipe: str, tmp_path: Path) -> None:
    file = _file(tmp_path, "train: {batch_size: 0}\n")
    assert f" in {file}: " in _refused(recipe=recipe, file=file).message
    flags = {"train.batch_size": -1}
    assert " in the flags: " in _refused(recipe=recipe, file=file, flags=flags).message


def test_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in _refused(file=tmp_path / "nowhere.yaml").message
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    assert "is not YAML" in _refused(file=tmp_path / "mine.yaml").message


def test_folder_as_settings_file_is_refused(tmp_path: Path) -> None:
    error = _refused(file=tmp_path)
    assert error.message == f"settings file {tmp_path} is a folder, not a YAML file"


def test_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert _resolve(file=_file(tmp_path, "# nothing\n")) == TrainSegSettings()


def test_unknown_recipe_is_reported_with_a_similar_name() -> None:
    error = _refused(recipe="dmo")
    assert error.message == "unknown recipe 'dmo'"
    assert error.hint == "did you mean 'demo'?"


def test_error_without_layers_has_no_source() -> None:
    with pytest.raises(ConfigError, match=r"^unknown key 'x'$"):
        validate(TrainSegSettings, {"x": 1})


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("1.0e-3", 1e-3), ("5E2", 500.0), ("1", 1.0), ("0.5", 0.5)],
)
def test_number_formats(text: str, value: float) -> None:
    assert _resolve(sets=[f"optim.lr={text}"]).optim.lr == value
    resolved = _resolve(sets=[f"model.options.x={text}"]).model.options["x"]
    assert isinstance(resolved, int | float)
    assert resolved == value


def test_exponent_without_a_dot_is_a_number_in_a_file_too(tmp_path: Path) -> None:
    assert _resolve(file=_file(tmp_path, "optim: {lr: 1e-3}")).optim.lr == 1e-3


def test_text_values_and_values_with_an_equals_sign() -> None:
    resolved = _resolve(sets=["data.path=a=b/here", "data.classes=landcover7"]).data
    assert (resolved.path, resolved.classes) == ("a=b/here", "landcover7")


@pytest.mark.parametrize("name", recipe_names())
def test_recipe_is_valid(name: str) -> None:
    task = load.load_recipe(name).get("task", "seg")
    schema: Any = {
        "seg": TrainSegSettings,
        "cls": TrainClsSettings,
        "fewshot": TrainFewshotSettings,
    }[task]
    resolved = resolve(schema, recipe=name)
    assert differences(resolved, schema())
    assert resolved.train.epochs or resolved.train.steps


def test_recipes_are_listed() -> None:
    assert {"camvid", "demo"} <= {*recipe_names()}


@settings(deadline=None, max_examples=40)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "optim.lr": st.floats(1e-9, 1e3),
            "optim.clip_norm": st.one_of(st.none(), st.floats(1e-3, 1e3)),
            "data.size": st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
            "data.path": st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
            "data.augment.scale": st.floats(0.1, 1).map(lambda low: (low, 2 * low)),
            "model.options": st.dictionaries(
                st.text("abc_", min_size=1), st.one_of(st.integers(), st.booleans(), st.text("e1."))
            ),
            "snapshot.images": st.lists(st.sampled_from(["0013", "1e3", "yes", "ünder.png"])),
            "snapshot.epochs": st.lists(st.integers(0, 99)),
            "train.max_time": st.floats(0.5, 1e6),
        },
    )
)
def test_settings_survive_a_round_trip_through_yaml(flags: dict[str, Any]) -> None:
    resolved = _resolve(recipe="demo", flags=flags)
    again = _resolve(base=yaml.safe_load(to_yaml(resolved)))
    assert again == resolved
    assert differences(again, resolved) == {}


def test_differences_have_dotted_keys_and_both_values() -> None:
    one = _resolve(sets=["train.seed=1", "data.size=4x6", "model.options.a=1"])
    other = _resolve(sets=["train.seed=2", "model.options.a=2"])
    assert differences(one, other) == {
        "data.size": ([4, 6], None),
        "model.options.a": (1, 2),
        "train.seed": (1, 2),
    }


def test_yaml_starts_with_task_recipe_data_and_model_and_is_complete() -> None:
    keys = list(yaml.safe_load(to_yaml(TrainSegSettings())))
    assert keys[:4] == ["task", "recipe", "data", "model"]
    assert {*keys} == {*TrainSegSettings.model_fields}


def test_recipe_of_another_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="recipe 'omniglot' is for task fewshot") as caught:
        resolve(TrainSegSettings, recipe="omniglot")
    assert "dlcv train fewshot --recipe omniglot" in caught.value.hint
    with pytest.raises(ConfigError, match="recipe 'camvid' is for task seg, not fewshot"):
        resolve(TrainFewshotSettings, recipe="camvid")
