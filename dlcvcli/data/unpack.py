"""Unpack archives from other people safely: only plain files, and none outside of the folder.

The complete list of contents is checked before the first file is written.
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
    """The content of an archive, from its list of contents.

    Attributes:
        files: number of files.
        size: bytes of the unpacked files.
    """

    files: int
    size: int


def look_into(path: Path) -> Contents:
    """Return the content of a tar (plain or compressed) or zip file, after checking it.

    Raises:
        DataError: the file is not an archive or is damaged, or it holds anything but files and
            folders below its own folder: an absolute name, one with `..`, a link, a device.
    """
    with _open(path) as archive:
        members = list(_members(archive, path))
    return Contents(len(members), sum(size for _, size, _ in members))


def unpack(path: Path, folder: Path, progress: Progress | None = None) -> None:
    """Write the files of an archive below a folder, which must be a new one.

    Args:
        path: a tar or zip file, see `look_into`.
        folder: the new folder.
        progress: called with (bytes written, bytes in all).

    Raises:
        DataError: as for `look_into`.
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
"""Its name, its size in bytes, and a function that writes it below a folder."""


@contextmanager
def _open(path: Path) -> Iterator[Archive]:
    """Open a tar or zip file, and turn the errors of damaged files into a DataError."""
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
            f"{path} is damaged or incomplete: {detail}", "download the file again"
        ) from error


def _members(archive: Archive, path: Path) -> Iterator[Member]:
    """Yield the files of an archive, without those that macOS adds."""
    if isinstance(archive, tarfile.TarFile):
        members = _tar_members(archive, path)
    else:
        members = _zip_members(archive, path)
    for member in members:
        parts = PurePosixPath(member[0]).parts
        if parts and "__MACOSX" not in parts and not parts[-1].startswith("._"):
            yield member


def _tar_members(archive: tarfile.TarFile, path: Path) -> Iterator[Member]:
    if not hasattr(tarfile, "data_filter"):
        raise DlcvError(
            "this version of Python cannot unpack a tar file safely",
            "update it to 3.11.4 or newer",
        )
    for member in archive:
        _require_inside(member.name, path)
        # Links are refused although Python's filter checks them: no data set needs one, and they
        # have been used to bypass the filter (CVE-2025-4517).
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
            raise DataError(f"{path} is encrypted", "create the archive again without a password")
        if not member.is_dir():

            def write(folder: Path, member: zipfile.ZipInfo = member) -> None:
                archive.extract(member, folder)

            yield member.filename, member.file_size, write


def _require_inside(name: str, path: Path) -> None:
    """Refuse a name that would be written outside of the folder on any operating system."""
    parts = PureWindowsPath(name)
    if parts.anchor or ".." in parts.parts or "\0" in name:
        raise DataError(
            f"{path} holds '{name}', which would be written outside of the folder",
            "do not use this file: no data set needs such names",
        )
