"""A folder has one process at a time; its lock ends with the process."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlcvcli.errors import DlcvError, UsageError
from dlcvcli.locks import locked, require_unlocked
from tests.locked_folder import locked_by_another_process


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that works in `tmp_path / "run"`."""
    with locked_by_another_process(tmp_path / "run", "--resume", "runs/first") as process:
        yield process


def test_a_second_process_is_refused_with_the_name_of_the_first(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    run = tmp_path / "run"
    for attempt in (lambda: require_unlocked(run), lambda: locked(run).__enter__()):
        with pytest.raises(DlcvError, match=f"in use by process {holder.pid} on") as caught:
            attempt()
        assert "--resume runs/first" in caught.value.message
        assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", caught.value.message)
        assert caught.value.hint


def test_a_killed_process_leaves_no_lock_though_its_children_live(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with locked(tmp_path / "run"):
        pass


def test_a_folder_can_be_used_again_after_a_block_that_failed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), locked(tmp_path / "new"):
        raise RuntimeError
    with locked(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()


def test_a_command_line_may_hold_names_that_are_not_utf_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        locked_by_another_process(tmp_path / "run", "runs/q\udcff") as process,
        pytest.raises(DlcvError, match=f"process {process.pid} on .* runs/q\ufffd|'runs/q\ufffd'"),
    ):
        require_unlocked(tmp_path / "run")


def test_checking_for_a_lock_creates_nothing(tmp_path: Path) -> None:
    require_unlocked(tmp_path / "nowhere")
    assert not any(tmp_path.iterdir())


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"), locked(tmp_path / "file"):
        pass
