"""A rank that dies is found, named, and ends the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from dlcvcli.engine import peers as module
from dlcvcli.engine.peers import Peers


def child(script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", script])


SLEEPS = "import time; time.sleep(60)"


def test_alone_nobody_falls() -> None:
    with Peers().watched(lambda what: pytest.fail(what)):
        assert Peers().fallen(wait=60) is None
    assert not [thread for thread in threading.enumerate() if thread.name == "peers"]


def test_a_rank_that_ended_is_named_with_how() -> None:
    well, failed, killed = child("pass"), child("raise SystemExit(3)"), child(SLEEPS)
    os.kill(killed.pid, signal.SIGKILL)
    for process in (well, failed, killed):
        process.wait()
    assert Peers([well]).fallen() is None
    assert Peers([well, failed]).fallen() == "rank 2 ended with exit status 3"
    assert Peers([killed]).fallen() == "rank 1 was killed by SIGKILL"


def test_a_parent_that_is_gone_is_rank_0() -> None:
    assert Peers(parent=os.getppid()).fallen() is None
    assert Peers(parent=os.getppid() + 1).fallen() == "rank 0 is gone"


def test_a_dead_rank_stops_the_others_and_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EVERY", 0.01)
    monkeypatch.setattr(module, "_GRACE", 0.01)
    dies, lives = child("raise SystemExit(1)"), child(SLEEPS)
    told: list[str] = []
    heard = threading.Event()

    def lost(what: str) -> None:
        told.append(what)
        heard.set()

    with Peers([dies, lives]).watched(lost):
        assert heard.wait(timeout=30)
    assert told == ["rank 1 ended with exit status 1"]
    assert lives.wait(timeout=30) == -signal.SIGKILL


def test_ranks_that_end_together_are_nobodys_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EVERY", 0.01)
    ended = child("raise SystemExit(143)")
    with Peers([ended]).watched(lambda what: pytest.fail(what)):
        ended.wait()
