"""Packages of the extra `train`, which commands need beyond running ONNX models."""

from __future__ import annotations

from importlib.util import find_spec

from dlcvcli.config.names import TORCH_PROVIDERS, Provider
from dlcvcli.errors import MissingExtra, UsageError


def require_torch(what: str) -> None:
    """Refuse what needs PyTorch where it is not installed.

    Raises:
        MissingExtra: it is not.
    """
    require_package("torch", what)


def require_package(package: str, what: str) -> None:
    """Refuse what needs a package of the extra `train` where it is not installed.

    Args:
        package: as it is imported.
        what: needs it, e.g. `training`.

    Raises:
        MissingExtra: it is not.
    """
    if find_spec(package) is None:
        raise MissingExtra(
            f"{what} needs {package}, which is not installed",
            "in dlcv's source folder: pip install '.[train]'",
        )


def prepare_torch(provider: Provider) -> None:
    """Refuse to run a checkpoint under an execution provider that only ONNX files have.

    Raises:
        UsageError: the provider runs ONNX files only.
        MissingExtra: torch is not installed.
    """
    if provider not in TORCH_PROVIDERS:
        raise UsageError(
            f"--provider {provider} runs ONNX files, and the model is a PyTorch checkpoint",
            "add --onnx",
        )
    require_torch("running a PyTorch checkpoint")
