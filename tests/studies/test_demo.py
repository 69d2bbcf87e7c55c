"""The demo's commands are those of the command line; `make demo` runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer

from dlcvcli.cli.app import make_app
from dlcvcli.config.load import load_recipe
from dlcvcli.studies.demo import SIDE, commands, demo_task, script
from dlcvcli.tasks.registry import task_named


def _parse(arguments: list[str]) -> list[str]:
    """Parse a command line as `dlcv` does, without running it; return the names of its commands."""
    command: Any = typer.main.get_command(make_app())
    context, names = None, ["dlcv"]
    while hasattr(command, "resolve_command"):
        context = command.make_context(names[-1], [*arguments], parent=context)
        name, command, arguments = command.resolve_command(context, arguments)
        names.append(name)
    command.make_context(names[-1], arguments, parent=context)
    return names[1:]


def test_the_commands_survive_the_shell_and_parse(tmp_path: Path) -> None:
    # A `dlcv` that prints its arguments replaces the real one.
    tool = tmp_path / "bin" / "dlcv"
    tool.parent.mkdir()
    tool.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    tool.chmod(0o755)
    file = tmp_path / "commands.sh"
    file.write_text(script())
    folder = tmp_path / "a folder"
    environment = {**os.environ, "PATH": f"{tool.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", str(file), str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [_parse(line) for line in lines] == [
        ["data", "make"], ["train", "seg"], ["export"], ["eval"], ["predict"],
    ]  # fmt: skip
    assert all(any(word.startswith(str(folder)) for word in line) for line in lines)
    assert f"{SIDE}x{SIDE}" in lines[0]
    assert lines[1][lines[1].index("--recipe") + 1] == "demo"
    assert demo_task() is task_named(load_recipe("demo")["task"])
    # The page shows the same lines, with the folder's usual name.
    shown = [line.split()[1:] for line in commands(str(folder).replace(" ", ""))]
    assert shown == [[word.replace(" ", "") for word in line] for line in lines]


def test_the_demo_stops_at_the_first_failed_command(tmp_path: Path) -> None:
    tool = tmp_path / "dlcv"
    tool.write_text("#!/bin/sh\necho called\nexit 3\n")
    tool.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", script()], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (3, "called\n")
