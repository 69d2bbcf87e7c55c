"""The demo: made land cover, a small model, its export, and both backends side by side."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dlcvcli.config.load import resolve
from dlcvcli.config.schema import TrainSegSettings
from dlcvcli.data.segmentation import open_split
from dlcvcli.data.synthetic import make_landcover
from dlcvcli.engine.hooks import Hooks
from dlcvcli.errors import UsageError
from dlcvcli.exporting.export import export
from dlcvcli.figures.curves import curves
from dlcvcli.figures.masks import Row, side_by_side, snapshot_grid
from dlcvcli.figures.style import save
from dlcvcli.inference.compare import EvalRequest, compare, run_dlcv
from dlcvcli.palette import PRESETS
from dlcvcli.runs import RunFolder, find_model, write_atomically, write_json
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
            UsageError: the folder holds something that no demo made.
        """
        if self.path.exists():
            if not (self.path / _MARK).is_file():
                if not self.path.is_dir() or any(self.path.iterdir()):
                    raise UsageError(
                        f"{self.path} exists and no demo made it", "choose another --out"
                    )
            else:
                shutil.rmtree(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
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
    write_atomically(folder.commands, "\n".join(["#!/bin/sh", *commands(folder)]) + "\n")
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
    _draw(folder, data.val.root)
    return result


def commands(folder: DemoFolder) -> list[str]:
    """Return the command lines that repeat the demo, step by step."""
    tiles = f"--train {TRAIN_TILES} --validation {VALIDATION_TILES} --size {SIDE}x{SIDE} --seed 0"
    shown = " ".join(f"--snapshot {name}" for name in SHOWN)
    return [
        f"dlcv data make landcover {folder.data} {tiles}",
        f"dlcv train seg --recipe demo --data {folder.data} {shown} --out {folder.run.path}",
        f"dlcv export {folder.run.path}",
        f"dlcv eval {folder.run.path} --data {folder.data} --onnx --compare --json "
        f"{folder.evaluation}",
        f"dlcv predict {folder.run.onnx} {folder.data}/validation/0000_sat.jpg --out masks",
    ]


def _draw(folder: DemoFolder, root: Path) -> None:
    classes = PRESETS["landcover7"]
    save(curves({"demo": folder.run}), folder.figures / "curves.png")
    save(snapshot_grid(folder.run, classes), folder.figures / "snapshots.png")
    rows = [_row(folder, name) for name in SHOWN]
    save(side_by_side(rows, classes), folder.figures / "side-by-side.png")


def _row(folder: DemoFolder, name: str) -> Row:
    """Return one image with its truth and the masks of both backends."""
    data = open_split(folder.data, "val")
    index = next(i for i, pair in enumerate(data.pairs) if pair.name == name)
    sample = data.read(index)
    masks = {"truth": sample.mask}
    for title, model in (("PyTorch", folder.run.path), ("ONNX Runtime", folder.run.onnx)):
        out = folder.path / "masks" / title.split()[0].lower()
        run_dlcv(
            ["predict", str(model), str(data.pairs[index].image), "--out", str(out), "--no-overlay"]
        )
        with Image.open(out / f"{data.pairs[index].image.stem}.png") as image:
            masks[title] = np.asarray(image)
    return Row(name, sample.image, masks)
