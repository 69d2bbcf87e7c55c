"""Results go to stdout unchanged, progress to stderr, and a bar only to a terminal."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from dlcvcli.cli import console as module
from dlcvcli.cli.console import complain, counting, facts, fraction, say, stdout, write_result
from dlcvcli.errors import DlcvError


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the terminal to 40 columns, and recreate the console before and after."""
    monkeypatch.setenv("COLUMNS", "40")
    stdout.cache_clear()
    yield
    stdout.cache_clear()


def test_a_result_is_written_to_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_result({"miou": 0.5, "best": None}, str(tmp_path / "a" / "eval.json"))
    assert json.loads((tmp_path / "a" / "eval.json").read_text()) == {"miou": 0.5, "best": None}
    assert capsys.readouterr().out == ""


def test_a_dash_writes_to_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_result({"miou": 0.5}, "-")
    assert capsys.readouterr().out == '{\n  "miou": 0.5\n}\n'
    assert not list(tmp_path.iterdir())


def test_without_a_target_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_result({"miou": 0.5}, None)
    assert capsys.readouterr().out == ""
    assert not list(tmp_path.iterdir())


def test_a_result_with_nan_raises_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for target in ("-", str(tmp_path / "eval.json")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_result({"a": 1, "miou": float("nan")}, target)
    assert capsys.readouterr().out == ""
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DlcvError, match=r"cannot write .*eval\.json"):
        write_result({}, str(tmp_path / "file" / "eval.json"))


def test_a_missing_score_is_a_dash() -> None:
    assert fraction(None) == "–"
    assert fraction(0.0) == "0.0000"
    assert fraction(2 / 3) == "0.6667"
    assert fraction(2 / 3, 6) == "0.666667"


@pytest.mark.usefixtures("narrow")
def test_a_table_is_not_wrapped_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(show_header=False)
    table.add_row("left " * 10, "right " * 10)
    stdout().print(table)
    top, row, bottom = capsys.readouterr().out.splitlines()
    assert len(row) == len(top) == len(bottom) > 110
    assert ("left " * 10).strip() in row
    assert ("right " * 10).strip() in row


@pytest.mark.usefixtures("narrow")
def test_a_table_fits_the_width_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    assert stdout().width == 40


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_is_printed_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    line = "[red]data/[a]/0001.png[/red] " + "word " * 60 + "1234"
    say(line)
    captured = capsys.readouterr()
    assert captured.err == line + "\n"
    assert captured.out == ""


def test_an_error_is_printed_unchanged_above_its_hint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    complain("[red]data/[a][/red] does not exist " + "word " * 60, "how")
    complain("what", "")
    monkeypatch.setenv("RANK", "3")
    complain("what", "how")
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "error: [red]data/[a][/red] does not exist " + "word " * 60,
        "hint: how",
        "error: what",
        "rank 3: error: what",
    ]
    assert captured.out == ""


def test_without_a_terminal_progress_is_a_line_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now)
        with counting("reading") as progress:
            for done in range(251):
                # Ten steps per second, and a long pause before the last two.
                now = 1000 + done / 10 + (100 if done > 248 else 0)
                progress(done, 250)
    captured = capsys.readouterr()
    assert captured.err.splitlines() == ["reading: 100/250", "reading: 200/250", "reading: 249/250"]
    assert captured.out == ""


def test_short_work_prints_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with counting("reading") as progress:
        for done in range(1000):
            progress(done, 999)
    assert capsys.readouterr().err == ""


def test_on_a_terminal_progress_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = io.StringIO()
    shown = Console(file=screen, force_terminal=True, width=80)
    monkeypatch.setattr(module, "on_terminal", lambda: True)
    monkeypatch.setattr(module, "stderr", lambda: shown)
    with counting("reading") as progress:
        progress(3, 10)
    assert "reading" in screen.getvalue()
    assert "3/10" in screen.getvalue()
    assert "reading: 3/10" not in screen.getvalue()


@pytest.mark.parametrize("name", ["runs/[new] first", "runs/[/x]", "[red]leaf"])
def test_brackets_are_not_markup(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    stdout.cache_clear()
    stdout().print(facts(name, [("figures", f"{name}/figures")]))
    stdout.cache_clear()
    shown = capsys.readouterr().out
    assert f"{name}/figures" in shown
    assert shown.count(name) == 2
