"""Downloads from a local server: interrupted, resumed, wrong, and unpacked completely or not."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dlcvcli.data import download as module
from dlcvcli.data.download import (
    PUBLIC_SETS,
    PublicSet,
    download,
    install,
    installed,
    require_published,
)
from dlcvcli.errors import DataError, DlcvError
from tests.data.synthetic_voc import as_published, voc_files, write_tar, write_zip


@dataclass
class Server:
    """A mirror, and how it behaves.

    Attributes:
        content: what it serves.
        ranges: whether it knows of them.
        break_after: bytes of each answer after which it hangs up; one that is used up stays away.
        asked: path and range of each request.
    """

    url: str
    content: bytes = b""
    ranges: bool = True
    break_after: int | None = None
    breaks: int = 10**6
    status: int = 200
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        requested = handler.headers.get("Range")
        self.asked.append((handler.path, requested))
        if handler.path.startswith("/gone"):
            handler.send_error(404)
            return
        content, start = self.content, 0
        if handler.path.startswith("/wrong"):
            content = b"x" * len(content)
        if handler.path.startswith("/page"):
            content = b"<html>access blocked</html>"
        if requested and self.ranges:
            start = int(requested.removeprefix("bytes=").rstrip("-"))
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        body = content[start:]
        if self.break_after is not None and self.breaks > 0:
            self.breaks -= 1
            body = body[: self.break_after]
        handler.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    """A mirror on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mirror.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    mirror = Server(f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield mirror
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def wanted(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> PublicSet:
    """A synthetic set that the server offers."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(module, "_CHUNK", 1000)
    path = write_tar(tmp_path / "origin.tar", voc_files())
    server.content = path.read_bytes()
    return as_published(path, (f"{server.url}/voc.tar",))


def mirrors(wanted: PublicSet, server: Server, *places: str) -> PublicSet:
    return replace(wanted, urls=tuple(f"{server.url}/{place}/voc.tar" for place in places))


# -- downloading ---------------------------------------------------------------------------------


def test_a_download_is_complete_and_counted(
    tmp_path: Path, wanted: PublicSet, server: Server
) -> None:
    seen: list[tuple[int, int]] = []
    path = download(wanted, tmp_path / "in" / "sets", lambda *now: seen.append(now))
    assert path == tmp_path / "in" / "sets" / "voc.tar"
    assert path.read_bytes() == server.content
    assert seen[0] == (1000, wanted.size)
    assert seen[-1] == (wanted.size, wanted.size)
    assert not path.with_name("voc.tar.part").exists()
    # And what is there is not fetched again.
    assert download(wanted, tmp_path / "in" / "sets") == path
    assert len(server.asked) == 1


def test_an_interrupted_download_continues_where_it_stopped(
    tmp_path: Path, wanted: PublicSet, server: Server
) -> None:
    server.break_after, server.breaks = 3000, 2
    path = download(wanted, tmp_path)
    assert path.read_bytes() == server.content
    assert [requested for _, requested in server.asked] == [None, "bytes=3000-", "bytes=6000-"]


def test_a_complete_archive_is_not_downloaded_again(
    tmp_path: Path, wanted: PublicSet, server: Server
) -> None:
    (tmp_path / "voc.tar.part").write_bytes(server.content[:5000])
    download(wanted, tmp_path)
    assert server.asked == [("/voc.tar", "bytes=5000-")]
    (tmp_path / "voc.tar").replace(tmp_path / "voc.tar.part")
    download(wanted, tmp_path)
    assert len(server.asked) == 1


def test_a_mirror_without_ranges_sends_the_complete_file(
    tmp_path: Path, wanted: PublicSet, server: Server
) -> None:
    server.ranges = False
    (tmp_path / "voc.tar.part").write_bytes(b"y" * 5000)
    assert download(wanted, tmp_path).read_bytes() == server.content


@pytest.mark.parametrize("left", [b"z" * 5000, b"z" * 10**6])
def test_wrong_bytes_of_an_earlier_download_are_discarded(
    tmp_path: Path, wanted: PublicSet, server: Server, left: bytes
) -> None:
    (tmp_path / "voc.tar.part").write_bytes(left)
    assert download(wanted, tmp_path).read_bytes() == server.content


@pytest.mark.parametrize("bad", ["gone", "page", "wrong"])
def test_the_next_mirror_is_tried(
    tmp_path: Path, wanted: PublicSet, server: Server, bad: str
) -> None:
    path = download(mirrors(wanted, server, bad, "good"), tmp_path)
    assert path.read_bytes() == server.content
    assert [place for place, _ in server.asked] == [f"/{bad}/voc.tar", "/good/voc.tar"]


def test_if_all_mirrors_fail_the_error_names_reasons_and_a_fix(
    tmp_path: Path, wanted: PublicSet, server: Server
) -> None:
    lost = mirrors(wanted, server, "gone", "page", "wrong")
    lost = replace(lost, urls=(*lost.urls, "http://127.0.0.1:1/voc.tar"))
    with pytest.raises(DataError) as caught:
        download(lost, tmp_path / "sets")
    message, hint = caught.value.message, caught.value.hint
    assert message.startswith("voc.tar could not be downloaded (127.0.0.1:")
    assert "HTTP 404 Not Found" in message
    assert f"offers 27 bytes instead of {wanted.size}" in message
    assert "the bytes differ from the published file" in message
    assert "Connection refused" in message
    assert f"md5 {wanted.md5}" in hint
    assert lost.urls[0] in hint
    assert f"dlcv data get voc2012 {tmp_path / 'sets'} --from voc.tar" in hint
    # What holds nothing is not left behind.
    assert not (tmp_path / "sets").exists()


@pytest.mark.parametrize("first", ["gone", "wrong"])
def test_a_download_without_bytes_leaves_no_folder(
    tmp_path: Path, wanted: PublicSet, server: Server, first: str
) -> None:
    server.break_after = 0  # each mirror hangs up before the first byte
    with pytest.raises(DataError, match="could not be downloaded"):
        download(mirrors(wanted, server, first, "good"), tmp_path / "sets" / "voc")
    assert not (tmp_path / "sets").exists()


def test_received_bytes_are_kept_when_all_mirrors_fail(
    tmp_path: Path, wanted: PublicSet, server: Server
) -> None:
    server.break_after = 100
    with pytest.raises(DataError, match=r"stopped at .* are kept for the next attempt"):
        download(wanted, tmp_path)
    assert (tmp_path / "voc.tar.part").read_bytes() == server.content[: 100 * module._ROUNDS]


def test_too_little_disk_space_is_reported_before_the_first_byte(
    tmp_path: Path, wanted: PublicSet, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(free=2 * wanted.size - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(DlcvError, match=r"voc\.tar needs 0\.00 GB, and .* GB free"):
        download(wanted, tmp_path / "sets")
    assert server.asked == []
    free.free += 1
    download(wanted, tmp_path / "sets")


def test_the_table_agrees_with_torchvision() -> None:
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    theirs, ours = DATASET_YEAR_DICT["2012"], PUBLIC_SETS["voc2012"]
    assert (theirs["filename"], theirs["md5"]) == (ours.file, ours.md5)


# -- archives at hand ----------------------------------------------------------------------------


def test_only_the_published_archive_is_accepted(tmp_path: Path, wanted: PublicSet) -> None:
    origin = tmp_path / "origin.tar"
    require_published(wanted, origin)
    short, other = tmp_path / "short.tar", tmp_path / "other.tar"
    short.write_bytes(origin.read_bytes()[:-1])
    other.write_bytes(origin.read_bytes()[:-1] + b"!")
    for path, message in (
        (short, f"{wanted.size - 1:,} bytes instead of {wanted.size:,}"),
        (other, f"instead of {wanted.md5}"),
        (tmp_path, "is a folder"),
        (tmp_path / "none.tar", "does not exist"),
    ):
        with pytest.raises(DataError, match=message):
            require_published(wanted, path)


@pytest.mark.parametrize(
    "top", ["VOCdevkit/VOC2012", "VOC2012", "VOC2012_train_val/VOC2012_train_val", "a/b/c"]
)
def test_a_devkit_is_found_at_any_depth_and_moved_to_its_folder(
    tmp_path: Path, wanted: PublicSet, top: str
) -> None:
    archive = write_zip(tmp_path / "kit.zip", voc_files(top))
    folder = tmp_path / "sets"
    assert installed(wanted, folder) is None
    path = install(wanted, archive, folder)
    assert path.describe() == "layout voc: train 2, val 1"
    assert path.root == folder / "VOCdevkit" / "VOC2012"
    assert [p.name for p in folder.iterdir()] == ["VOCdevkit"]
    for place in (folder, path.root):
        there = installed(wanted, place)
        assert there is not None
        assert there.root == path.root


def test_another_year_may_lie_beside_it(tmp_path: Path, wanted: PublicSet) -> None:
    folder = tmp_path / "sets"
    (folder / "VOCdevkit" / "VOC2007").mkdir(parents=True)
    install(wanted, tmp_path / "origin.tar", folder)
    assert {p.name for p in (folder / "VOCdevkit").iterdir()} == {"VOC2007", "VOC2012"}


def _without(files: dict[str, bytes], part: str) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if part not in name}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"readme.txt": b"hello"}, "holds no devkit"),
        ({**voc_files("a"), **voc_files("b")}, "holds several devkits: a, b"),
        (voc_files("VOCdevkit/VOC2007"), "holds VOC2007"),
        (_without(voc_files(), "SegmentationClass"), "holds no complete devkit"),
        (
            _without(voc_files(), "2007_000039.jpg"),
            r"no complete devkit: 2007_000039 .* has no image",
        ),
    ],
)
def test_an_archive_without_the_devkit_leaves_nothing_behind(
    tmp_path: Path, wanted: PublicSet, files: dict[str, bytes], message: str
) -> None:
    folder = tmp_path / "sets"
    folder.mkdir()
    (folder / "mine.txt").touch()
    with pytest.raises(DataError, match=message) as caught:
        install(wanted, write_tar(tmp_path / "kit.tar", files), folder)
    assert ".tmp" not in caught.value.message
    assert [p.name for p in folder.iterdir()] == ["mine.txt"]


def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path, wanted: PublicSet) -> None:
    left = tmp_path / "sets" / ".voc2012.tmp" / "VOCdevkit" / "VOC2012" / "ImageSets"
    left.mkdir(parents=True)
    assert installed(wanted, tmp_path / "sets") is None
    install(wanted, tmp_path / "origin.tar", tmp_path / "sets")
    assert [p.name for p in (tmp_path / "sets").iterdir()] == ["VOCdevkit"]


def test_an_incomplete_devkit_is_reported(tmp_path: Path, wanted: PublicSet) -> None:
    path = install(wanted, tmp_path / "origin.tar", tmp_path / "sets")
    (path.root / "JPEGImages" / "2007_000032.jpg").unlink()
    with pytest.raises(DataError, match=r"exists and is incomplete: 2007_000032") as caught:
        installed(wanted, tmp_path / "sets")
    assert "remove it" in caught.value.hint
