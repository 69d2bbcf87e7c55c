"""The settings models: sizes, times, ranges, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from dlcvcli.config.fewshot import TrainFewshotSettings
from dlcvcli.config.names import RESERVED_OPTIONS
from dlcvcli.config.schema import (
    EXTENDABLE_CHANGES,
    MAX_PIXELS,
    RESUMABLE_CHANGES,
    AugmentSettings,
    DataSettings,
    LossSettings,
    ModelSettings,
    OptimSettings,
    Settings,
    TrainSegSettings,
    TrainSettings,
    check_size,
    parse_duration,
    parse_size,
)
from dlcvcli.studies.definition import StudyDefinition

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


@settings(deadline=None, max_examples=50)
@given(SIDE, SIDE, st.sampled_from(["x", "X", " x ", "x "]))
def test_a_size_is_height_by_width_however_it_is_written(
    height: int, width: int, cross: str
) -> None:
    for value in (f"{height}{cross}{width}", [height, width], (height, width)):
        assert DataSettings.model_validate({"size": value}).size == (height, width)
    for value in (height, str(height), f" {height} "):
        assert DataSettings.model_validate({"crop": value}).crop == (height, height)


@pytest.mark.parametrize(
    "value",
    [
        *("256x", "x256", "256*256", "1x2x3", "-1x5", "1.5x2", "0x5", "5x0", 0, -4, True, [1]),
        *([1, True], [1, 2.0], ["1", "2"], "9" * 5000, "8192x8193", 8193, [2**40, 1]),
    ],
)
def test_what_is_no_size_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        DataSettings.model_validate({"size": value})


def test_no_size_means_the_images_own() -> None:
    assert DataSettings().size is None
    assert parse_size(None) is None


@settings(deadline=None, max_examples=80)
@given(*[st.one_of(st.none(), st.integers(0, 999))] * 4)
def test_a_time_is_the_sum_of_its_parts(
    days: int | None, hours: int | None, minutes: int | None, seconds: int | None
) -> None:
    parts = {"d": days, "h": hours, "m": minutes, "s": seconds}
    text = "".join(f"{number}{unit}" for unit, number in parts.items() if number is not None)
    wanted = sum(
        (number or 0) * factor
        for number, factor in zip(parts.values(), (86400, 3600, 60, 1), strict=True)
    )
    if text:
        assert parse_duration(text) == wanted
        assert parse_duration(f" {text.upper()} ") == wanted


@settings(deadline=None, max_examples=50)
@given(st.floats(0.001, 1e6).map(lambda number: round(number, 3)))
def test_a_bare_number_is_seconds(number: float) -> None:
    for value in (number, f"{number:.3f}", f"{number:.3f}s"):
        wanted = pytest.approx(number)
        assert TrainSettings.model_validate({"max_time": value}).max_time == wanted


def test_parts_of_a_time_may_be_fractions() -> None:
    assert parse_duration("1.5h") == 5400
    assert parse_duration("1h30m") == 5400


@pytest.mark.parametrize(
    "value", ["", "soon", "1x", "1h junk", "-5m", "1 h", "h", 0, "0s", -1, "9" * 400]
)
def test_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        TrainSettings.model_validate({"max_time": value})


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("2GiB", 2**31),
        ("512 mib", 2**29),
        ("1.5GB", 1_500_000_000),
        ("7KB", 7000),
        ("1TiB", 2**40),
        ("100b", 100),
        ("0", 0),
        (4096, 4096),
        (None, 0),
        (False, 0),
    ],
)
def test_an_amount_of_memory_is_bytes(value: Any, wanted: int) -> None:
    assert DataSettings.model_validate({"cache": value}).cache == wanted


@pytest.mark.parametrize(
    "value",
    ["", "much", "2G", "-1GiB", "1e9", "GiB", "2 GiB more", -1, 1.5, True, "9" * 30, "9" * 400],
)
def test_what_is_no_amount_of_memory_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        DataSettings.model_validate({"cache": value})


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
