"""The demo replaces the files of an earlier demo, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcvcli.errors import UsageError
from dlcvcli.studies.demo_folder import DemoFolder


def test_the_files_of_an_earlier_demo_are_replaced(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path / "demo")
    folder.begin()
    folder.run.create()
    folder.commands.write_text("old")
    notes = folder.path / "notes.txt"
    notes.write_text("mine")
    folder.begin()
    assert not folder.run.path.exists()
    assert not folder.commands.exists()
    assert notes.read_text() == "mine"


def test_any_other_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(UsageError, match="not the folder of a demo"):
        DemoFolder(tmp_path).begin()
    with pytest.raises(UsageError, match="is a file"):
        DemoFolder(tmp_path / "thesis.txt").begin()
    assert (tmp_path / "thesis.txt").read_text() == "x"
