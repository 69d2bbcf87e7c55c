"""The results of a run as plain types."""

from __future__ import annotations

import json
from typing import Any

import torch

from dlcvcli.engine.hooks import Plan
from dlcvcli.engine.launch import launch
from dlcvcli.engine.recorder import Best, Totals
from dlcvcli.engine.result import FitResult
from dlcvcli.training.results import count_parameters, describe_result
from tests.engine.tiny import TinyTask


def ended(**changes: Any) -> FitResult:
    """Return the result of a run of 20 steps."""
    fields: dict[str, Any] = {
        "step": 20, "total_steps": 20, "plan": Plan(0, 20, 8, 4), "ended": "finished",
        "signal": 0, "best": Best("miou", 0.5, 16), "last": {"step": 20, "miou": 0.4},
        "seconds": 12.345, "totals": Totals(80, 8.0, 2.0),
    }  # fmt: skip
    return FitResult(**{**fields, **changes})


def describe(result: FitResult) -> dict[str, Any]:
    return describe_result(TinyTask(), launch(precision="fp32"), result)


def test_results_are_plain_types() -> None:
    results = describe(ended())
    json.dumps(results, allow_nan=False)
    assert results["best"] == {"miou": 0.5, "step": 16, "epoch": 2}
    assert (results["finished"], results["step"], results["wall_s"]) == (True, 20, 12.35)
    assert (results["images_per_s"], results["data_wait"]) == (10.0, 0.25)
    assert (results["precision"], results["ranks"]) == ("fp32", 1)
    assert results["parameters"] == count_parameters(TinyTask()) > 200


def test_run_without_validation_has_no_best() -> None:
    results = describe(ended(best=Best("miou"), last=None, ended="signal"))
    assert (results["best"], results["last"], results["finished"]) == (None, None, False)


def test_frozen_parameters_are_counted() -> None:
    model = torch.nn.Linear(3, 2)
    model.requires_grad_(False)
    assert count_parameters(model) == 8
