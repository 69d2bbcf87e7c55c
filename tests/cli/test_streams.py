"""A closed or unread stream changes neither the work nor the exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the shell of POSIX closes the streams")

# Prints before and after its reader exits, then writes its result.
COMMAND = """
import sys
from pathlib import Path
from dlcvcli.cli import app as module, main
from dlcvcli.errors import CheckFailed

def command():
    for _ in range(3):
        print("x" * 100_000, flush=True)
        print("progress", file=sys.stderr)
    assert not sys.stdin.read()
    print("not flushed")
    Path(sys.argv[1]).write_text("done")
    if len(sys.argv) > 2:
        raise CheckFailed("too low")

module.make_app = lambda: command
main()
"""


def _run(redirections: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-c", COMMAND]
    return subprocess.run(
        [*command, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_output_to_a_closed_stream_is_dropped(tmp_path: Path, closed: str) -> None:
    done = _run(closed, tmp_path / "result")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert (tmp_path / "result").read_text() == "done"
    assert _run(closed, tmp_path / "result", "fails").returncode == 3


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("broken", ["stdout", "stderr"])
def test_work_continues_after_its_reader_exits(
    tmp_path: Path, broken: str, unbuffered: str
) -> None:
    read, write = os.pipe()
    os.close(read)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, broken: write}
    for arguments, status in (([], 0), (["fails"], 3)):
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, str(tmp_path / "result"), *arguments],
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
            **streams,  # type: ignore[call-overload]
        )
        assert done.returncode == status
        assert "Traceback" not in (done.stderr or "")
        assert (tmp_path / "result").read_text() == "done"
    os.close(write)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_behind_stdout_fails_with_one_line(tmp_path: Path) -> None:
    done = _run("> /dev/full", tmp_path / "result")
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line != "progress"]
    assert errors == ["error: No space left on device: while writing"]
