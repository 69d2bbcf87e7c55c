"""A child `dlcv` process: its exit status is returned, and signals are passed on to it."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from dlcvcli import processes
from dlcvcli.errors import AlreadySaid, Interrupted
from dlcvcli.processes import run_dlcv

# Replaces a training run: it saves on a signal, or hangs where the arguments say so.
_CHILD = """#!/bin/sh
trap 'echo saved > "$4"; exit 143' TERM
trap 'echo broken off > "$4"; exit 130' INT
if [ "$3" = hang ]; then trap '' TERM; fi
touch "$4.started"
if [ "$3" = fail ]; then exit 3; fi
if [ "$3" = die ]; then kill -KILL $$; fi
while [ "$3" != pass ]; do sleep 0.05; done
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the child writes on a signal."""
    tool = tmp_path / "python"
    tool.write_text(_CHILD)
    tool.chmod(0o755)
    monkeypatch.setattr(processes.sys, "executable", str(tool))
    return tmp_path / "words"


def _send_when_started(words: Path, *numbers: int) -> threading.Thread:
    def send() -> None:
        for number in numbers:
            while not words.with_name("words.started").exists():
                threading.Event().wait(0.02)
            os.kill(os.getpid(), number)
            threading.Event().wait(0.2)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize(("way", "status"), [("fail", 3), ("die", 137)])
def test_the_exit_status_of_the_child_is_passed_on(child: Path, way: str, status: int) -> None:
    run_dlcv(["pass", str(child)])
    with pytest.raises(AlreadySaid) as caught:
        run_dlcv([way, str(child)])
    assert caught.value.status == status


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_child_save_before_this_process_ends(child: Path, number: int) -> None:
    before = signal.getsignal(number)
    sender = _send_when_started(child, number)
    with pytest.raises(Interrupted) as caught:
        run_dlcv(["wait", str(child)])
    sender.join()
    assert caught.value.status == 128 + number
    assert child.read_text() == "saved\n"
    assert signal.getsignal(number) is before


def test_a_second_signal_kills_a_child_that_hangs(child: Path) -> None:
    sender = _send_when_started(child, signal.SIGINT, signal.SIGINT)
    with pytest.raises(Interrupted) as caught:
        run_dlcv(["hang", str(child)])
    sender.join()
    assert caught.value.status == 130
    assert not child.exists()
