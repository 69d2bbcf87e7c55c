"""The settings models, and what they refuse."""

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
    return [model, *(found for part in inner for found in _models(part))]


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
def test_what_is_no_range_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        AugmentSettings.model_validate({"scale": value})


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "inf", "nan", 0, -1, True, "1"])
def test_a_rate_is_above_zero_and_finite(value: Any) -> None:
    with pytest.raises(ValidationError):
        OptimSettings.model_validate({"lr": value})


def test_epochs_and_steps_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="epochs and steps are both given"):
        TrainSettings(epochs=1, steps=1)
    assert TrainSettings(steps=1).epochs is None


@pytest.mark.parametrize("model", _models(TrainSegSettings))
def test_every_part_is_frozen_and_refuses_unknown_keys(model: type[BaseModel]) -> None:
    assert issubclass(model, Settings)
    made = model()
    field = next(iter(model.model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(made, field, getattr(made, field))
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate({"surely_unknown": 1})


@pytest.mark.parametrize("model", _models(TrainSegSettings))
def test_the_defaults_fit_the_schema(model: type[BaseModel]) -> None:
    assert model.model_validate(model().model_dump(mode="json")) == model()


def test_what_may_change_on_a_resume_are_keys_that_exist() -> None:
    assert _keys(TrainSegSettings) >= RESUMABLE_CHANGES | EXTENDABLE_CHANGES
    assert not RESUMABLE_CHANGES & EXTENDABLE_CHANGES


def _fields() -> list[tuple[type[BaseModel], str]]:
    models = dict.fromkeys(model for schema in SCHEMAS for model in _models(schema))
    return [(model, name) for model in models for name in model.model_fields]


@pytest.mark.parametrize(("model", "name"), _fields())
def test_no_boolean_is_taken_for_a_number_or_text_and_neither_for_a_boolean(
    model: type[BaseModel], name: str
) -> None:
    is_switch = model.model_fields[name].annotation is bool
    for value in (0, 1, "true", "yes") if is_switch else (True,):
        with pytest.raises(ValidationError) as caught:
            model.model_validate({name: value})
        assert any(error["loc"][:1] == (name,) for error in caught.value.errors())


@pytest.mark.parametrize("name", ["lr", "weight_decay", "momentum", "accumulate", "clip_norm"])
def test_no_text_is_taken_for_a_number(name: str) -> None:
    assert OptimSettings.model_validate({name: 1 if name != "momentum" else 0.5})
    with pytest.raises(ValidationError):
        OptimSettings.model_validate({name: "1" if name != "momentum" else "0.5"})


def test_no_fraction_is_taken_for_an_integer_and_no_number_for_text() -> None:
    for values in ({"steps": 10.0}, {"seed": 0.5}):
        with pytest.raises(ValidationError):
            TrainSettings.model_validate(values)
    with pytest.raises(ValidationError):
        DataSettings.model_validate({"path": 5})


def _without_bound(schema: object, path: str = "") -> list[str]:
    """Return where a JSON schema allows an integer without a maximum."""
    if isinstance(schema, list):
        return [found for part in schema for found in _without_bound(part, path)]
    if not isinstance(schema, dict):
        return []
    own = schema.get("type") == "integer" and not {"maximum", "exclusiveMaximum"} & schema.keys()
    found = [path] if own else []
    return found + [
        f for key, part in schema.items() for f in _without_bound(part, f"{path}/{key}")
    ]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_integer_has_an_upper_bound(schema: type[BaseModel]) -> None:
    unbounded = _without_bound(schema.model_json_schema())
    # The sides of a size: their product has the bound.
    assert {path for path in unbounded if "/prefixItems" not in path} == set()


def test_a_size_has_no_more_pixels_than_memory_can_hold() -> None:
    assert check_size((8192, 8192)) == (8192, 8192)
    assert check_size((1, MAX_PIXELS)) == (1, MAX_PIXELS)
    with pytest.raises(ValueError, match="8192x8193 is no size"):
        check_size((8192, 8193))


def test_a_crop_and_the_least_scale_fit_into_memory_together() -> None:
    assert DataSettings.model_validate({"crop": 8192}).crop == (8192, 8192)
    with pytest.raises(ValidationError, match=r"data\.crop 4096x4096 at data\.augment\.scale 0\.1"):
        DataSettings.model_validate({"crop": 4096, "augment": {"scale": [0.1, 1]}})


@pytest.mark.parametrize(
    "weights", [[], [0], [0, 0.0], [1e-30, 0], [-1, 2], [1e30], [float("nan"), 1], [True, 1], ["1"]]
)
def test_class_weights_that_could_teach_nothing_are_refused(weights: Any) -> None:
    with pytest.raises(ValidationError):
        LossSettings.model_validate({"class_weights": weights})


def test_some_classes_may_weigh_nothing() -> None:
    assert LossSettings.model_validate({"class_weights": [0, 1]}).class_weights == (0, 1)


@pytest.mark.parametrize("name", sorted(RESERVED_OPTIONS))
def test_what_dlcv_passes_to_a_builder_is_no_option(name: str) -> None:
    with pytest.raises(ValidationError, match=f"'{name}' is not an option of a model"):
        ModelSettings.model_validate({"options": {name: 3}})
