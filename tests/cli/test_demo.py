"""`dlcv demo` refuses folders of other files; `make demo` runs it completely."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command import dlcv_without_torch, refused


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    notes = tmp_path / "mine" / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("mine")
    stderr = refused(2, "demo", "--out", notes.parent, message="not the folder of a demo")
    assert "hint: choose another --out" in stderr
    assert list(tmp_path.rglob("*")) == [notes.parent, notes]


def test_without_torch_the_error_names_the_install_and_nothing_is_written(tmp_path: Path) -> None:
    done = dlcv_without_torch("demo", "--out", tmp_path / "demo")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: the demo needs torch, which is not installed",
        "hint: in dlcv's source folder: pip install '.[train]'",
    ]
    assert not (tmp_path / "demo").exists()
