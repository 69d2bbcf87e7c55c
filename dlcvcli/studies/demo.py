"""The demo: synthetic land cover, a small model, its export, and both backends side by side."""

from __future__ import annotations

import re
import shlex
from contextlib import AbstractContextManager
from typing import Any

from dlcvcli.config.load import load_recipe, resolve
from dlcvcli.data.synthetic import make_landcover
from dlcvcli.engine.hooks import Hooks
from dlcvcli.exporting.export import export
from dlcvcli.files import write_atomically, write_json
from dlcvcli.inference.compare import compare
from dlcvcli.inference.evaluation import EvalRequest
from dlcvcli.reporter import Reporter
from dlcvcli.runs import find_model
from dlcvcli.studies.demo_folder import DemoFolder
from dlcvcli.studies.demo_report import Step, draw, predict, write_demo_page
from dlcvcli.tasks.registry import open_subject, task_named
from dlcvcli.tasks.spec import TaskSpec
from dlcvcli.training.run import RunRequest, train

TRAIN_TILES, VALIDATION_TILES, SIDE = 96, 24, 128
SHOWN = ("0000", "0001", "0002")
PHOTO = f"validation/{SHOWN[0]}_sat.jpg"


def demo_task() -> TaskSpec:
    """Return the task of the demo, which its recipe names."""
    return task_named(load_recipe("demo")["task"])


def demo(folder: DemoFolder, *, hooks: Hooks | None = None, reporter: Reporter) -> dict[str, Any]:
    """Run the complete workflow once, in minutes on a CPU.

    Args:
        folder: of everything that is written.
        hooks: of the training, e.g. a live view.
        reporter: receives each line of the log.

    Returns:
        The result of the evaluation, as `dlcv eval --compare` returns it.
    """
    folder.begin()
    write_atomically(folder.commands, script())
    shown_commands = commands(shlex.quote(str(folder.path)))
    steps = [Step(title, command) for title, command in zip(_TITLES, shown_commands, strict=True)]

    def begin(number: int) -> AbstractContextManager[None]:
        reporter.say(f"{number}/{len(steps)} {steps[number - 1].title}")
        return steps[number - 1].timed()

    spec = demo_task()
    with begin(1):
        make_landcover(
            folder.data, train=TRAIN_TILES, validation=VALIDATION_TILES, size=(SIDE, SIDE), seed=0
        )
    with begin(2):
        _train(spec, folder, hooks, reporter)
    with begin(3):
        flags = spec.flags.export
        assert flags is not None
        subject = open_subject(spec, find_model(folder.run.path), flags())
        export(subject, folder.run.onnx, say=reporter.say)
    with begin(4):
        result = _evaluate(spec, folder)
        write_json(folder.evaluation, result)
    with begin(5):
        photo = folder.data / PHOTO
        predict(spec, find_model(folder.run.onnx), [photo], folder.masks, reporter)
    draw(folder, spec, SHOWN)
    write_demo_page(folder, steps, result)
    return result


def _train(spec: TaskSpec, folder: DemoFolder, hooks: Hooks | None, reporter: Reporter) -> None:
    settings = resolve(
        spec.settings(),
        recipe="demo",
        flags={"data.path": str(folder.data), "snapshot.images": list(SHOWN)},
    )
    settings, data = spec.prepare(settings, reporter, known=False)
    request = RunRequest(make_job=spec.job, run=folder.run, settings=settings, data=data)
    train(request, hooks=hooks, say=reporter.say)


def _evaluate(spec: TaskSpec, folder: DemoFolder) -> dict[str, Any]:
    assert spec.evaluator is not None
    assert spec.flags.eval is not None
    ref = find_model(folder.run.path)
    request = EvalRequest(
        ref, folder.data, split="val", provider="auto", batch_size=None, flags=spec.flags.eval()
    )
    return compare(ref.path, folder.run.onnx, request, spec.evaluator())


_TITLES = (
    "make land-cover tiles",
    "train a small segmentation model",
    "export to ONNX and certify",
    "evaluate PyTorch and ONNX Runtime side by side",
    "predict",
)


def commands(out: str) -> tuple[str, ...]:
    """Return the command line of each step, which writes into the folder `out`."""
    tiles = f"--train {TRAIN_TILES} --validation {VALIDATION_TILES} --size {SIDE}x{SIDE} --seed 0"
    shown = " ".join(f"--snapshot {name}" for name in SHOWN)
    return (
        f"dlcv data make landcover {out}/data {tiles}",
        f"dlcv train {demo_task().name} --recipe demo --data {out}/data {shown} --out {out}/run",
        f"dlcv export {out}/run",
        f"dlcv eval {out}/run --data {out}/data --onnx --compare --json {out}/eval.json",
        f"dlcv predict {out}/run/model.onnx {out}/data/{PHOTO} --out {out}/masks",
    )


def script() -> str:
    """Return a shell script that repeats the demo, step by step, in another folder."""
    lines = [re.sub(r"@out(\S*)", r'"$out\1"', line) for line in commands("@out")]
    head = (
        "#!/bin/sh",
        "# The steps of the demo: sh commands.sh [FOLDER]",
        "set -eu",
        'out="${1:-dlcv-demo-again}"',
    )
    return "\n".join((*head, *lines)) + "\n"
