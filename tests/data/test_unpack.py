"""Untrusted archives: plain files are unpacked, anything else is refused before."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from dlcvcli.data.unpack import look_into, unpack
from dlcvcli.errors import DataError
from tests.data.synthetic_voc import write_tar, write_zip

FILES = {"set/a.txt": b"first", "set/below/b.txt": b"second" * 100}


@pytest.mark.parametrize(
    ("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tar.xz", "w:xz"), ("a.zip", "")]
)
def test_unpacked_files_are_unchanged(tmp_path: Path, name: str, mode: str) -> None:
    path = tmp_path / name
    _ = write_tar(path, FILES, mode) if mode else write_zip(path, FILES)
    contents = look_into(path)
    assert (contents.files, contents.size) == (2, 605)
    seen: list[tuple[int, int]] = []
    unpack(path, tmp_path / "out", lambda done, total: seen.append((done, total)))
    for file, content in FILES.items():
        assert (tmp_path / "out" / file).read_bytes() == content
    assert seen == [(5, 605), (605, 605)]


def test_what_macos_adds_is_left_out(tmp_path: Path) -> None:
    litter = {"__MACOSX/set/x.txt": b"x", "set/._a.txt": b"y"}
    unpack(write_zip(tmp_path / "a.zip", {**FILES, **litter}), tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert names == {"a.txt", "b.txt"}


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize(
    "name", ["../evil.txt", "/evil.txt", "set/../../evil.txt", "C:\\evil.txt", "..\\evil.txt"]
)
def test_a_name_outside_of_the_folder_is_refused_before_writing(
    tmp_path: Path, kind: str, name: str
) -> None:
    path = tmp_path / f"a.{kind}"
    files = {**FILES, name: b"evil"}
    _ = write_tar(path, files) if kind == "tar" else write_zip(path, files)
    with pytest.raises(DataError, match=r"would be written outside of the folder"):
        unpack(path, tmp_path / "out")
    assert {p.name for p in tmp_path.iterdir()} == {path.name}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("set/link")
        member.type = kind
        member.linkname = "/etc/passwd"
        tar.addfile(member)
    with pytest.raises(DataError, match="'set/link', which is neither file nor folder"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", FILES)
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02")
    content[place + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="is encrypted"):
        look_into(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"<html>blocked</html>", "neither a tar nor a zip"), (b"", "neither a tar nor a zip")],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        look_into(path)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_an_incomplete_archive_is_refused(tmp_path: Path, kind: str) -> None:
    files = {f"set/{i}.bin": bytes(range(256)) * 40 for i in range(4)}
    path = tmp_path / f"a.{kind}"
    mode = {"tar": "w", "tar.gz": "w:gz"}.get(kind)
    _ = write_tar(path, files, mode) if mode else write_zip(path, files)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(DataError, match=r"damaged or incomplete|neither a tar nor a zip"):
        unpack(path, tmp_path / "out")


def test_a_zip_whose_bytes_changed_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", FILES)
    path.write_bytes(path.read_bytes().replace(b"first", b"worst"))
    with pytest.raises(DataError, match="damaged or incomplete"):
        unpack(path, tmp_path / "out")


def test_a_folder_and_a_missing_file_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        look_into(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        look_into(tmp_path / "none.tar")
