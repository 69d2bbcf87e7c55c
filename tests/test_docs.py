"""The documents: the reference matches the code, links lead somewhere, commands can be typed."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.json_reference import load_generator

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"]
)


GENERATE = load_generator()


def test_the_reference_is_up_to_date() -> None:
    written = {path.name: path.read_text("utf-8") for path in GENERATE.FOLDER.glob("*.md")}
    pages = GENERATE.pages()
    stale = [name for name in pages.keys() | written.keys() if pages.get(name) != written.get(name)]
    assert not stale, f"run python docs/generate.py; out of date: {', '.join(sorted(stale))}"


def _anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_pictures_of_a_document_exist(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text("utf-8"), flags=re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        if not path.exists() or (anchor and anchor not in _anchors(path)):
            broken.append(target)
    assert not broken


def _command_lines(document: Path) -> Iterator[list[str]]:
    """Yield the `dlcv` commands of a document's shell and output blocks, as words."""
    text = document.read_text("utf-8")
    for kind, block in re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL):
        lines = block.replace("\\\n", " ").splitlines()
        if kind == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        elif kind != "sh":
            continue
        for line in lines:
            # Commands before dlcv in a pipe, and variables of SLURM, belong to the shell.
            if (
                match := re.search(r"(?:^|\| *|-m )(?:dlcv|dlcvcli) (.*)", line)
            ) and "$" not in line:
                yield shlex.split(re.split(r" [|>;] ", match[1])[0], comments=True)


# Written by hand: those of the reference come from the code.
WITH_COMMANDS = [
    path
    for path in DOCUMENTS
    if path.parent != GENERATE.FOLDER and any(True for _ in _command_lines(path))
]


@pytest.mark.parametrize("document", WITH_COMMANDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_of_a_document_name_flags_that_exist(document: Path) -> None:
    commands = dict(GENERATE.commands())
    wrong = []
    for words in _command_lines(document):
        name = "dlcv"
        while words and f"{name} {words[0]}" in commands:
            name = f"{name} {words.pop(0)}"
        flags = {flag for word in words if (flag := word.partition("=")[0]).startswith("--")}
        known = {"--help", "--install-completion"} | {
            flag for param in commands[name].params for flag in (*param.opts, *param.secondary_opts)
        }
        if hasattr(commands[name], "commands") and words and not words[0].startswith("-"):
            wrong.append(f"{name} {words[0]}")
        wrong += [f"{name} {flag}" for flag in flags - known]
    assert not wrong


def _messages() -> Iterator[str]:
    """Yield the texts in the package's code, with `...` for each value."""
    for path in (ROOT / "dlcvcli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (
                    str(p.value) if isinstance(p, ast.Constant) else "..." for p in node.values
                )
                yield re.sub(r"\.{4,}", "...", "".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_messages_in_troubleshooting_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    tables = text.partition("## Installation")[2]
    cells = [row.split(" | ")[1] for row in tables.splitlines() if row.count(" | ") == 2]
    quoted = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    known = set(_messages())
    assert [m for m in quoted if not any(m.strip(". ") in text for text in known)] == []
