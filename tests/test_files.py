"""Files and folders are written so that a crash cannot damage them."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from dlcvcli import files
from dlcvcli.errors import DataError, DlcvError, UsageError
from dlcvcli.files import (
    absolute_if_file,
    as_bytes,
    as_readable,
    is_new,
    make_folder,
    new_folder,
    sha256_of,
    write_atomically,
    write_json,
)


def test_writing_creates_the_folder_and_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_atomically(path, "naïve\n")
    write_atomically(path, "second\n")
    assert path.read_text(encoding="utf-8") == "second\n"
    assert list(path.parent.iterdir()) == [path]


def _full(*_: Any) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_without_sync_nothing_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.os, "fsync", _full)
    write_atomically(tmp_path / "a.txt", "text", sync=False)
    assert (tmp_path / "a.txt").read_text() == "text"


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_full_disk_keeps_the_old_file_and_no_partial_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "results.json"
    path.write_text("old")
    monkeypatch.setattr(files.os, call, _full)
    with pytest.raises(DlcvError, match=r"cannot write .*results\.json: No space left on device"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_crash_while_writing_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.json"
    path.write_text("old")

    def killed(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new")
    assert path.read_text() == "old"


def test_bytes_are_synced_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def noted(name: str) -> Callable[..., Any]:
        real = getattr(os, name)
        return lambda *args: (calls.append(name), real(*args))[1]

    monkeypatch.setattr(files.os, "fsync", noted("fsync"))
    monkeypatch.setattr(files.os, "replace", noted("replace"))
    write_atomically(tmp_path / "a.txt", "text")
    assert calls == ["fsync", "replace"]


def test_bytes_are_written_unchanged(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.bin", b"\r\n\x00")
    assert (tmp_path / "a.bin").read_bytes() == b"\r\n\x00"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_device_or_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    # As /dev/null, which root could replace by a file.
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        write_atomically(path, "text")
        assert os.read(reader, 100) == b"text"
        os.close(reader)
    assert pipe.is_fifo()
    assert link.is_symlink()


def test_the_target_of_a_link_is_replaced_and_the_link_is_kept(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    file, link = tmp_path / "inner" / "file.txt", tmp_path / "link.txt"
    file.write_text("old")
    link.symlink_to("inner/file.txt")
    write_atomically(link, "new")
    assert (file.read_text(), link.is_symlink()) == ("new", True)
    assert list((tmp_path / "inner").iterdir()) == [file]


def test_names_that_are_not_utf_8_keep_their_bytes(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xc3\xa9")
    write_atomically(tmp_path / "a.txt", name)
    assert (tmp_path / "a.txt").read_bytes() == as_bytes(name) == b"caf\xe9 \xc3\xa9"
    assert as_readable(name) == "caf\ufffd é"


def test_a_folder_is_created_once_and_never_over_a_file(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below" / "it"):
        with pytest.raises(UsageError, match="file is a file, not a folder"):
            make_folder(path)


def test_a_folder_that_cannot_be_created_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DlcvError, match="cannot write"):
        write_atomically(tmp_path / "file" / "a.txt", "text")


@pytest.mark.parametrize("exists", [True, False])
def test_a_new_folder_appears_when_it_is_complete(tmp_path: Path, exists: bool) -> None:
    target = tmp_path / "above" / "set"
    if exists:
        target.mkdir(parents=True)
        inode = target.stat().st_ino
    with new_folder(target) as partial:
        (partial / "train").mkdir()
        (partial / "train" / "a.png").touch()
        assert not [path for path in target.glob("*") if path.name[0] != "."]
    assert [path.name for path in target.rglob("*")] == ["train", "a.png"]
    assert list(target.parent.iterdir()) == [target]
    if exists:
        # An existing folder may be a mount point, or the current folder of a shell.
        assert target.stat().st_ino == inode


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("reused", [False, True])
def test_files_of_a_killed_process_are_removed_and_those_of_a_running_one_kept(
    tmp_path: Path, exists: bool, reused: bool
) -> None:
    target = tmp_path / "set"
    # In a container, the next process may have the number of the last one.
    pid = os.getpid() if reused else 999_999_999
    place = target if exists else tmp_path
    dead, alive = place / f".set.{pid}.partial", tmp_path / f".set.{os.getppid()}.partial"
    for left in (dead, alive):
        (left / "train").mkdir(parents=True)
    assert is_new(target)
    with new_folder(target) as partial:
        (partial / "val").mkdir()
    assert [path.name for path in target.iterdir()] == ["val"]
    assert not dead.exists()
    assert alive.exists()


def test_a_new_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    message = r"cannot write .*set: No space left on device"
    with pytest.raises(DlcvError, match=message), new_folder(tmp_path / "set"):
        _full()
    assert not list(tmp_path.iterdir())
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").touch()
    with pytest.raises(DataError, match="is not empty"), new_folder(tmp_path / "set"):
        pass
    with (
        pytest.raises(UsageError, match=r"mine\.txt is a file"),
        new_folder(tmp_path / "set" / "mine.txt"),
    ):
        pass
    assert not is_new(tmp_path / "set" / "mine.txt")
    assert not is_new(tmp_path / "set")


def test_json_is_indented_and_refuses_nan(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"miou": 0.5, "best": None})
    assert path.read_text() == '{\n  "miou": 0.5,\n  "best": null\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"miou": float("nan")})
    assert json.loads(path.read_text()) == {"miou": 0.5, "best": None}


def test_the_digest_is_sha256(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert sha256_of(path).startswith("ba7816bf8f01cfea414140de5dae2223")


def test_existing_files_have_absolute_paths_and_keywords_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("classes.yaml", "auto"):
        Path(name).touch()
    assert absolute_if_file("classes.yaml", {"auto"}) == str(tmp_path / "classes.yaml")
    assert absolute_if_file("auto", {"auto"}) == "auto"
    assert absolute_if_file("voc21") == "voc21"
