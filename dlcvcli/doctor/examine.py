"""Examine the machine, GPU, training, running ONNX models, and optionally a model file."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from dlcvcli import __version__
from dlcvcli.doctor.probes import ask
from dlcvcli.machine import driver_obstacle, usable_cores
from dlcvcli.runs import RunFolder

Status = Literal["ok", "note", "bad"]

TRAIN = "pip install '.[train]'  # in dlcv's source folder"
TORCH = "pip install --force-reinstall 'torch>=2.11' 'torchvision>=0.26'"
# As in pyproject.toml: the systems for which the wheel with CUDA exists.
_CUDA_WHEEL = (sys.platform, platform.machine()) in {("linux", "x86_64"), ("win32", "AMD64")}
RUNTIME = f"pip install 'onnxruntime{'-gpu[cuda,cudnn]' if _CUDA_WHEEL else ''}>=1.28'"
ONE_RUNTIME = "pip uninstall -y onnxruntime onnxruntime-gpu && " + RUNTIME
DRIVER = "update the NVIDIA driver (CUDA 13 needs 580 or newer)"
# Limits in MiB, below which the report warns.
LITTLE_DISK, LITTLE_MEMORY = 10 << 10, 4 << 10

_PACKAGES = (
    *("torch", "torchvision", "lightning-fabric", "onnx", "onnxscript", "onnxruntime"),
    *("onnxruntime-gpu", "numpy", "pillow", "scikit-learn", "matplotlib", "segment-anything"),
)
# CPU flag of Linux -> name of the instruction set.
_BF16 = {"avx512_bf16": "AVX512-BF16", "amx_bf16": "AMX-BF16", "bf16": "BF16"}


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        area: machine, gpu, training, onnx or model.
        name: the part that was examined.
        value: the value seen.
        status: `ok`; `note` if it may matter; `bad` if it keeps `area` from working.
        fix: the command or the step that fixes it; empty if there is nothing to fix.
    """

    area: str
    name: str
    value: str
    status: Status = "ok"
    fix: str = ""


