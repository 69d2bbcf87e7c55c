"""The content of `results.json`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dlcvcli.engine.launch import Launcher
from dlcvcli.engine.result import FitResult
from dlcvcli.machine import peak_memory_mb


def describe_result(model: nn.Module, launcher: Launcher, result: FitResult) -> dict[str, Any]:
    """Return the result of a run as plain types, without the scores of its best weights."""
    best = result.best
    memory = torch.cuda.max_memory_allocated() >> 20 if launcher.on_gpu else peak_memory_mb()
    return {
        "parameters": count_parameters(model),
        "finished": result.ended == "finished",
        "step": result.step,
        "total_steps": result.total_steps,
        "best": None
        if best.value is None
        else {
            best.metric: best.value,
            "step": best.step,
            "epoch": result.plan.epoch_of(best.step),
        },
        "last": result.last,
        "wall_s": round(result.seconds, 2),
        "images_per_s": round(result.totals.images_per_s, 3),
        "data_wait": round(result.totals.data_wait, 4),
        "peak_memory_mb": memory,
        "precision": launcher.precision.name,
        "device": launcher.device_name,
        "ranks": launcher.world_size,
    }


def count_parameters(model: nn.Module) -> int:
    """Return the number of parameters, including frozen ones."""
    return sum(parameter.numel() for parameter in model.parameters())
