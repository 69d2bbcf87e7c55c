"""Versions, machine and device of a run."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from typing import Any

from dlcvcli import __version__
from dlcvcli.engine.launch import Launcher
from dlcvcli.machine import usable_cores
from dlcvcli.training.job import JobData

_PACKAGES = ("torch", "torchvision", "lightning-fabric", "numpy", "pillow", "onnxruntime-gpu")


def describe_environment(launcher: Launcher, data: JobData) -> dict[str, Any]:
    """Return the content of `environment.json` as plain types."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "dlcv": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": usable_cores(),
        "command": [os.path.basename(sys.argv[0]), *sys.argv[1:]],
        "device": launcher.device_name,
        "ranks": launcher.world_size,
        "precision": {"name": launcher.precision.name, "reason": launcher.precision.reason},
        "versions": versions,
        "data": {"layout": data.layout, **data.as_dict()},
    }
