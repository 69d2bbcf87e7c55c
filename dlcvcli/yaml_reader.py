"""Read and write YAML of plain types, within limits, with one kind of error for everything else.

Only null, booleans, integers, floats, text, lists and mappings are accepted. A date is text, and so
is a number with leading zeros or in another base than ten, which YAML 1.1 would convert: `0013` may
be the name of an image, and not 11. `1e3` and `1e-3`, which are text in YAML 1.1, are numbers.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from dlcvcli.errors import ConfigError, DlcvError, shorten

# More than users write by hand. The limit also bounds the time: PyYAML needs up to 3 s for a file
# of this size.
MAX_BYTES = 128 * 1024
# Settings are nested four levels deep. The limit is well below Python's recursion limit, which
# recursive functions on the result would reach otherwise.
MAX_DEPTH = 32
# The largest integer of tensors, arrays and JSON readers.
MAX_INTEGER = 2**63 - 1

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*)$")
_FLOAT = re.compile(
    r"([-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
)
_KINDS = {"bool": "true or false", "int": "an integer", "float": "a number", "str": "Unicode text"}


class _Unfit(yaml.MarkedYAMLError):
    """Valid YAML that this module does not accept."""


class _Loader(yaml.SafeLoader):
    """Loader of plain types that refuses deep, large or ambiguous documents."""

    def __init__(self, text: str, limit: int) -> None:
        super().__init__(text)
        self._limit = limit
        self._depth = 0
        # For each complete node its size, in characters and values, and its height, both with
        # every alias replaced by its content.
        self._shapes: dict[yaml.Node, tuple[int, int]] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        alias = self.check_event(yaml.AliasEvent)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _too_deep(mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        assert node is not None
        if not alias:
            self._shapes[node] = self._measure(node, mark)
        elif node not in self._shapes:
            raise _unfit("an alias refers to a node that contains it", mark)
        return node

    def _measure(self, node: yaml.Node, mark: yaml.Mark) -> tuple[int, int]:
        if isinstance(node, yaml.ScalarNode):
            return 1 + len(node.value), 1
        if isinstance(node, yaml.MappingNode):
            _refuse_repeated_keys(node)
            parts = [part for pair in node.value for part in pair]
        else:
            parts = node.value
        shapes = [self._shapes[part] for part in parts]
        size = 1 + sum(size for size, _ in shapes)
        height = 1 + max((height for _, height in shapes), default=0)
        # Nine lines of aliases to aliases can expand to a thousand million values.
        if size > 2 * self._limit:
            raise _unfit("its aliases make it too large", mark)
        if height > MAX_DEPTH:
            raise _too_deep(mark)
        return size, height

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError) as error:
            kind = _KINDS.get(node.tag.rpartition(":")[2], "a value of its type")
            raise _unfit(f"{_short(node.value)} is not {kind}", node.start_mark) from error

    def construct_text(self, node: yaml.ScalarNode) -> str:
        text = str(self.construct_scalar(node))
        text.encode("utf-8")  # fails for a lone surrogate, "\ud800", which cannot be written
        return text

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        digits = self.construct_scalar(node).replace("_", "")
        # Python itself refuses to convert a few thousand digits.
        if len(digits) > len(f"-{MAX_INTEGER}") or abs(number := int(digits)) > MAX_INTEGER:
            raise _unfit(f"{_short(node.value)} does not fit into 64 bits", node.start_mark)
        return number

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        text = self.construct_scalar(node).replace("_", "").lower()
        number = float(text.replace(".inf", "inf").replace(".nan", "nan"))
        # 1e3 is the integer 1000; 1000.0 is a float.
        whole = "." not in text and number.is_integer() and abs(number) < 2**53
        return int(number) if whole else number

    def refuse_tag(self, node: yaml.Node) -> None:
        raise _unfit(f"tag {_short(node.tag)} is not supported", node.start_mark)


class _Dumper(yaml.SafeDumper):
    """Dumper that quotes text which this module, or a reader of YAML 1.1, takes for a number."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        # Single quotes would fold the line breaks of Unicode into spaces.
        style = '"' if set("\x85\u2028\u2029") & set(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)


_Loader.yaml_implicit_resolvers = {}
for _tag in ("null", "bool", "merge"):
    for _first, _pairs in yaml.SafeLoader.yaml_implicit_resolvers.items():
        for _full, _pattern in _pairs:
            if _full == f"tag:yaml.org,2002:{_tag}":
                _Loader.add_implicit_resolver(_full, _pattern, [_first])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
