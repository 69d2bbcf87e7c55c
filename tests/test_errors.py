"""User errors: message, hint, exit status, and the hint for a mistyped name."""

from __future__ import annotations

import pickle

import pytest

from dlcvcli import errors
from dlcvcli.errors import (
    AlreadySaid,
    ConfigError,
    DlcvError,
    ExitStatus,
    Interrupted,
    naming,
    nearest,
    shorten,
)

# Two errors whose status comes from a signal or another process.
_OWN_STATUS = {AlreadySaid, Interrupted}
KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, DlcvError) and kind not in _OWN_STATUS
]


def test_exit_statuses_are_fixed() -> None:
    assert {status.name: int(status) for status in ExitStatus} == {
        "DONE": 0,
        "FAILED": 1,
        "USAGE": 2,
        "CHECK_FAILED": 3,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_status_of_its_class(kind: type[DlcvError]) -> None:
    status = {"UsageError": 2, "ConfigError": 2, "CheckFailed": 3}.get(kind.__name__, 1)
    assert kind("it failed").status == status


@pytest.mark.parametrize("kind", KINDS)
def test_message_and_hint_survive_pickling(kind: type[DlcvError]) -> None:
    error = pickle.loads(pickle.dumps(kind("a.png is damaged", "replace it")))
    assert type(error) is kind
    assert (error.message, error.hint, str(error)) == (
        "a.png is damaged",
        "replace it",
        "a.png is damaged",
    )


def test_an_interruption_ends_with_128_plus_the_signal() -> None:
    assert Interrupted(15, "stopped").status == 143
    assert Interrupted(2, "stopped").status == 130
    assert AlreadySaid(3).status == 3


def test_only_a_similar_name_is_suggested() -> None:
    assert nearest("epoch", ["steps", "epochs", "seed"]) == "did you mean 'epochs'?"


def test_without_a_similar_name_all_known_names_are_listed_in_order() -> None:
    assert nearest("zzz", ["val", "test", "train"]) == "known: test, train, val"


def test_without_known_names_there_is_no_hint() -> None:
    assert nearest("a", ()) == ""


def test_a_long_text_is_shortened() -> None:
    assert shorten("a" * 60) == "a" * 60
    assert shorten("a" * 61) == "a" * 60 + "..."


def test_an_error_about_a_file_names_it_once() -> None:
    for message in ("does not fit", "a.ckpt: does not fit"):
        with pytest.raises(ConfigError) as caught, naming("a.ckpt"):
            raise ConfigError(message, "another one")
        assert str(caught.value) == caught.value.message == "a.ckpt: does not fit"
        assert caught.value.hint == "another one"
