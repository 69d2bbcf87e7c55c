"""A request to stop is remembered, and the handlers of before come back."""

from __future__ import annotations

import os
import signal

import pytest

from dlcvcli.engine.stopping import StopRequest


def test_a_signal_is_remembered_and_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest() as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        assert stop.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_interrupt_gives_up_waiting() -> None:
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_end_of_the_time_requests_a_stop() -> None:
    assert StopRequest(max_time=1e-9).requested
    assert not StopRequest(max_time=1e9).requested
    assert StopRequest(max_time=1e-9).signal is None
