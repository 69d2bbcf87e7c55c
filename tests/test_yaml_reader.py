"""YAML of users is read as plain types, within limits, or refused in one line."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlcvcli.errors import ConfigError, DataError
from dlcvcli.yaml_reader import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_INTEGER,
    parse_yaml,
    read_yaml,
    require_mapping,
    to_yaml,
)

NAMES = "abcdefghij"


def _refused(call: Callable[[], Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        call()
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("[1, -2, +3, 1_000, 0]", [1, -2, 3, 1000, 0]),
        ("[1.5, .5, 5., -.5, 1.5e3, 1e-3, 1E+2]", [1.5, 0.5, 5.0, -0.5, 1500.0, 1e-3, 100]),
        ("[yes, off, true, 'true']", [True, False, True, "true"]),
        ("[2020-01-01, 2020-13-45, 2001-12-14t21:59:43Z]",
         ["2020-01-01", "2020-13-45", "2001-12-14t21:59:43Z"]),
        ("[0013, 1:30, 0x10, 0b1, 0o7, 00]", ["0013", "1:30", "0x10", "0b1", "0o7", "00"]),
        ("[e3, 1e, a1e3, =, 'ünder']", ["e3", "1e", "a1e3", "=", "ünder"]),
        ("{a: &x {b: 1}, c: {<<: *x, d: 2}}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        ("!!str 5", "5"),
        (str(MAX_INTEGER), MAX_INTEGER),
    ],
)  # fmt: skip
def test_plain_types_are_read(text: str, value: Any) -> None:
    assert parse_yaml(text, "it") == value


@pytest.mark.parametrize(("text", "kind"), [("1e3", int), ("1000.0", float), ("1e300", float)])
def test_a_number_without_fraction_or_dot_is_an_integer(text: str, kind: type) -> None:
    assert type(parse_yaml(text, "it")) is kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a", "it is not YAML: while parsing a flow sequence, expected ',' or ']'"),
        ("a: b: c", "it is not YAML: mapping values are not allowed here (line 1, column 5)"),
        ("a: 1\n--- 2", "found another document"),
        ("\x00", "it is not YAML: unacceptable character"),
        ('"\\UFFFFFFFF"', "it is not YAML: "),
        ('"\\ud800"', "is not Unicode text"),
        ("*a", "undefined alias"),
        ('!!int "abc"', "it: 'abc' is not an integer (line 1, column 1)"),
        ('!!int ""', "'' is not an integer"),
        ("!!int 0x10", "'0x10' is not an integer"),
        ("!!bool abc", "'abc' is not true or false"),
        ("!!float abc", "'abc' is not a number"),
        ("!!timestamp 2020-01-01", "timestamp' is not supported"),
        ('!!binary "%"', "binary' is not supported"),
        ("!!set {a, b}", "set' is not supported"),
        ("!!python/object/apply:os.getcwd []", "os.getcwd' is not supported"),
        ("9" * 30, "does not fit into 64 bits"),
        ("-" + "9" * 5000, "does not fit into 64 bits"),
        ("a: 1\nb: 2\na: 3", "it: key 'a' is given twice (line 3, column 1)"),
        ("{[1]: 2}", "unhashable key"),
        ("a: &a [*a]", "an alias refers to a node that contains it (line 1, column 8)"),
        ("&a {b: {c: *a}}", "an alias refers to a node that contains it"),
        ("[" * 100_000, "nested more than 32 levels deep"),
        ("{a: " * 20_000, "nested more than 32 levels deep"),
        ("- " * 50_000, "nested more than 32 levels deep"),
        ("a0: &a0 []\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 3000)),
         "nested more than 32 levels deep"),
        ("x" * (MAX_BYTES + 1), "is larger than 128 KiB"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_one_short_line(text: str, expected: str) -> None:
    message = _refused(lambda: parse_yaml(text, "it"))
    assert expected in message
    assert len(message) < 250


@pytest.mark.parametrize("inner", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_that_expand_to_a_million_values_are_refused(inner: str) -> None:
    """Traversing the result of nine such lines took 41 s."""
    text = "a: &a {" + ", ".join(f"k{i}: 1" for i in range(9)) + "}\n"
    for before, name in pairwise(NAMES):
        text += f"{name}: &{name} {inner.format(', '.join([f'*{before}'] * 9))}\n"
    started = time.perf_counter()
    assert "its aliases make it too large" in _refused(lambda: parse_yaml(text, "it"))
    assert time.perf_counter() - started < 1


def test_the_deepest_nesting_allowed_is_read() -> None:
    deep = parse_yaml("[" * (MAX_DEPTH - 1) + "1" + "]" * (MAX_DEPTH - 1), "it")
    for _ in range(MAX_DEPTH - 1):
        (deep,) = deep
    assert deep == 1


PLAIN = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-MAX_INTEGER, MAX_INTEGER),
        st.floats(allow_nan=False),
        st.text(st.characters(codec="utf-8")),
        st.text("0123456789.eE+-_:x", max_size=6),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text("ab.1e", max_size=4), inner)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(PLAIN)
@example("a\x85b\u2028c\u2029d")
def test_written_values_are_read_back(tree: Any) -> None:
    text = to_yaml(tree)
    assert parse_yaml(text, "it") == tree
    # Text that looks like a number to any reader of YAML 1.1 is quoted.
    assert yaml.safe_load(text) == tree


@settings(deadline=None, max_examples=300)
@given(st.text("[]{}:,-&*!?|>'\"%@`#ab01e. \n\t~<=", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ConfigError):
        parse_yaml(text, "it")


def test_a_file_is_named_in_its_error(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    assert _refused(lambda: read_yaml(path, "class file")) == f"class file {path} does not exist"
    assert "is a folder, not a YAML file" in _refused(lambda: read_yaml(tmp_path, ""))
    path.write_bytes(b"a: \xff")
    assert "byte 3 is not UTF-8 text" in _refused(lambda: read_yaml(path, ""))
    path.write_bytes(b"a" * (MAX_BYTES + 1))
    assert f"{path} is larger than" in _refused(lambda: read_yaml(path, ""))
    path.write_text("[1, é]", encoding="utf-8")
    assert read_yaml(path, "") == [1, "é"]


def test_an_endless_file_is_not_read_to_its_end() -> None:
    if not (zero := Path("/dev/zero")).exists():
        pytest.skip("no /dev/zero on this system")
    assert "is larger than" in _refused(lambda: read_yaml(zero, "settings file"))


def test_the_caller_chooses_the_error_class(tmp_path: Path) -> None:
    for call in (
        lambda: read_yaml(tmp_path, "", DataError),
        lambda: parse_yaml("[", "", DataError),
        lambda: require_mapping([], "", DataError),
    ):
        with pytest.raises(DataError):
            call()


def test_a_mapping_is_returned_unchanged() -> None:
    assert require_mapping({"a": 1}, "it") == {"a": 1}
    assert _refused(lambda: require_mapping(None, "it")) == "it does not hold a mapping of keys"
