"""A resumed run may change settings without effect on its results; others are refused."""

from __future__ import annotations

from typing import Any

import pytest

from dlcvcli.config.load import resolve
from dlcvcli.config.schema import RESUMABLE_CHANGES
from dlcvcli.errors import ConfigError
from dlcvcli.tasks.segmentation.settings import TrainSegSettings
from dlcvcli.training.resume import require_same_settings

STORED: dict[str, Any] = {"data.path": "set", "train.steps": 100, "optim.lr": 0.01}

ALLOWED: dict[str, Any] = {
    "train.devices": 2,
    "train.workers": 3,
    "train.log_every": 1,
    "train.max_time": "15m",
    "train.val_batch_size": 2,
    "data.path": "moved",
    "data.audit": False,
    "data.cache": "2GiB",
}


def stored() -> dict[str, Any]:
    """Return the settings of a run as stored in its checkpoint."""
    return resolve(TrainSegSettings, flags=STORED).model_dump(mode="json")


def resumed(**changes: Any) -> TrainSegSettings:
    """Return the settings with changes; `__` in a name replaces the dot."""
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return resolve(TrainSegSettings, flags={**STORED, **dotted})


def refusal(settings: TrainSegSettings, *, extend: bool = False) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        require_same_settings(stored(), settings, extend=extend)
    return caught.value


def test_same_settings_are_accepted() -> None:
    require_same_settings(stored(), resumed(), extend=False)
    require_same_settings(stored(), resumed(), extend=True)


@pytest.mark.parametrize("key", sorted(RESUMABLE_CHANGES))
def test_settings_without_effect_on_results_may_change(key: str) -> None:
    changed = resumed(**{key: ALLOWED[key]})
    assert changed != resumed()
    require_same_settings(stored(), changed, extend=False)


def test_all_of_them_may_change_together() -> None:
    require_same_settings(stored(), resumed(**ALLOWED), extend=False)


@pytest.mark.parametrize(
    ("change", "listed"),
    [
        ({"optim__lr": 0.5}, "optim.lr: 0.01 -> 0.5"),
        ({"train__seed": 3}, "train.seed: 0 -> 3"),
        ({"train__batch_size": 4}, "train.batch_size: 8 -> 4"),
        ({"train__save_every": 5}, "train.save_every: None -> 5"),
        ({"data__crop": "64x80"}, "data.crop: None -> [64, 80]"),
        ({"data__augment__flip": 0.0}, "data.augment.flip: 0.5 -> 0.0"),
        ({"model__weights": "imagenet"}, "model.weights: none -> imagenet"),
        ({"snapshot__images": ["0001"]}, "snapshot.images: [] -> ['0001']"),
    ],
)
def test_settings_with_effect_on_results_are_refused_with_both_values(
    change: dict[str, Any], listed: str
) -> None:
    for extend in (False, True):
        error = refusal(resumed(**change), extend=extend)
        assert error.message == f"the run was started with other settings ({listed})"
        assert error.status == 2
        assert "--init CKPT" in error.hint


def test_only_refused_keys_are_listed() -> None:
    changed = resumed(train__seed=3, optim__lr=0.5, train__workers=2, data__path="moved")
    assert "(optim.lr: 0.01 -> 0.5; train.seed: 0 -> 3)" in refusal(changed).message


@pytest.mark.parametrize("steps", [200, 50])
def test_number_of_steps_may_change_with_extend_only(steps: int) -> None:
    error = refusal(resumed(train__steps=steps))
    assert f"(train.steps: 100 -> {steps})" in error.message
    assert error.hint == "add --extend to change how long the run trains"
    require_same_settings(stored(), resumed(train__steps=steps), extend=True)


def test_epochs_may_replace_steps_with_extend() -> None:
    flags = {"data.path": "set", "optim.lr": 0.01, "train.epochs": 7}
    in_epochs = resolve(TrainSegSettings, flags=flags)
    listed = "train.epochs: None -> 7; train.steps: 100 -> None"
    assert f"({listed})" in refusal(in_epochs).message
    require_same_settings(stored(), in_epochs, extend=True)


def test_extend_allows_no_other_changes() -> None:
    changed = resumed(train__steps=200, optim__lr=0.5)
    both = refusal(changed)
    assert "optim.lr: 0.01 -> 0.5; train.steps: 100 -> 200" in both.message
    # --extend alone would not suffice.
    assert "--extend" not in both.hint
    rest = refusal(changed, extend=True)
    assert rest.message.endswith("(optim.lr: 0.01 -> 0.5)")


def test_missing_settings_of_an_older_run_have_their_defaults() -> None:
    before = stored()
    del before["train"]["keep"]
    del before["snapshot"]
    require_same_settings(before, resumed(), extend=False)
    with pytest.raises(ConfigError, match=r"train\.keep: 0 -> 2"):
        require_same_settings(before, resumed(train__keep=2), extend=False)


def test_unknown_settings_of_a_newer_run_are_refused() -> None:
    before = stored()
    before["train"]["momentum_of_the_moon"] = 1
    with pytest.raises(ConfigError, match=r"unknown key 'train\.momentum_of_the_moon'"):
        require_same_settings(before, resumed(), extend=False)
