"""Shared by all benchmarks: one process per contender, interleaved rounds, medians, the machine.

A script defines contenders as functions that return one figure, and calls `main`. Two runtimes in
one process slow each other down by up to a factor of two, so each contender of each round runs in a
process of its own; rounds are interleaved, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dlcvcli import __version__

Contender = Callable[[argparse.Namespace], float]

_PACKAGES = (
    "torch", "torchvision", "onnxruntime-gpu", "onnxruntime", "numpy", "pillow",
    "lightning-fabric", "torchmetrics", "easyfsl",
)  # fmt: skip
# Paths do not belong to what was measured.
_NOT_OPTIONS = ("work", "json", "only", "contender", "model_options")


def machine() -> dict[str, Any]:
    """Return processor, cores, GPU, system and versions of this machine."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        text = info.read_text()
        names = [line for line in text.splitlines() if line.startswith("model name")]
        name = names[0].partition(":")[2].strip() if names else name
        flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in text]
        name += f" ({', '.join(flags)})"
    versions = {"dlcv": __version__}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": name,
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "gpu": _gpu(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": versions,
    }


def _gpu() -> str | None:
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[0] if done.returncode == 0 and done.stdout else None


def installed(package: str, contenders: dict[str, Contender]) -> dict[str, Contender]:
    """Return the contenders that need a package, or print that it is missing and return none."""
    if find_spec(package) is not None:
        return contenders
    print(f"without {', '.join(contenders)}: {package} is not installed", file=sys.stderr)
    return {}


def main(
    title: str,
    unit: str,
    contenders: dict[str, Contender],
    arguments: Callable[[argparse.ArgumentParser], None],
    prepare: Callable[[argparse.Namespace], None] = lambda options: None,
    rounds: int = 3,
) -> None:
    """Run every contender in interleaved rounds, and print a table and one JSON object.

    Args:
        title: what is measured.
        unit: the unit of the figures.
        contenders: name -> function; the others are compared with the first.
        arguments: adds the script's own arguments.
        prepare: called once before the first round.
        rounds: the default number of rounds.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--json", type=Path, help="write the result to this file")
    parser.add_argument("--only", nargs="*", choices=list(contenders), help="these contenders")
    parser.add_argument("--contender", choices=list(contenders), help=argparse.SUPPRESS)
    arguments(parser)
    options = parser.parse_args()
    if options.contender:
        print("FIGURE", contenders[options.contender](options))
        return
    prepare(options)
    names = options.only or list(contenders)
    figures: dict[str, list[float]] = {name: [] for name in names}
    for number in range(options.rounds):
        for name in names:
            figures[name].append(_child(name))
            print(f"round {number + 1}: {name} {figures[name][-1]:.4g} {unit}", file=sys.stderr)
    result = {
        "title": title,
        "unit": unit,
        "command": f"python benchmarks/{Path(sys.argv[0]).name}",
        "options": {
            name: value if isinstance(value, int) else str(value)
            for name, value in vars(options).items()
            if value is not None and name not in _NOT_OPTIONS
        },
        "machine": machine(),
        "figures": {
            name: {
                "median": statistics.median(values),
                "lowest": min(values),
                "highest": max(values),
                "rounds": values,
            }
            for name, values in figures.items()
        },
    }
    print("\n".join(table(result)))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def _child(name: str) -> float:
    command = [sys.executable, *sys.argv, "--contender", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURE ")]
    return float(lines[-1].split()[1])


def table(result: dict[str, Any]) -> list[str]:
    """Return a result as a Markdown table.

    Contenders are compared with the first round by round, as what slows a machine lasts longer than
    a round; the last column is the median of these ratios.
    """
    figures = result["figures"]
    first, first_entry = next(iter(figures.items()))
    lines = [
        f"| {result['title']} | {result['unit']}, median | lowest to highest | of {first} |",
        "|---|---|---|---|",
    ]
    for name, entry in figures.items():
        spread = f"{entry['lowest']:.4g} to {entry['highest']:.4g}"
        pairs = zip(entry["rounds"], first_entry["rounds"], strict=True)
        ratio = statistics.median(own / its for own, its in pairs)
        lines.append(f"| {name} | {entry['median']:.4g} | {spread} | {ratio:.2f} |")
    return lines
