"""The demo: made land cover, a small model, its export, and both backends side by side."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlcvcli.config.load import resolve
from dlcvcli.config.schema import TrainSegSettings
from dlcvcli.data.segmentation import SegmentationSet
from dlcvcli.data.synthetic import make_landcover
from dlcvcli.engine.hooks import Hooks
from dlcvcli.errors import UsageError
from dlcvcli.exporting.export import export
from dlcvcli.figures.curves import curves
from dlcvcli.figures.masks import Row, side_by_side, snapshot_grid
from dlcvcli.figures.style import save
from dlcvcli.files import make_folder, write_atomically, write_json
from dlcvcli.inference.compare import EvalRequest, compare
from dlcvcli.inference.load import load_predictor
from dlcvcli.inference.predictor import StageClock
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.training.data import check_training_data, resolve_settings
from dlcvcli.training.run import RunRequest, train

Say = Callable[[str], None]

TRAIN_TILES, VALIDATION_TILES, SIDE = 96, 24, 128
SHOWN = ("0000", "0001", "0002")
_MARK = ".dlcv-demo"


@dataclass(frozen=True)
class DemoFolder:
    """Where the demo puts what it makes."""

    path: Path

    @property
    def data(self) -> Path:
        """The made set."""
        return self.path / "data"

    @property
    def run(self) -> RunFolder:
        """The training run."""
        return RunFolder(self.path / "run")

    @property
    def figures(self) -> Path:
        """The figures."""
        return self.path / "figures"

    @property
    def evaluation(self) -> Path:
        """The JSON of `dlcv eval --onnx --compare`."""
        return self.path / "eval.json"

    @property
    def commands(self) -> Path:
        """The commands that do the same again."""
        return self.path / "commands.sh"

    def begin(self) -> None:
        """Make the folder, replacing what an earlier demo left and nothing else.

        Raises:
            UsageError: it is a file, or holds something and was not made by a demo.
        """
        make_folder(self.path)
        if not (self.path / _MARK).is_file() and any(self.path.iterdir()):
            raise UsageError(
                f"{self.path} is not empty and no demo made it", "choose another --out"
            )
        for folder in (self.data, self.run.path, self.figures):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.evaluation, self.commands):
            file.unlink(missing_ok=True)
        (self.path / _MARK).touch()


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
    write_atomically(folder.commands, commands())
    say(f"1/4 making {TRAIN_TILES} + {VALIDATION_TILES} tiles of land cover")
    make_landcover(
        folder.data, train=TRAIN_TILES, validation=VALIDATION_TILES, size=(SIDE, SIDE), seed=0
    )
    say("2/4 training a small segmenter")
    settings = resolve(
        TrainSegSettings,
        recipe="demo",
        flags={"data.path": str(folder.data), "snapshot.images": list(SHOWN)},
    )
    data = check_training_data(settings.data, settings.train.seed)
    settings = resolve_settings(settings, data.train)
    train(RunRequest(folder.run, settings, data), hooks=hooks, say=say)
    say("3/4 exporting to ONNX and certifying")
    export(find_model(folder.run.path), folder.run.onnx, say=say)
    say("4/4 evaluating PyTorch and ONNX Runtime side by side")
    ref = find_model(folder.run.path)
    result = compare(ref.path, folder.run.onnx, EvalRequest(folder.data, ()))
    write_json(folder.evaluation, result)
    _draw(folder, data.val)
    return result


def commands() -> str:
    """Return a shell script that does the same again, step by step, into another folder."""
    tiles = f"--train {TRAIN_TILES} --validation {VALIDATION_TILES} --size {SIDE}x{SIDE} --seed 0"
    shown = " ".join(f"--snapshot {name}" for name in SHOWN)
    return f"""#!/bin/sh
# The demo again, step by step: sh commands.sh [FOLDER]
set -eu
out="${{1:-dlcv-demo-again}}"
dlcv data make landcover "$out/data" {tiles}
dlcv train seg --recipe demo --data "$out/data" {shown} --out "$out/run"
dlcv export "$out/run"
dlcv eval "$out/run" --data "$out/data" --onnx --compare --json "$out/eval.json"
dlcv predict "$out/run/model.onnx" "$out/data/validation/0000_sat.jpg" --out "$out/masks"
"""


def _draw(folder: DemoFolder, data: SegmentationSet) -> None:
    """Draw the curves, the snapshots, and both backends beside the truth."""
    classes = data.classes
    save(curves({"demo": folder.run}), folder.figures / "curves.png")
    save(snapshot_grid(folder.run, classes), folder.figures / "snapshots.png")
    backends = {
        "PyTorch": load_predictor(find_model(folder.run.path), provider="cpu"),
        "ONNX Runtime": load_predictor(find_model(folder.run.onnx), provider="cpu"),
    }
    rows = []
    for index, pair in enumerate(data.pairs):
        if pair.name in SHOWN:
            sample = data.read(index)
            size = sample.mask.shape[0], sample.mask.shape[1]
            masks = {
                title: predictor(sample.image[None], size, StageClock())[0]
                for title, predictor in backends.items()
            }
            rows.append(Row(pair.name, sample.image, {"truth": sample.mask, **masks}))
    save(side_by_side(rows, classes), folder.figures / "side-by-side.png")
