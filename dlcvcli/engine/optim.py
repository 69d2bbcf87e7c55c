"""Optimisers, and the learning rate as a pure function of the step."""

from __future__ import annotations

import math

import torch

from dlcvcli.config.schema import OptimSettings, ScheduleSettings
from dlcvcli.engine.task import ParameterGroup


def build_optimizer(groups: list[ParameterGroup], settings: OptimSettings) -> torch.optim.Optimizer:
    """Return SGD with momentum, Adam or AdamW for a task's parameter groups.

    Each group keeps its `lr_scale`, which `set_lr` reads.
    """
    arguments = [
        {
            "params": group.parameters,
            "name": group.name,
            "lr_scale": group.lr_scale,
            "lr": settings.lr * group.lr_scale,
            "weight_decay": settings.weight_decay if group.decay else 0.0,
        }
        for group in groups
    ]
    # One fused kernel for all tensors is faster than a loop over them, on CPU and GPU.
    if settings.name == "adamw":
        return torch.optim.AdamW(arguments, lr=settings.lr, fused=True)
    if settings.name == "adam":
        return torch.optim.Adam(arguments, lr=settings.lr, fused=True)
    return torch.optim.SGD(arguments, lr=settings.lr, momentum=settings.momentum, fused=True)


def lr_factor(step: int, total: int, schedule: ScheduleSettings, lr: float) -> float:
    """Return the learning rate of a step as a fraction of the peak learning rate.

    Args:
        step: number of the step; 0 is the first.
        total: steps of the complete run.
        schedule: `poly` (1 - t)^power (Liu et al. 2015, ParseNet, section 3.3; DeepLab), `step`
            gamma^(floor(step / every)), `cosine` to `min_lr` (Loshchilov & Hutter 2017, eq. 5,
            without restarts), `warmup+cosine` or `constant`; each after `warmup` linear steps.
        lr: the peak learning rate, to which `min_lr` is related.
    """
    warmup = _warmup_steps(schedule, total)
    if step < warmup:
        return (step + 1) / warmup
    step -= warmup
    progress = min(1.0, step / max(1, total - warmup))
    match schedule.name:
        case "poly":
            return float((1 - progress) ** schedule.power)
        case "step":
            return float(schedule.gamma ** (step // schedule.every))
        case "cosine" | "warmup+cosine":
            floor = schedule.min_lr / lr
            return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2
        case "constant":
            return 1.0


def _warmup_steps(schedule: ScheduleSettings, total: int) -> int:
    if schedule.warmup is not None:
        return schedule.warmup
    return max(1, total // 20) if schedule.name == "warmup+cosine" else 0


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group to `lr` times the group's scale."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]
