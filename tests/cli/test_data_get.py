"""`dlcv data get` on the command line, without the network."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcvcli.cli import data_get
from dlcvcli.data import download as library
from dlcvcli.errors import Interrupted
from tests.cli.command import dlcv, refused
from tests.data.synthetic_voc import as_published, voc_files, write_tar, write_zip


def test_a_repacked_archive_is_accepted_only_with_any_archive(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "kit.zip", voc_files("VOC2012"))
    folder = tmp_path / "my sets"
    get = ("data", "get", "voc2012", folder)
    stderr = refused(1, *get, "--from", archive, message="is not VOCtrainval_11-May-2012.tar")
    assert "--any-archive" in stderr
    assert not folder.exists()

    done = dlcv(*get, "--from", archive, "--any-archive")
    assert done.returncode == 0, done.stderr
    assert "layout voc: train 2, val 1" in done.stdout
    assert "split train has 2 images, but 1464 as published" in done.stderr
    assert f"dlcv data stats '{folder}/VOCdevkit/VOC2012'" in done.stderr
    assert archive.exists()

    again = dlcv(*get)
    assert again.returncode == 0
    assert "is already there" in again.stdout
    assert dlcv("data", "check", folder).returncode == 0


def test_any_archive_without_from_is_a_usage_error(tmp_path: Path) -> None:
    refused(2, "data", "get", "voc2012", tmp_path, "--any-archive", message="needs --from FILE")
    (tmp_path / "file").touch()
    archive = write_tar(tmp_path / "a.tar", voc_files())
    get = ("data", "get", "voc2012", tmp_path / "file", "--any-archive", "--from", archive)
    refused(2, *get, message="is a file, not a folder")
    assert dlcv("data", "get", "voc2013", tmp_path).returncode == 2


def test_a_file_that_is_not_an_archive_is_a_user_error(tmp_path: Path) -> None:
    page = tmp_path / "a.tar"
    page.write_text("<html>moved</html>")
    get = ("data", "get", "voc2012", tmp_path / "sets", "--from")
    refused(1, *get, page, message="18 bytes instead of 1,999,639,040")
    refused(1, *get, page, "--any-archive", message="neither a tar nor a zip")
    refused(1, *get, tmp_path / "none.tar", message="does not exist")
    refused(1, *get, tmp_path / "none.tar", "--any-archive", message="does not exist")
    assert not (tmp_path / "sets").exists()


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The archive of a synthetic set in place of the published one."""
    path = write_tar(tmp_path / "origin.tar", voc_files())
    monkeypatch.setitem(library.PUBLIC_SETS, "voc2012", as_published(path, (path.as_uri(),)))
    return path


def test_a_downloaded_set_is_unpacked_and_its_archive_removed(
    tmp_path: Path, archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_get.get("voc2012", tmp_path / "sets")
    assert [p.name for p in (tmp_path / "sets").iterdir()] == ["VOCdevkit"]
    output = capsys.readouterr()
    assert "layout voc: train 2, val 1" in output.out
    assert "as published" not in output.err


def test_ctrl_c_reports_how_to_continue(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(library, "_receive", stop)
    with pytest.raises(Interrupted) as caught:
        data_get.get("voc2012", tmp_path / "sets")
    assert caught.value.status == 130
    assert "run the command again" in caught.value.hint