@dataclass(frozen=True)
class Examination:
    """All findings, in the order of the report."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether training, running ONNX models and the model file all work."""
        return all(finding.status != "bad" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        return {"ok": self.ok, "findings": [asdict(finding) for finding in self.findings]}


def examine(model: Path | None = None) -> Examination:
    """Return findings on everything that dlcv needs, and on a model if one is given.

    Args:
        model: an `.onnx` file, or a run folder that holds one.
    """
    driver = driver_obstacle()
    gpus = _gpus() if driver is None else []
    version, runtime = _installed("torch"), ask("onnxruntime")
    torch = ask("torch") if version else {}
    findings = [*_machine(), *_gpu_findings(driver, gpus)]
    # A container may have the driver without nvidia-smi. GPUs that the user hid are not missing.
    has_gpu = driver is None and not _hidden() and bool(gpus or torch.get("gpus"))
    findings += _training(version, torch, has_gpu)
    findings += _onnx(runtime, torch, has_gpu)
    if model is not None:
        file = RunFolder(model).onnx if model.is_dir() else model
        findings += _model(ask("model", str(file)), file)
    return Examination(tuple(findings))


def _hidden() -> bool:
    """Return whether the environment hides every GPU."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1"}


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _machine() -> Iterator[Finding]:
    yield Finding("machine", "dlcv", f"{__version__}, Python {platform.python_version()}")
    yield Finding("machine", "system", platform.platform())
    instructions = ", ".join(_bf16_instructions()) or "none for bf16"
    yield Finding("machine", "cores", f"{usable_cores()} usable; {instructions}")
    total, free = _memory_mb()
    if total:
        short = free < LITTLE_MEMORY
        yield Finding(
            "machine",
            "memory",
            f"{free / 1024:.1f} of {total / 1024:.1f} GiB free",
            "note" if short else "ok",
            "close other programs, or choose a smaller --batch-size" if short else "",
        )
    disk = shutil.disk_usage(Path.cwd()).free >> 20
    full = disk < LITTLE_DISK
    yield Finding(
        "machine",
        "disk",
        f"{disk / 1024:.1f} GiB free in {Path.cwd()}",
        "note" if full else "ok",
        "free some space: each checkpoint of a run takes up to several hundred MB" if full else "",
    )
    versions = {name: _installed(name) for name in _PACKAGES}
    listed = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    yield Finding("machine", "packages", listed)


def _bf16_instructions() -> list[str]:
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return []
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "").split()
    return [name for flag, name in _BF16.items() if flag in flags]


def _memory_mb() -> tuple[int, int]:
    info = Path("/proc/meminfo")
    if not info.is_file():
        return 0, 0
    fields = dict(line.split(":", 1) for line in info.read_text(encoding="ascii").splitlines())
    total, free = (int(fields[name].split()[0]) >> 10 for name in ("MemTotal", "MemAvailable"))
    return total, free


def _gpus() -> list[str]:
    query = "--query-gpu=name,driver_version,memory.total"
    try:
        done = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def _gpu_findings(driver: str | None, gpus: list[str]) -> Iterator[Finding]:
    if driver is not None:
        yield Finding("gpu", "driver", f"{driver}; everything runs on the CPU", "note")
        return
    if not gpus:
        yield Finding(
            "gpu", "driver", "installed, but nvidia-smi lists no GPU", "note", "run nvidia-smi"
        )
    if _hidden():
        yield Finding(
            "gpu",
            "CUDA_VISIBLE_DEVICES",
            "hides every GPU: everything runs on the CPU",
            "note",
            "unset CUDA_VISIBLE_DEVICES",
        )
    for index, line in enumerate(gpus):
        yield Finding("gpu", f"GPU {index}", line)


def _training(version: str | None, probe: dict[str, Any], has_gpu: bool) -> Iterator[Finding]:
    if version is None:
        yield Finding(
            "training", "torch", "not installed: only ONNX models can be run", "note", TRAIN
        )
        return
    if "error" in probe:
        wrong = f"torch {version} does not work: {probe['error']}"
        yield Finding("training", "torch", wrong, "bad", TORCH)
        return
    cuda = "no CUDA"
    if probe["cuda"]:
        cuda = f"CUDA {probe['cuda']}, cuDNN {_cudnn(probe['cudnn'])}"
    about = f"{probe['torch']} with {cuda}, torchvision {probe['torchvision']}"
    yield Finding("training", "torch", about)
    if probe["cuda_available"]:
        bad = not probe.get("computes")
        state = "a test computation failed" if bad else "a test computation works"
        yield Finding(
            "training", "on the GPU", state, "bad" if bad else "ok", DRIVER if bad else ""
        )
    elif has_gpu:
        yield Finding(
            "training",
            "on the GPU",
            f"torch does not see it ({cuda})",
            "bad",
            DRIVER if probe["cuda"] else TORCH,
        )
    yield Finding("training", "precision", f"{probe['precision']}: {probe['precision_reason']}")
    for package in ("lightning-fabric", "onnx", "onnxscript", "matplotlib"):
        if _installed(package) is None:
            yield Finding("training", package, "not installed", "bad", TRAIN)


def _cudnn(number: int) -> str:
    """Return cuDNN's version as text, from its version number."""
    major, rest = divmod(number, 10_000 if number >= 90_000 else 1_000)
    return f"{major}.{rest // 100}.{rest % 100}"


def _onnx(probe: dict[str, Any], torch: dict[str, Any], has_gpu: bool) -> Iterator[Finding]:
    wheels = [name for name in ("onnxruntime", "onnxruntime-gpu") if _installed(name)]
    if len(wheels) == 2:
        yield Finding(
            "onnx",
            "wheels",
            "onnxruntime and onnxruntime-gpu are both installed, and overwrite each other's files",
            "bad",
            ONE_RUNTIME if sys.platform != "darwin" else "pip uninstall -y onnxruntime-gpu",
        )
    if not wheels:
        yield Finding("onnx", "onnxruntime", "not installed", "bad", RUNTIME)
        return
    if "error" in probe:
        wrong = f"does not work: {probe['error']}"
        yield Finding("onnx", "onnxruntime", wrong, "bad", ONE_RUNTIME)
        return
    built = ", built for the CPU only"
    if probe["cuda"]:
        cudnn = f" and cuDNN {probe['cudnn']}" if probe["cudnn"] else ""
        built = f", built for CUDA {probe['cuda']}{cudnn}"
    yield Finding("onnx", "onnxruntime", f"{wheels[0]} {probe['version']}{built}")
    yield from _libraries(probe, torch, has_gpu)
    sessions = {provider: ask("session", provider) for provider in probe["providers"]}
    for provider, result in sessions.items():
        yield _session(provider, result, has_gpu)


def _libraries(probe: dict[str, Any], torch: dict[str, Any], has_gpu: bool) -> Iterator[Finding]:
    if not probe["cuda"]:
        if has_gpu:
            yield Finding("onnx", "CUDA", "this build cannot use the GPU", "bad", ONE_RUNTIME)
        return
    theirs = torch.get("cuda")
    if theirs and theirs.split(".")[0] != probe["cuda"].split(".")[0]:
        yield Finding(
            "onnx",
            "CUDA",
            f"onnxruntime is built for CUDA {probe['cuda']} and torch for {theirs}: in the same "
            "process, only one of them finds its libraries",
            "bad" if has_gpu else "note",
            "pip install 'torch>=2.11' 'onnxruntime-gpu[cuda,cudnn]>=1.28'",
        )
    if probe["missing_libraries"] is None:
        return
    # The driver's own library comes with the driver, not with a package.
    absent = [name for name in probe["missing_libraries"] if not name.startswith("libcuda.")]
    if absent:
        yield Finding(
            "onnx",
            "libraries",
            f"missing for CUDA: {', '.join(absent)}",
            "bad" if has_gpu else "note",
            RUNTIME,
        )
    else:
        yield Finding("onnx", "libraries", "CUDA has all that it needs")


def _session(provider: str, probe: dict[str, Any], has_gpu: bool) -> Finding:
    name = f"session on {provider}"
    if "error" not in probe:
        return Finding("onnx", name, "a test model runs")
    if provider == "cpu":
        return Finding("onnx", name, probe["error"], "bad", ONE_RUNTIME)
    if provider == "cuda" and has_gpu:
        return Finding(
            "onnx", name, probe["error"], "bad", f"{RUNTIME}; if it is installed, {DRIVER}"
        )
    return Finding("onnx", name, probe["error"], "note")


def _model(probe: dict[str, Any], path: Path) -> Iterator[Finding]:
    if "error" in probe:
        yield Finding("model", str(path), probe["error"], "bad", probe.get("fix", ""))
        return
    size = f"{os.path.getsize(path) / 2**20:.1f} MiB"
    if "foreign" in probe:
        yield Finding("model", path.name, f"{size}; {probe['foreign']}", "note", probe["fix"])
    else:
        classes = f", {probe['classes']} classes" if "classes" in probe else ""
        about = f"{probe['model']} ({probe['task']}{classes})"
        yield Finding("model", path.name, f"{about}, {size}")
    nodes = ", ".join(f"{provider} {count}" for provider, count in probe["nodes"].items())
    yield Finding("model", "nodes", f"{nodes} ({probe['provider_reason']})")
