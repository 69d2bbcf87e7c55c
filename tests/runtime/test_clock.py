"""The clock of an evaluation adds up its stages."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dlcvcli.runtime import clock as module
from dlcvcli.runtime.clock import StageClock


class Time:
    """A time that stands until it is moved."""

    now = 50.0


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """The time that the clock reads."""
    time = Time()
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: time.now))
    return time


def test_each_stage_has_its_sum(time: Time) -> None:
    clock = StageClock()
    for seconds in (1.0, 2.0, 4.0):
        with clock.stage("read"):
            time.now += seconds
        time.now += 100
        with clock.stage("run"):
            time.now += 10 * seconds
    assert clock.seconds == {"read": 7.0, "run": 70.0}


def test_a_stage_that_fails_took_its_time_too(time: Time) -> None:
    clock = StageClock()

    def fail() -> None:
        with clock.stage("run"):
            time.now += 3
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert clock.seconds == {"run": 3.0}


def test_a_stage_that_never_ran_took_no_time() -> None:
    clock = StageClock()
    assert clock.seconds["copy"] == 0.0
