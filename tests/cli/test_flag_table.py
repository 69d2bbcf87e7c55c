"""Flags of tasks become the signature of a command, and what was typed becomes flags again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dlcvcli.cli.flag_table import command
from dlcvcli.flags import Flags, flag


@dataclass(frozen=True)
class First(Flags):
    size: str | None = flag("Size.")
    rotations: bool | None = flag("Rotated.", "--rotations/--no-rotations")
    tta: bool | None = flag("Averaged.")
    metric: list[str] | None = flag("Metric.", setting="eval.metric")
    out: Path | None = flag("File.", passed_on=False)
    seed: int = flag("Seed.", value=3)


@dataclass(frozen=True)
class Other(Flags):
    size: str | None = flag("Another size.")


def nothing(**typed: Any) -> None:
    """Do nothing."""


def test_typed_flags_are_passed_on_as_they_were_typed() -> None:
    assert First().as_words() == First().typed() == []
    flags = First(size="8x8", rotations=False, tta=True, metric=["a", "b"], out=Path("x"), seed=4)
    words = ["--size", "8x8", "--no-rotations", "--tta", "--metric", "a", "--metric", "b"]
    assert flags.as_words() == [*words, "--seed", "4"]
    assert "--out" in flags.typed()
    assert flags.settings() == {"eval.metric": ["a", "b"]}


def test_two_flags_of_one_name_must_be_one() -> None:
    assert "size" in command(nothing, [First, First], summary="x").__annotations__
    with pytest.raises(ValueError, match="another flag 'size'"):
        command(nothing, [First, Other], summary="x")
