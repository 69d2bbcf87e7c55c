"""The clock of an evaluation sums the time of each stage."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dlcvcli.runtime import clock as module
from dlcvcli.runtime.clock import StageClock


class Time:
    """A clock that moves only when it is set."""

    now = 50.0


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """The time that the clock reads."""
    time = Time()
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: time.now))
    return time


def test_the_times_of_each_stage_are_summed(time: Time) -> None:
    clock = StageClock()
    for seconds in (1.0, 2.0, 4.0):
        with clock.stage("read"):
            time.now += seconds
        time.now += 100
        with clock.stage("run"):
            time.now += 10 * seconds
    assert clock.seconds == {"read": 7.0, "run": 70.0}


def test_the_time_of_a_failed_stage_counts(time: Time) -> None:
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
