"""A rank that fails is detected, reported, and stops the others."""

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


def test_single_rank_has_no_failures() -> None:
    with Peers().watched(pytest.fail):
        assert Peers().find_failed(wait=60) is None
    assert not [thread for thread in threading.enumerate() if thread.name == "peers"]


def test_failed_rank_is_reported_with_its_exit_status_or_signal() -> None:
    succeeded, failed, killed = child("pass"), child("raise SystemExit(3)"), child(SLEEPS)
    os.kill(killed.pid, signal.SIGKILL)
    for process in (succeeded, failed, killed):
        process.wait()
    assert Peers([succeeded]).find_failed() is None
    assert Peers([succeeded, failed]).find_failed() == "rank 2 ended with exit status 3"
    assert Peers([killed]).find_failed() == "rank 1 was killed by SIGKILL"


def test_missing_parent_is_reported_as_rank_0() -> None:
    assert Peers(parent=os.getppid()).find_failed() is None
    assert Peers(parent=os.getppid() + 1).find_failed() == "rank 0 has ended"


def test_failed_rank_stops_the_others_and_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_INTERVAL", 0.01)
    monkeypatch.setattr(module, "_GRACE", 0.01)
    dies, lives = child("raise SystemExit(1)"), child(SLEEPS)
    failures: list[str] = []
    called = threading.Event()

    def on_failure(failure: str) -> None:
        failures.append(failure)
        called.set()

    with Peers([dies, lives]).watched(on_failure):
        assert called.wait(timeout=30)
    assert failures == ["rank 1 ended with exit status 1"]
    assert lives.wait(timeout=30) == -signal.SIGKILL


def test_ranks_that_end_together_are_not_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_INTERVAL", 0.01)
    ended = child("raise SystemExit(143)")
    with Peers([ended]).watched(pytest.fail):
        ended.wait()
