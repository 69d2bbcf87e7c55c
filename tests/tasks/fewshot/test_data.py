"""The data of a few-shot run: groups of classes that are held out by a rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcvcli.errors import DataError
from tests.synthetic_characters import request_for


def test_groups_of_classes_are_held_out_by_a_rule(tmp_path: Path, characters: Path) -> None:
    # Every alphabet has the characters 0 to 2: the last digit of a class crosses alphabets.
    request = request_for(tmp_path, characters, data__holdout_by="[0-9]$", data__holdout=0.3)
    splits = request.data.splits
    digits = [{name[-1] for name in splits[split]} for split in ("train", "val")]
    assert [len(one) for one in digits] == [2, 1]
    assert digits[0].isdisjoint(digits[1])
    assert f"hold-out by group: {min(digits[1])}" in request.data.remarks
    chosen = request_for(
        tmp_path, characters, data__holdout_by="[0-9]$", data__holdout_groups=("1",)
    )
    assert {name[-1] for name in chosen.data.splits["val"]} == {"1"}
    with pytest.raises(DataError, match="does not match 'Alphabet0/character00'"):
        request_for(tmp_path, characters, data__holdout_by="[5-9]$")
