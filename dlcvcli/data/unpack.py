"""Unpacking an archive that somebody else made: nothing lands outside, nothing but plain files.

The whole list of contents is read and judged before the first file is written.
"""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from dlcvcli.data.reading import Progress
from dlcvcli.errors import DataError, DlcvError

_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile),
    *(EOFError, zlib.error, lzma.LZMAError),
)
_ENCRYPTED = 0x1


@dataclass(frozen=True)
class Contents:
    """What an archive says that it holds.

    Attributes:
        files: number of files.
        size: bytes that they take unpacked.
    """

    files: int
    size: int


def look_into(path: Path) -> Contents:
    """Read the list of contents of a tar (plain or compressed) or zip file, and judge it.

    Raises:
        DataError: it is no such file, is damaged, or holds something else than files and folders
            that stay inside: an absolute name, one with `..`, a link, a device.
    """
    with _open(path) as archive:
        found = list(_members(archive, path))
    return Contents(len(found), sum(size for _, size, _ in found))


def unpack(path: Path, folder: Path, progress: Progress | None = None) -> None:
    """Write the files of an archive below a folder, which must be a new one.

    Args:
        path: a tar or zip file, see `look_into`.
        folder: where to.
        progress: called with the bytes written and those of the whole archive.

    Raises:
        DataError: see `look_into`.
    """
    total = look_into(path).size
    done = 0
    with _open(path) as archive:
        for _, size, write in _members(archive, path):
            write(folder)
            done += size
            if progress is not None:
                progress(done, total)


Archive = tarfile.TarFile | zipfile.ZipFile
Member = tuple[str, int, Callable[[Path], None]]
"""Its name, its bytes, and what writes it below a folder."""


@contextmanager
def _open(path: Path) -> Iterator[Archive]:
    """Open an archive of either kind, and say in our words that it is damaged."""
    if path.is_dir():
        raise DataError(f"{path} is a folder; a tar or zip file is needed")
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    try:
        if tarfile.is_tarfile(path):
            with tarfile.open(path) as tar:
                yield tar
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                yield file
        else:
            raise DataError(f"{path} is neither a tar nor a zip file")
    except _DAMAGE as error:
        detail = " ".join(str(error).split())
        raise DataError(
            f"{path} is damaged or ends early: {detail}", "get the file once more"
        ) from error


def _members(archive: Archive, path: Path) -> Iterator[Member]:
    """Yield the files of an archive, but for what macOS adds; folders come to be with them."""
    if isinstance(archive, tarfile.TarFile):
        found = _tar_members(archive, path)
    else:
        found = _zip_members(archive, path)
    for member in found:
        parts = PurePosixPath(member[0]).parts
        if parts and "__MACOSX" not in parts and not parts[-1].startswith("._"):
            yield member


def _tar_members(archive: tarfile.TarFile, path: Path) -> Iterator[Member]:
    if not hasattr(tarfile, "data_filter"):
        raise DlcvError("this Python cannot unpack a tar file safely", "update it: 3.11.4 or newer")
    for member in archive:
        _require_inside(member.name, path)
        # Links are refused though Python's filter judges them: no data set needs one, and
        # the filter has been tricked with them (CVE-2025-4517).
        if not (member.isreg() or member.isdir()):
            raise DataError(f"{path} holds '{member.name}', which is neither file nor folder")
        if member.isreg():

            def write(folder: Path, member: tarfile.TarInfo = member) -> None:
                archive.extract(member, folder, filter="data")

            yield member.name, member.size, write


def _zip_members(archive: zipfile.ZipFile, path: Path) -> Iterator[Member]:
    for member in archive.infolist():
        _require_inside(member.filename, path)
        if member.flag_bits & _ENCRYPTED:
            raise DataError(f"{path} is encrypted", "unpack it by hand, and pack it without")
        if not member.is_dir():

            def write(folder: Path, member: zipfile.ZipInfo = member) -> None:
                archive.extract(member, folder)

            yield member.filename, member.file_size, write


def _require_inside(name: str, path: Path) -> None:
    """Refuse a name that would land elsewhere, on any system."""
    parts = PureWindowsPath(name)
    if parts.anchor or ".." in parts.parts or "\0" in name:
        raise DataError(
            f"{path} holds '{name}', which would land outside of the folder",
            "do not use this file: no data set needs such names",
        )
