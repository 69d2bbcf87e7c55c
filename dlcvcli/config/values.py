"""Types of settings, with their bounds: counts, sizes, times, amounts of memory."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from dlcvcli.config.names import RESERVED_OPTIONS
from dlcvcli.config.sizes import check_size, parse_size
from dlcvcli.errors import shorten

# Larger counts do not occur, and this one fits 32 bits.
MAX_COUNT = 10**9


class Settings(BaseModel):
    """Base class of all settings: frozen and strict.

    Unknown keys, values of another type and infinite numbers are errors.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False, strict=True
    )

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, tree: Any) -> Any:
        """Convert the lists of YAML and JSON to tuples, which strict validation requires."""
        if not isinstance(tree, dict):
            return tree
        return {
            key: tuple(value) if isinstance(value, list) else value for key, value in tree.items()
        }


def parse_duration(value: Any) -> Any:
    """Return the seconds in '90', '90s', '15m', '1.5h' or '1h30m'."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"'{shorten(value)}' is not a time, e.g. 90s, 15m, 1h30m")
    seconds = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
    return sum(float(number) * seconds[unit] for number, unit in parts)


_BYTES = {"": 1, "b": 1}
_BYTES |= {f"{prefix}b": 1000**power for power, prefix in enumerate("kmgt", 1)}
_BYTES |= {f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", 1)}


def parse_bytes(value: Any) -> Any:
    """Return the bytes in '512MiB', '2 GB' or '1.5GiB'; 0 for null and for YAML's off."""
    if value is None or value is False:
        return 0
    if value is True:
        raise ValueError("'true' is not an amount of memory, e.g. 512MiB, 2GiB")
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d{1,20}(?:\.\d{1,20})?)\s*([A-Za-z]*)\s*", value)
    if match is None or match[2].lower() not in _BYTES:
        raise ValueError(f"'{shorten(value)}' is not an amount of memory, e.g. 512MiB, 2GiB")
    return int(float(match[1]) * _BYTES[match[2].lower()])


def _check_range(value: tuple[float, float]) -> tuple[float, float]:
    if not SMALLEST_SCALE <= value[0] <= value[1] <= LARGEST_SCALE:
        raise ValueError(
            f"{list(value)} is not a range [low, high] within {SMALLEST_SCALE}..{LARGEST_SCALE}"
        )
    return value


def check_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a model's builder if they are allowed.

    Raises:
        ValueError: dlcv sets one of them itself.
    """
    for name in options:
        if name in RESERVED_OPTIONS:
            raise ValueError(f"'{name}' is not an option of a model: dlcv sets it")
    return options


Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
CountOrZero = Annotated[int, Field(ge=0, le=MAX_COUNT)]
# The largest published batch size is 65536 (You et al. 2020, arXiv:1904.00962).
BatchSize = Annotated[int, Field(ge=1, le=65536)]
# No machine has more GPUs.
Ranks = Annotated[int, Field(ge=1, le=256)]
# Each worker is a process of about 0.2 GB; few machines have more than 256 cores.
Workers = Annotated[int, Field(ge=0, le=256)]
Size = Annotated[tuple[int, int], BeforeValidator(parse_size), AfterValidator(check_size)]
# Below the limit, byte counts fit 64-bit integers.
Bytes = Annotated[int, Field(ge=0, le=2**60), BeforeValidator(parse_bytes)]
# The limit is 31 years.
Duration = Annotated[float, Field(gt=0, le=1e9), BeforeValidator(parse_duration)]
# At a scale of 0.1, a crop shows a region of 10 times its height and width. Large-scale jitter uses
# 0.1 to 2 (Ghiasi et al. 2021, arXiv:2012.07177).
SMALLEST_SCALE, LARGEST_SCALE = 0.1, 10.0
Range = Annotated[tuple[float, float], AfterValidator(_check_range)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Options = Annotated[dict[str, Any], AfterValidator(check_options)]
