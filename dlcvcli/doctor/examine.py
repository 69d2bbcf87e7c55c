"""The examination: machine, GPU, training, the ONNX road, and a model file where one is given."""

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
DRIVER = "bring the NVIDIA driver up to date (CUDA 13 needs 580 or newer)"
LITTLE_DISK, LITTLE_MEMORY = 10 << 10, 4 << 10

_PACKAGES = (
    *("torch", "torchvision", "lightning-fabric", "onnx", "onnxscript", "onnxruntime"),
    *("onnxruntime-gpu", "numpy", "pillow", "scikit-learn", "matplotlib", "segment-anything"),
)
# As Linux names them.
_BF16 = {"avx512_bf16": "AVX512-BF16", "amx_bf16": "AMX-BF16", "bf16": "BF16"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        area: machine, gpu, training, onnx or model.
        name: what was looked at.
        value: what was seen.
        status: `ok`; `note`, what is worth knowing; `bad`, what keeps `area` from working.
        mend: the command, or the step, that mends it; empty where there is nothing to mend.
    """

    area: str
    name: str
    value: str
    status: Status = "ok"
    mend: str = ""


@dataclass(frozen=True)
class Examination:
    """All findings, in the order of a report."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing keeps the ONNX road, training or the model from working."""
        return all(finding.status != "bad" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        return {"ok": self.ok, "findings": [asdict(finding) for finding in self.findings]}


def examine(model: Path | None = None) -> Examination:
    """Look at everything that dlcv needs, and at a model where one is given.

    Args:
        model: an `.onnx` file, or a run folder that holds one.
    """
    driver = driver_obstacle()
    listed = _gpus() if driver is None else []
    version, runtime = _installed("torch"), ask("onnxruntime")
    torch = ask("torch") if version else {}
    found = [*_machine(), *_gpu_findings(driver, listed)]
    # A container may have the driver without nvidia-smi; hidden GPUs are nobody's fault.
    has_gpu = driver is None and not _hidden() and bool(listed or torch.get("gpus"))
    found += _training(version, torch, has_gpu)
    found += _onnx(runtime, torch, has_gpu)
    if model is not None:
        file = RunFolder(model).onnx if model.is_dir() else model
        found += _model(ask("model", str(file)), file)
    return Examination(tuple(found))


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
            "end other programs, or choose a smaller --batch-size" if short else "",
        )
    disk = shutil.disk_usage(Path.cwd()).free >> 20
    full = disk < LITTLE_DISK
    yield Finding(
        "machine",
        "disk",
        f"{disk / 1024:.1f} GiB free in {Path.cwd()}",
        "note" if full else "ok",
        "make room: a run keeps checkpoints of up to some hundred MB each" if full else "",
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
            "gpu", "driver", "found, but nvidia-smi lists no GPU", "note", "run nvidia-smi"
        )
    if _hidden():
        yield Finding(
            "gpu",
            "CUDA_VISIBLE_DEVICES",
            "hides every GPU; everything runs on the CPU",
            "note",
            "unset CUDA_VISIBLE_DEVICES",
        )
    for index, line in enumerate(gpus):
        yield Finding("gpu", f"GPU {index}", line)


def _training(version: str | None, found: dict[str, Any], has_gpu: bool) -> Iterator[Finding]:
    if version is None:
        yield Finding("training", "torch", "not installed: the ONNX road alone", "note", TRAIN)
        return
    if "error" in found:
        wrong = f"torch {version} does not work: {found['error']}"
        yield Finding("training", "torch", wrong, "bad", TORCH)
        return
    cuda = "no CUDA"
    if found["cuda"]:
        cuda = f"CUDA {found['cuda']}, cuDNN {_cudnn(found['cudnn'])}"
    about = f"{found['torch']} with {cuda}, torchvision {found['torchvision']}"
    yield Finding("training", "torch", about)
    if found["cuda_available"]:
        bad = not found.get("computes")
        says = "does not compute" if bad else "computes"
        yield Finding("training", "on the GPU", says, "bad" if bad else "ok", DRIVER if bad else "")
    elif has_gpu:
        yield Finding(
            "training",
            "on the GPU",
            f"torch does not see it ({cuda})",
            "bad",
            DRIVER if found["cuda"] else TORCH,
        )
    yield Finding("training", "precision", f"{found['precision']}: {found['precision_reason']}")
    for package in ("lightning-fabric", "onnx", "onnxscript", "matplotlib"):
        if _installed(package) is None:
            yield Finding("training", package, "not installed", "bad", TRAIN)


def _cudnn(number: int) -> str:
    """Return cuDNN's version as it is written, from the number that it gives itself."""
    major, rest = divmod(number, 10_000 if number >= 90_000 else 1_000)
    return f"{major}.{rest // 100}.{rest % 100}"


def _onnx(found: dict[str, Any], torch: dict[str, Any], has_gpu: bool) -> Iterator[Finding]:
    wheels = [name for name in ("onnxruntime", "onnxruntime-gpu") if _installed(name)]
    if len(wheels) == 2:
        yield Finding(
            "onnx",
            "wheels",
            "onnxruntime and onnxruntime-gpu are both installed, in one folder: the last one wins",
            "bad",
            ONE_RUNTIME if sys.platform != "darwin" else "pip uninstall -y onnxruntime-gpu",
        )
    if not wheels:
        yield Finding("onnx", "onnxruntime", "not installed", "bad", RUNTIME)
        return
    if "error" in found:
        wrong = f"does not work: {found['error']}"
        yield Finding("onnx", "onnxruntime", wrong, "bad", ONE_RUNTIME)
        return
    built = ", built for the CPU only"
    if found["cuda"]:
        cudnn = f" and cuDNN {found['cudnn']}" if found["cudnn"] else ""
        built = f", built for CUDA {found['cuda']}{cudnn}"
    yield Finding("onnx", "onnxruntime", f"{wheels[0]} {found['version']}{built}")
    yield from _libraries(found, torch, has_gpu)
    sessions = {provider: ask("session", provider) for provider in found["providers"]}
    for provider, result in sessions.items():
        yield _session(provider, result, has_gpu)


def _libraries(found: dict[str, Any], torch: dict[str, Any], has_gpu: bool) -> Iterator[Finding]:
    if not found["cuda"]:
        if has_gpu:
            yield Finding(
                "onnx", "CUDA", "there is a GPU, and this build cannot use it", "bad", ONE_RUNTIME
            )
        return
    theirs = torch.get("cuda")
    if theirs and theirs.split(".")[0] != found["cuda"].split(".")[0]:
        yield Finding(
            "onnx",
            "CUDA",
            f"onnxruntime is built for CUDA {found['cuda']} and torch for {theirs}: in one process "
            "only one of them finds its libraries",
            "bad" if has_gpu else "note",
            "pip install 'torch>=2.11' 'onnxruntime-gpu[cuda,cudnn]>=1.28'",
        )
    if found["missing_libraries"] is None:
        return
    # The driver's own library comes with the driver, not with a package.
    absent = [name for name in found["missing_libraries"] if not name.startswith("libcuda.")]
    if absent:
        yield Finding(
            "onnx",
            "libraries",
            f"missing for CUDA: {', '.join(absent)}",
            "bad" if has_gpu else "note",
            RUNTIME,
        )
    else:
        yield Finding("onnx", "libraries", "all that CUDA needs are there")


def _session(provider: str, found: dict[str, Any], has_gpu: bool) -> Finding:
    name = f"session on {provider}"
    if "error" not in found:
        return Finding("onnx", name, "one node runs")
    if provider == "cpu":
        return Finding("onnx", name, found["error"], "bad", ONE_RUNTIME)
    if provider == "cuda" and has_gpu:
        return Finding("onnx", name, found["error"], "bad", f"{RUNTIME}; if it is there, {DRIVER}")
    return Finding("onnx", name, found["error"], "note")


def _model(found: dict[str, Any], path: Path) -> Iterator[Finding]:
    if "error" in found:
        yield Finding("model", str(path), found["error"], "bad", found.get("mend", ""))
        return
    size = f"{os.path.getsize(path) / 2**20:.1f} MiB"
    if "foreign" in found:
        yield Finding("model", path.name, f"{size}; {found['foreign']}", "note", found["mend"])
    else:
        classes = f", {found['classes']} classes" if "classes" in found else ""
        about = f"{found['model']} ({found['task']}{classes})"
        yield Finding("model", path.name, f"{about}, {size}")
    nodes = ", ".join(f"{provider} {count}" for provider, count in found["nodes"].items())
    yield Finding("model", "nodes", f"{nodes} ({found['provider_reason']})")
