"""Images by the names of an episode file, in a set without labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcvcli.data.named_images import locate_images
from dlcvcli.errors import DataError


def test_paths_and_ids_are_found(tmp_path: Path) -> None:
    inner = tmp_path / "wrapped"
    (inner / "test").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        (inner / "test" / name).touch()
    (inner / "test.csv").write_text("id,filename\n0,a.png\n1,b.png\n")
    (inner / "notes.csv").write_text("x,y\n1,2\n")
    paths = locate_images(tmp_path, ["test/a.png", "1"])
    assert [path.name for path in paths] == ["a.png", "b.png"]
    (inner / "val").mkdir()
    (inner / "val" / "c.png").touch()
    (inner / "val.csv").write_text("id,filename,label\n1,c.png,dog\n")
    with pytest.raises(DataError, match=r"the id .1. is in test\.csv and in val\.csv"):
        locate_images(tmp_path, ["1"])
    assert locate_images(tmp_path, ["1"], "val")[0].name == "c.png"
    assert locate_images(tmp_path, ["1"], "test")[0].name == "b.png"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"image .x\.png. is not in"):
        locate_images(tmp_path, ["x.png"])
    with pytest.raises(DataError, match="does not exist"):
        locate_images(tmp_path / "none", ["x.png"])
    (tmp_path / "set.csv").write_text("id,filename\n7,gone.png\n")
    with pytest.raises(DataError, match="image '7'"):
        locate_images(tmp_path, ["7"])


def test_no_name_and_no_id_leads_outside_of_the_set(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    (root / "a.png").touch()
    (tmp_path / "secret.png").touch()
    assert locate_images(root, ["./a.png", str(root / "a.png")]) == [root / "a.png"] * 2
    (root / "set.csv").write_text("id;filename\n7;../../secret.png\n")
    for name in ("../secret.png", str(tmp_path / "secret.png"), "7"):
        with pytest.raises(DataError, match=r"secret\.png, which lies outside of") as caught:
            locate_images(root, [name])
        assert "--allow-outside" in caught.value.hint
    (root / "set.csv").write_text("id;filename\n7;../secret.png\n")
    for name in ("../secret.png", str(tmp_path / "secret.png"), "7"):
        (paths,) = locate_images(root, [name], allow_outside=True)
        assert paths == tmp_path / "secret.png"


def test_a_repeated_id_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("id,filename\n1,a.png\n1,b.png\n")
    with pytest.raises(DataError, match=r"line 3: the id '1' is used a second time"):
        locate_images(tmp_path, ["1"])
