"""List the shared libraries that a library needs, and those that are missing."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5


def needed_by(library: Path) -> list[str]:
    """Return the names of the libraries that a 64-bit little-endian ELF library needs.

    Source: the ELF-64 object file format, version 1.5, chapters 6 to 8.

    Raises:
        ValueError: the file is not such a library.
    """
    with library.open("rb") as file:
        header = file.read(64)
        if len(header) < 64 or header[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{library} is not a 64-bit ELF library")
        (table,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        loads, dynamic = [], (0, 0)
        for index in range(count):
            kind, _, offset, address, _, length = struct.unpack(
                "<IIQQQQ", _at(file, table + index * size, 40)
            )
            if kind == _PT_LOAD:
                loads.append((address, length, offset))
            elif kind == _PT_DYNAMIC:
                dynamic = (offset, length)
        entries = list(struct.iter_unpack("<qQ", _at(file, *dynamic)))
        strings = next((value for tag, value in entries if tag == _DT_STRTAB), 0)
        place = next((o + strings - a for a, n, o in loads if a <= strings < a + n), strings)
        names = []
        for tag, value in entries:
            if tag == _DT_NULL:
                break
            if tag == _DT_NEEDED:
                names.append(_at(file, place + value, 256).split(b"\0")[0].decode())
        return names


def _at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def missing(names: Iterable[str]) -> list[str]:
    """Return the names of the libraries that cannot be loaded."""
    absent = []
    for name in names:
        try:
            ctypes.CDLL(name)
        except OSError:
            absent.append(name)
    return absent
