"""Paths in settings, made such that a run can be resumed from anywhere."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path


def absolute(name: str, words: Collection[str] = ()) -> str:
    """Return a file's full path; a word with a meaning of its own, or a mere name, as it is."""
    return str(Path(name).resolve()) if name not in words and Path(name).is_file() else name
