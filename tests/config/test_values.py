"""Formats of sizes, times and amounts of memory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dlcvcli.config.schema import TrainSettings
from dlcvcli.config.sizes import parse_size
from dlcvcli.config.values import parse_duration
from dlcvcli.tasks.segmentation.settings import DataSettings

SIDE = st.integers(1, 8192)


@settings(deadline=None, max_examples=50)
@given(SIDE, SIDE, st.sampled_from(["x", "X", " x ", "x "]))
def test_formats_of_a_size(height: int, width: int, cross: str) -> None:
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
def test_invalid_size_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        DataSettings.model_validate({"size": value})


def test_size_defaults_to_that_of_the_images() -> None:
    assert DataSettings().size is None
    assert parse_size(None) is None


@settings(deadline=None, max_examples=80)
@given(*[st.one_of(st.none(), st.integers(0, 999))] * 4)
def test_time_is_the_sum_of_its_parts(
    days: int | None, hours: int | None, minutes: int | None, seconds: int | None
) -> None:
    parts = {"d": days, "h": hours, "m": minutes, "s": seconds}
    text = "".join(f"{number}{unit}" for unit, number in parts.items() if number is not None)
    expected = sum(
        (number or 0) * factor
        for number, factor in zip(parts.values(), (86400, 3600, 60, 1), strict=True)
    )
    if text:
        assert parse_duration(text) == expected
        assert parse_duration(f" {text.upper()} ") == expected


@settings(deadline=None, max_examples=50)
@given(st.floats(0.001, 1e6).map(lambda number: round(number, 3)))
def test_number_without_a_unit_is_seconds(number: float) -> None:
    for value in (number, f"{number:.3f}", f"{number:.3f}s"):
        expected = pytest.approx(number)
        assert TrainSettings.model_validate({"max_time": value}).max_time == expected


def test_parts_of_a_time_may_have_decimals() -> None:
    assert parse_duration("1.5h") == 5400
    assert parse_duration("1h30m") == 5400


@pytest.mark.parametrize(
    "value", ["", "soon", "1x", "1h junk", "-5m", "1 h", "h", 0, "0s", -1, "9" * 400]
)
def test_invalid_time_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        TrainSettings.model_validate({"max_time": value})


@pytest.mark.parametrize(
    ("value", "expected"),
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
def test_amount_of_memory_is_in_bytes(value: Any, expected: int) -> None:
    assert DataSettings.model_validate({"cache": value}).cache == expected


@pytest.mark.parametrize(
    "value",
    ["", "much", "2G", "-1GiB", "1e9", "GiB", "2 GiB more", -1, 1.5, True, "9" * 30, "9" * 400],
)
def test_invalid_amount_of_memory_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        DataSettings.model_validate({"cache": value})
