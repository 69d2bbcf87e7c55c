"""The settings models, and the values that they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from dlcvcli.config.names import RESERVED_OPTIONS
from dlcvcli.config.schema import (
    EXTENDABLE_CHANGES,
    RESUMABLE_CHANGES,
    AugmentSettings,
    ModelSettings,
    OptimSettings,
    TrainSettings,
)
from dlcvcli.config.sizes import MAX_PIXELS, check_size
from dlcvcli.config.values import Settings
from dlcvcli.studies.definition import StudyDefinition
from dlcvcli.tasks.fewshot.settings import TrainFewshotSettings
from dlcvcli.tasks.segmentation.settings import DataSettings, LossSettings, TrainSegSettings

SIDE = st.integers(1, 8192)
SCHEMAS = (TrainSegSettings, TrainFewshotSettings, StudyDefinition)


def _models(model: type[BaseModel]) -> list[type[BaseModel]]:
    inner = [
        field.annotation
        for field in model.model_fields.values()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    ]
    return [model, *(nested for part in inner for nested in _models(part))]


def _keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    keys: set[str] = set()
    for name, field in model.model_fields.items():
        part = field.annotation
        if isinstance(part, type) and issubclass(part, BaseModel):
            keys |= _keys(part, f"{prefix}{name}.")
        else:
            keys.add(f"{prefix}{name}")
    return keys


@pytest.mark.parametrize(
    "value",
    [
        *([2, 1], [0, 1], [-1, 1], [1], [1, 2, 3], [1, float("inf")], "1", [True, 1], ["1", "2"]),
        *([1e-9, 1], [0.09, 1], [1, 11]),
    ],
)
def test_invalid_range_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        AugmentSettings.model_validate({"scale": value})


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "inf", "nan", 0, -1, True, "1"])
def test_learning_rate_is_positive_and_finite(value: Any) -> None:
    with pytest.raises(ValidationError):
        OptimSettings.model_validate({"lr": value})


def test_epochs_and_steps_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="epochs and steps are both set"):
        TrainSettings(epochs=1, steps=1)
    assert TrainSettings(steps=1).epochs is None


@pytest.mark.parametrize("model", _models(TrainSegSettings))
def test_sections_are_frozen_and_refuse_unknown_keys(model: type[BaseModel]) -> None:
    assert issubclass(model, Settings)
    settings = model()
    field = next(iter(model.model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(settings, field, getattr(settings, field))
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate({"surely_unknown": 1})


@pytest.mark.parametrize("model", _models(TrainSegSettings))
def test_defaults_are_valid(model: type[BaseModel]) -> None:
    assert model.model_validate(model().model_dump(mode="json")) == model()


def test_keys_that_may_change_on_resume_exist() -> None:
    assert _keys(TrainSegSettings) >= RESUMABLE_CHANGES | EXTENDABLE_CHANGES
    assert not RESUMABLE_CHANGES & EXTENDABLE_CHANGES


def _fields() -> list[tuple[type[BaseModel], str]]:
    models = dict.fromkeys(model for schema in SCHEMAS for model in _models(schema))
    return [(model, name) for model in models for name in model.model_fields]


@pytest.mark.parametrize(("model", "name"), _fields())
def test_booleans_are_not_converted_to_other_types_or_back(
    model: type[BaseModel], name: str
) -> None:
    is_switch = model.model_fields[name].annotation is bool
    for value in (0, 1, "true", "yes") if is_switch else (True,):
        with pytest.raises(ValidationError) as caught:
            model.model_validate({name: value})
        assert any(error["loc"][:1] == (name,) for error in caught.value.errors())


@pytest.mark.parametrize("name", ["lr", "weight_decay", "momentum", "accumulate", "clip_norm"])
def test_text_is_not_converted_to_a_number(name: str) -> None:
    assert OptimSettings.model_validate({name: 1 if name != "momentum" else 0.5})
    with pytest.raises(ValidationError):
        OptimSettings.model_validate({name: "1" if name != "momentum" else "0.5"})


def test_floats_are_not_converted_to_integers_nor_numbers_to_text() -> None:
    for values in ({"steps": 10.0}, {"seed": 0.5}):
        with pytest.raises(ValidationError):
            TrainSettings.model_validate(values)
    with pytest.raises(ValidationError):
        DataSettings.model_validate({"path": 5})


def _without_bound(schema: object, path: str = "") -> list[str]:
    """Return the paths of integers without a maximum in a JSON schema."""
    if isinstance(schema, list):
        return [inner for part in schema for inner in _without_bound(part, path)]
    if not isinstance(schema, dict):
        return []
    own = schema.get("type") == "integer" and not {"maximum", "exclusiveMaximum"} & schema.keys()
    paths = [path] if own else []
    for key, part in schema.items():
        paths += _without_bound(part, f"{path}/{key}")
    return paths


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_integer_has_an_upper_bound(schema: type[BaseModel]) -> None:
    unbounded = _without_bound(schema.model_json_schema())
    # Height and width are bounded by their product.
    assert {path for path in unbounded if "/prefixItems" not in path} == set()


def test_number_of_pixels_is_bounded() -> None:
    assert check_size((8192, 8192)) == (8192, 8192)
    assert check_size((1, MAX_PIXELS)) == (1, MAX_PIXELS)
    with pytest.raises(ValueError, match="8192x8193 is not a valid size"):
        check_size((8192, 8193))


def test_crop_and_smallest_scale_are_bounded_together() -> None:
    assert DataSettings.model_validate({"crop": 8192}).crop == (8192, 8192)
    with pytest.raises(ValidationError, match=r"data\.crop 4096x4096 at data\.augment\.scale 0\.1"):
        DataSettings.model_validate({"crop": 4096, "augment": {"scale": [0.1, 1]}})


@pytest.mark.parametrize(
    "weights", [[], [0], [0, 0.0], [1e-30, 0], [-1, 2], [1e30], [float("nan"), 1], [True, 1], ["1"]]
)
def test_invalid_class_weights_are_refused(weights: Any) -> None:
    with pytest.raises(ValidationError):
        LossSettings.model_validate({"class_weights": weights})


def test_class_weights_may_be_zero_for_some_classes() -> None:
    assert LossSettings.model_validate({"class_weights": [0, 1]}).class_weights == (0, 1)


@pytest.mark.parametrize("name", sorted(RESERVED_OPTIONS))
def test_reserved_options_of_a_network_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=f"'{name}' is not an option of a model"):
        ModelSettings.model_validate({"options": {name: 3}})
