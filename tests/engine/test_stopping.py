"""Requests to stop: signals, and the end of the maximum time."""

from __future__ import annotations

import os
import signal

import pytest

from dlcvcli.engine.stopping import StopRequest


def test_signal_is_recorded_and_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest() as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        assert stop.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_second_interrupt_raises() -> None:
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_end_of_the_maximum_time_requests_a_stop() -> None:
    assert StopRequest(max_time=1e-9).requested
    assert not StopRequest(max_time=1e9).requested
    assert StopRequest(max_time=1e-9).signal is None