_Loader.yaml_constructors = {
    "tag:yaml.org,2002:null": yaml.SafeLoader.construct_yaml_null,
    "tag:yaml.org,2002:bool": yaml.SafeLoader.construct_yaml_bool,
    "tag:yaml.org,2002:int": _Loader.construct_integer,
    "tag:yaml.org,2002:float": _Loader.construct_number,
    "tag:yaml.org,2002:str": _Loader.construct_text,
    "tag:yaml.org,2002:seq": yaml.SafeLoader.construct_yaml_seq,
    "tag:yaml.org,2002:map": yaml.SafeLoader.construct_yaml_map,
    None: _Loader.refuse_tag,
}


def read_yaml(
    path: Path, what: str, kind: type[DlcvError] = ConfigError, *, limit: int = MAX_BYTES
) -> Any:
    """Return the content of a YAML file.

    Args:
        path: the file.
        what: its name in errors, e.g. ``settings file``; may be empty.
        kind: type of the errors.
        limit: bytes of the file, at most.

    Raises:
        DlcvError: of type `kind`; the file cannot be read, or as for `parse_yaml`.
    """
    source = f"{what} {path}".lstrip()
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError as error:
        raise kind(f"{source} does not exist") from error
    except IsADirectoryError as error:
        raise kind(f"{source} is a folder, not a YAML file") from error
    except (OSError, ValueError) as error:  # ValueError: NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise kind(f"{source} cannot be read: {reason}") from error
    _require_small(len(content), source, kind, limit)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise kind(f"{source} is not YAML: byte {error.start} is not UTF-8 text") from error
    return parse_yaml(text, source, kind, limit=limit)


def parse_yaml(
    text: str, source: str, kind: type[DlcvError] = ConfigError, *, limit: int = MAX_BYTES
) -> Any:
    """Return the content of a YAML text; None for an empty text.

    Args:
        text: one document.
        source: its name in errors.
        kind: type of the errors.
        limit: characters of the text, at most.

    Raises:
        DlcvError: of type `kind`; names the place where the text is not YAML, is too large or too
            deep, repeats a key, or has a value that does not match its tag.
    """
    _require_small(len(text), source, kind, limit)
    try:
        return _Loader(text, limit).get_single_data()
    except _Unfit as error:
        raise kind(f"{source}: {_described(error)}") from error
    except yaml.YAMLError as error:
        raise kind(f"{source} is not YAML: {_described(error)}") from error
    except (ValueError, OverflowError) as error:  # from an escape such as "\UFFFFFFFF"
        raise kind(f"{source} is not YAML: {error}") from error


def require_mapping(data: Any, source: str, kind: type[DlcvError] = ConfigError) -> dict[str, Any]:
    """Return the content of a YAML file if it is a mapping.

    Raises:
        DlcvError: of type `kind`; it is not a mapping.
    """
    if not isinstance(data, dict):
        raise kind(f"{source} does not hold a mapping of keys")
    return data


def to_yaml(tree: Any) -> str:
    """Return plain types as YAML text, with mappings in their own order."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _require_small(size: int, source: str, kind: type[DlcvError], limit: int) -> None:
    if size > limit:
        raise kind(f"{source} is larger than {limit >> 10} KiB, the limit for YAML files")


def _refuse_repeated_keys(node: yaml.MappingNode) -> None:
    """Refuse a repeated key; PyYAML would silently take its last value."""
    seen = set()
    for key, _ in node.value:
        name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else key
        if name in seen:
            raise _unfit(f"key {_short(key.value)} is given twice", key.start_mark)
        seen.add(name)


def _unfit(problem: str, mark: yaml.Mark) -> _Unfit:
    return _Unfit(problem=problem, problem_mark=mark)


def _too_deep(mark: yaml.Mark) -> _Unfit:
    return _unfit(f"it is nested more than {MAX_DEPTH} levels deep", mark)


def _described(error: yaml.YAMLError) -> str:
    """Return the problem and its place on one line."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    where = error.problem_mark or error.context_mark
    place = f" (line {where.line + 1}, column {where.column + 1})" if where else ""
    parts = [part for part in (error.context, error.problem) if part]
    return " ".join(", ".join(parts).split()) + place


def _short(value: Any) -> str:
    return repr(shorten(str(value)))
