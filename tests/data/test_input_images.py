"""The images that are named for prediction."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcvcli.data.input_images import find_images
from dlcvcli.errors import DataError


def test_files_of_a_format_that_is_not_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "b.gif").touch()
    with pytest.raises(DataError, match="no image that can be read") as caught:
        find_images([str(tmp_path)])
    (tmp_path / "a.png").touch()
    lines: list[str] = []
    assert find_images([str(tmp_path)], say=lines.append) == [tmp_path / "a.png"]
    line = f"{tmp_path}: 1 file left out, since dlcv does not read .gif (b.gif)"
    assert lines == [caught.value.hint] == [line]


def test_images_from_files_folders_and_stdin_are_listed_once(tmp_path: Path) -> None:
    one, two = tmp_path / "a.png", tmp_path / "more" / "b.jpg"
    two.parent.mkdir()
    one.touch()
    two.touch()
    (tmp_path / "more" / "notes.txt").write_text("x")
    images = find_images([str(one), str(tmp_path / "more"), "-"], [f"{one}\n", "\n", f"{two}\n"])
    assert images == [one, two]


@pytest.mark.parametrize("missing", ["none.png", "empty"])
def test_missing_images_are_named(tmp_path: Path, missing: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=missing):
        find_images([str(tmp_path / missing)])
    with pytest.raises(DataError, match="no image was named"):
        find_images(["-"], ["\n"])
