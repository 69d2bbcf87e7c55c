"""Paths that a CSV or a list may name, and their spelling."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcvcli.data.set_paths import path_in_set
from dlcvcli.errors import DataError


@pytest.mark.parametrize(
    "name", ["a.png", "./a.png", "x/../a.png", "x//..//a.png", "../train/a.png"]
)
def test_every_spelling_of_a_path_is_one(name: str) -> None:
    root = Path("mini")
    assert path_in_set(name, root / "train", root, "list") == root / "train" / "a.png"
    absolute = os.path.abspath(root / "train" / name)
    assert path_in_set(absolute, root / "train", root, "list") == root / "train" / "a.png"


@pytest.mark.parametrize(
    "name", ["../../a.png", "/etc/a.png", "../../mini-2/a.png", "x/../../../a"]
)
def test_what_lies_outside_is_refused_unless_it_is_allowed(name: str, tmp_path: Path) -> None:
    root = tmp_path / "mini"
    with pytest.raises(
        DataError, match=r"train\.csv, line 2 names .*, which lies outside of"
    ) as no:
        path_in_set(name, root / "train", root, "train.csv, line 2", allow_outside=False)
    assert "--allow-outside" in no.value.hint
    path = path_in_set(name, root / "train", root, "", allow_outside=True)
    assert path == Path(os.path.abspath(root / "train" / name))
    with pytest.raises(DataError) as never:
        path_in_set(name, root / "train", root, "")
    assert "--allow-outside" not in never.value.hint


def test_a_set_may_be_named_by_a_link_to_it(tmp_path: Path) -> None:
    root, link = tmp_path / "set", tmp_path / "link"
    root.mkdir()
    link.symlink_to(root)
    for one, other in ((root, link), (link, root)):
        assert path_in_set(str(one / "a.png"), other, other, "") == other / "a.png"


@given(st.lists(st.sampled_from(["..", ".", "", "a", "set", "b.png"]), min_size=1, max_size=8))
def test_no_spelling_leads_outside_of_the_set(parts: list[str]) -> None:
    root = Path("/data/set")
    for name in ("/".join(parts), "/" + "/".join(parts)):
        try:
            path = path_in_set(name, root / "train", root, "")
        except DataError:
            assert not Path(os.path.normpath(root / "train" / name)).is_relative_to(root)
        else:
            assert path.is_relative_to(root)
            assert ".." not in path.parts
