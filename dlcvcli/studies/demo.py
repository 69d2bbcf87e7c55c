"""The demo: made land cover, a small model, its export, and both backends side by side."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from dlcvcli.config.load import resolve
from dlcvcli.data.synthetic import make_landcover
from dlcvcli.engine.hooks import Hooks
from dlcvcli.exporting.export import export
from dlcvcli.files import write_atomically, write_json
from dlcvcli.inference.compare import EvalRequest, compare
from dlcvcli.runs import find_model
from dlcvcli.studies.demo_folder import DemoFolder
from dlcvcli.studies.demo_report import Step, draw, write_demo_page
from dlcvcli.tasks.segmentation.data import check_training_data, resolve_settings
from dlcvcli.tasks.segmentation.load import load_predictor
from dlcvcli.tasks.segmentation.predict import predict as run_predict
from dlcvcli.tasks.segmentation.settings import TrainSegSettings
from dlcvcli.training.run import RunRequest, train

Say = Callable[[str], None]

TRAIN_TILES, VALIDATION_TILES, SIDE = 96, 24, 128
SHOWN = ("0000", "0001", "0002")


def demo(folder: DemoFolder, *, hooks: Hooks | None = None, say: Say) -> dict[str, Any]:
    """Run the whole road once, in minutes on a CPU.

    Args:
        folder: where everything goes.
        hooks: of the training, e.g. a live view.
        say: given each line of the log.

    Returns:
        The result of the evaluation, as `dlcv eval --compare` gives it.
    """
    folder.begin()
    write_atomically(folder.commands, script())
    shown_commands = commands(shlex.quote(str(folder.path)))
    steps = [Step(title, command) for title, command in zip(_TITLES, shown_commands, strict=True)]

    def begin(number: int) -> AbstractContextManager[None]:
        say(f"{number}/{len(steps)} {steps[number - 1].title}")
        return steps[number - 1].timed()

    with begin(1):
        make_landcover(
            folder.data, train=TRAIN_TILES, validation=VALIDATION_TILES, size=(SIDE, SIDE), seed=0
        )
    with begin(2):
        settings = resolve(
            TrainSegSettings,
            recipe="demo",
            flags={"data.path": str(folder.data), "snapshot.images": list(SHOWN)},
        )
        data = check_training_data(settings.data, settings.train.seed)
        settings = resolve_settings(settings, data.train, data.counted)
        train(RunRequest(folder.run, settings, data), hooks=hooks, say=say)
    with begin(3):
        export(find_model(folder.run.path), folder.run.onnx, say=say)
    with begin(4):
        ref = find_model(folder.run.path)
        result = compare(ref.path, folder.run.onnx, EvalRequest(folder.data, ()))
        write_json(folder.evaluation, result)
    with begin(5):
        predictor = load_predictor(find_model(folder.run.onnx), provider="cpu")
        for done in run_predict(predictor, _photo(folder), folder.masks):
            say(f"mask of {done.image.name}: {done.mask}")
    draw(folder, data.val, SHOWN)
    write_demo_page(folder, data.val.classes, steps, result)
    return result


_TITLES = (
    "make land-cover tiles",
    "train a small segmenter",
    "export to ONNX and certify",
    "evaluate PyTorch and ONNX Runtime side by side",
    "predict",
)


def commands(out: str) -> tuple[str, ...]:
    """Return the command line of each step, with results in the folder `out`."""
    tiles = f"--train {TRAIN_TILES} --validation {VALIDATION_TILES} --size {SIDE}x{SIDE} --seed 0"
    shown = " ".join(f"--snapshot {name}" for name in SHOWN)
    return (
        f"dlcv data make landcover {out}/data {tiles}",
        f"dlcv train seg --recipe demo --data {out}/data {shown} --out {out}/run",
        f"dlcv export {out}/run",
        f"dlcv eval {out}/run --data {out}/data --onnx --compare --json {out}/eval.json",
        f"dlcv predict {out}/run/model.onnx {out}/data/validation/0000_sat.jpg --out {out}/masks",
    )


def script() -> str:
    """Return a shell script that does the same again, step by step, into another folder."""
    lines = [re.sub(r"@out(\S*)", r'"$out\1"', line) for line in commands("@out")]
    head = (
        "#!/bin/sh",
        "# The demo again, step by step: sh commands.sh [FOLDER]",
        "set -eu",
        'out="${1:-dlcv-demo-again}"',
    )
    return "\n".join((*head, *lines)) + "\n"


def _photo(folder: DemoFolder) -> list[Path]:
    return [folder.data / "validation" / f"{SHOWN[0]}_sat.jpg"]
