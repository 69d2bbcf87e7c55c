"""Whether the keys of the JSON that dlcv writes are in docs/reference/json.md."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

GENERATOR = Path(__file__).parents[1] / "docs" / "generate.py"


def load_generator() -> ModuleType:
    """Return docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted paths of the values of a JSON document."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            # A class may have a dot in its name; a part of a path must not.
            yield from _paths(inner, f"{prefix}.{key.replace('.', '_')}".lstrip("."))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            yield from _paths(inner, f"{prefix}[]")
    else:
        yield prefix


def undocumented(title: str, value: Any) -> list[str]:
    """Return the keys of a JSON document that the reference does not list."""
    patterns = [
        re.escape(key).replace(r"\.\*", r"\..*").replace(r"\[\]", r"\[\]")
        for key in load_generator().json_keys()[title]["keys"]
    ]
    known = re.compile("|".join(re.sub(r"\b[A-Z]{2,}\b", "[^.]+", key) for key in patterns))
    return sorted({path for path in _paths(value) if not known.fullmatch(path)})


def undocumented_in_run(run: Path) -> list[str]:
    """Return the keys in the files of a run that the reference does not list."""
    unknown = []
    for name in ("results.json", "certificate.json", "environment.json"):
        if (run / name).exists():
            unknown += undocumented(name, json.loads((run / name).read_text("utf-8")))
    for line in (run / "metrics.jsonl").read_text("utf-8").splitlines():
        unknown += undocumented("metrics.jsonl", json.loads(line))
    return unknown
