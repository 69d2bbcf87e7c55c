"""Compare dlcv's recipe `camvid` with a peer on drives that training never saw.

    python benchmarks/left_out_drives.py --data CAMVID --work DIR --steps N --json FILE
        [--seeds 0 1 2] [--drives 0001TP ...] [--only dlcv|smp] [--collect]
        [--shared KEY=VALUE]... [--set KEY=VALUE]...

CamVid's training and validation images come from three drives, named by the start of the file
name. Their images are pooled; each drive in turn is left out: both contenders of `peer_training.py`
train on the other two for N steps and are scored on it once, after the last step. DIR keeps the
folds (folders of links) and the result of every run, so that a call after an interruption goes on;
use another DIR for other settings. `--collect` writes what is there without training.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

from common import machine

CONTENDERS = ("dlcv", "smp")


def make_folds(data: Path, folds: Path) -> list[str]:
    """Link a CamVid folder's images into one data folder per drive, and return the drives.

    In FOLDS/DRIVE the images of the drive are the split `val`, all others the split `train`.
    """
    images = sorted(path for split in ("train", "val") for path in (data / split).iterdir())
    drives = sorted({drive_of(path) for path in images})
    for drive, image in product(drives, images):
        split = "val" if drive_of(image) == drive else "train"
        annotation = image.parent.with_name(f"{image.parent.name}annot") / f"{image.stem}.png"
        for folder, file in ((split, image), (f"{split}annot", annotation)):
            link = folds / drive / folder / file.name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(file.resolve())
    return drives


def drive_of(image: Path) -> str:
    """Return the drive of an image, e.g. 0001TP of 0001TP_006690.jpg."""
    return image.name.partition("_")[0]


def run(options: argparse.Namespace, drive: str, seed: int, contender: str) -> None:
    """Train and score one contender, unless its result is there."""
    out = _folder(options, drive, seed)
    if (out / f"{contender}.json").exists():
        return
    # What an interrupted call left.
    shutil.rmtree(out / contender, ignore_errors=True)
    script = Path(__file__).with_name("peer_training.py")
    command = [sys.executable, script, "--data", options.work / "folds" / drive, "--out", out]
    command += ["--only", contender, "--steps", options.steps, "--seed", seed]
    for flag, values in (("--shared", options.shared), ("--set", options.set)):
        for setting in values:
            command += [flag, setting]
    subprocess.run([str(part) for part in command], check=True)


def _folder(options: argparse.Namespace, drive: str, seed: int) -> Path:
    return Path(options.work) / f"{drive}-steps{options.steps}-seed{seed}"


def collect(options: argparse.Namespace, drives: list[str]) -> dict[str, Any]:
    """Return the mIoU of each seed: of the mean over the drives (`figures`), and by drive.

    A contender is in it when all its runs are done.
    """
    figures, by_drive = {}, {}
    for contender in options.only or CONTENDERS:
        files = [
            [_folder(options, drive, seed) / f"{contender}.json" for seed in options.seeds]
            for drive in drives
        ]
        if all(file.exists() for row in files for file in row):
            scores = [[json.loads(file.read_text())["miou"][-1] for file in row] for row in files]
            figures[contender] = _summary(
                [statistics.fmean(seed) for seed in zip(*scores, strict=True)]
            )
            by_drive[contender] = dict(zip(drives, map(_summary, scores), strict=True))
    return {"figures": figures, "drives": by_drive}


def _summary(seeds: list[float]) -> dict[str, Any]:
    return {
        "mean": statistics.fmean(seeds),
        "deviation": statistics.stdev(seeds) if len(seeds) > 1 else 0.0,
        "median": statistics.median(seeds),
        "lowest": min(seeds),
        "highest": max(seeds),
        "rounds": seeds,
    }


def main() -> None:
    """Run what is missing, seed by seed, and write the scores after every run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--drives", nargs="+", help="leave out only these")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS)
    parser.add_argument("--shared", action="append", default=[], help="KEY=VALUE, of both")
    parser.add_argument("--set", action="append", default=[], help="a setting of dlcv: KEY=VALUE")
    parser.add_argument("--collect", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    drives = make_folds(options.data, options.work / "folds")
    drives = options.drives or drives
    runs = product(options.seeds, drives, options.only or CONTENDERS)
    for seed, drive, contender in runs if not options.collect else ():
        run(options, drive, seed, contender)
        _write(options, drives)
    _write(options, drives)


def _write(options: argparse.Namespace, drives: list[str]) -> None:
    result = {
        "title": "CamVid, mean of the left-out drives",
        "unit": "mIoU",
        "command": f"python benchmarks/{Path(__file__).name}",
        "options": {
            "steps": options.steps,
            "seeds": str(options.seeds),
            "shared": str(options.shared),
            "set": str(options.set),
        },
        "machine": machine(),
        **collect(options, drives),
    }
    text = json.dumps(result, indent=2) + "\n"
    if options.json:
        options.json.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
