"""The wish to stop is remembered, and the handlers of before come back."""

from __future__ import annotations

import os
import signal

import pytest

from dlcvcli.engine.stopping import StopRequest


def test_a_signal_is_remembered_and_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest() as wish:
        assert not wish.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert wish.requested
        assert wish.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_interrupt_gives_up_waiting() -> None:
    with StopRequest() as wish:
        os.kill(os.getpid(), signal.SIGINT)
        assert wish.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_time_makes_the_wish_by_itself() -> None:
    assert StopRequest(max_time=1e-9).requested
    assert not StopRequest(max_time=1e9).requested
    assert StopRequest(max_time=1e-9).signal is None
