"""The demo replaces what a demo left, and nothing else; `make demo` runs all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcvcli.errors import UsageError
from dlcvcli.studies.demo import DemoFolder, commands


def test_a_folder_of_an_earlier_demo_is_replaced(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path / "demo")
    folder.begin()
    (folder.path / "old.txt").write_text("x")
    folder.begin()
    assert not (folder.path / "old.txt").exists()


def test_any_other_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(UsageError, match="no demo made it"):
        DemoFolder(tmp_path).begin()
    with pytest.raises(UsageError, match="no demo made it"):
        DemoFolder(tmp_path / "thesis.txt").begin()
    assert (tmp_path / "thesis.txt").read_text() == "x"


def test_the_commands_are_those_of_the_command_line(tmp_path: Path) -> None:
    lines = commands(DemoFolder(tmp_path))
    assert [line.split()[1] for line in lines] == ["data", "train", "export", "eval", "predict"]
    assert all(line.startswith("dlcv ") for line in lines)
