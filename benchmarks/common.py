"""What every benchmark shares: one process per contender, interleaved rounds, medians, the machine.

A script defines contenders as functions that return one figure, and calls `main`. Two runtimes in
one process slow each other down by up to a factor of two, so each contender of each round runs in a
process of its own; rounds are interleaved, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

Contender = Callable[[argparse.Namespace], float]

_PACKAGES = ("torch", "torchvision", "onnxruntime-gpu", "onnxruntime", "numpy", "lightning-fabric")


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
        flags = info.read_text()
        extra = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
        name += f" ({', '.join(extra)})"
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": name,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
    }


def main(
    title: str,
    unit: str,
    contenders: dict[str, Contender],
    arguments: Callable[[argparse.ArgumentParser], None],
    prepare: Callable[[argparse.Namespace], None] = lambda options: None,
) -> None:
    """Run every contender in interleaved rounds, and print a table and one JSON object.

    Args:
        title: what is measured.
        unit: of the figures.
        contenders: name -> function; the first is the one that the others are compared with.
        arguments: adds the script's own arguments.
        prepare: called once before the first round.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--rounds", type=int, default=3)
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
        "options": {k: str(v) for k, v in vars(options).items() if v is not None},
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
    _table(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def _child(name: str) -> float:
    command = [sys.executable, *sys.argv, "--contender", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURE ")]
    return float(lines[-1].split()[1])


def _table(result: dict[str, Any]) -> None:
    figures = result["figures"]
    first = next(iter(figures.values()))["median"]
    print(f"\n{result['title']}\n")
    print(f"| contender | {result['unit']}, median | lowest to highest | / the first |")
    print("|---|---|---|---|")
    for name, entry in figures.items():
        spread = f"{entry['lowest']:.4g} to {entry['highest']:.4g}"
        print(f"| {name} | {entry['median']:.4g} | {spread} | {entry['median'] / first:.2f} |")
