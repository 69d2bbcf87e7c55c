"""The libraries that a shared library needs, read from its dynamic section."""

from __future__ import annotations

import sys
from pathlib import Path

import onnxruntime as ort
import pytest

from dlcvcli.doctor.libraries import missing, needed_by

linux = pytest.mark.skipif(sys.platform != "linux", reason="ELF files are Linux's")


@linux
def test_the_names_are_those_of_the_dynamic_table() -> None:
    (library,) = (Path(ort.__file__).parent / "capi").glob("libonnxruntime.so.*")
    names = needed_by(library)
    assert "libc.so.6" in names
    assert all(".so" in name for name in names)
    assert missing(names) == []


@linux
def test_an_absent_library_is_missing() -> None:
    assert missing(["libc.so.6", "libnothing_of_the_kind.so.7"]) == ["libnothing_of_the_kind.so.7"]


@pytest.mark.parametrize("content", [b"", b"MZ" * 50, b"\x7fELF\x01\x01" + b"\0" * 80])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a 64-bit ELF library"):
        needed_by(path)
