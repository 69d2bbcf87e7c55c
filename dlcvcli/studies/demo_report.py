"""The figures and the page of the demo."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dlcvcli.data.masks import read_written_mask
from dlcvcli.data.segmentation import open_split
from dlcvcli.figures.masks import Row, side_by_side
from dlcvcli.figures.style import save
from dlcvcli.inference.prediction import PredictRequest
from dlcvcli.reporter import Reporter, Silent
from dlcvcli.runs import ModelRef, find_model
from dlcvcli.studies.demo_folder import DemoFolder
from dlcvcli.studies.pages import write_page
from dlcvcli.tasks.spec import TaskSpec


@dataclass
class Step:
    """One step of the workflow.

    Attributes:
        title: what it does.
        command: the command that does the same.
        seconds: how long it took.
    """

    title: str
    command: str
    seconds: float = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Take the time from entering to leaving the context."""
        started = time.perf_counter()
        yield
        self.seconds = time.perf_counter() - started


def predict(
    spec: TaskSpec, ref: ModelRef, images: list[Path], out: Path, reporter: Reporter
) -> None:
    """Predict images on the CPU, as `dlcv predict` does, and report each result."""
    assert spec.predict is not None
    assert spec.flags.predict is not None
    request = PredictRequest(ref, list(map(str, images)), (), out, "cpu", spec.flags.predict())
    for line in spec.predict(request, reporter):
        reporter.say(line)


def draw(folder: DemoFolder, spec: TaskSpec, shown: tuple[str, ...]) -> None:
    """Draw the masks of both backends beside the ground truth; training drew the other figures."""
    data = open_split(folder.data, "val")
    chosen = {index: pair for index, pair in enumerate(data.pairs) if pair.name in shown}
    models = {"PyTorch": folder.run.path, "ONNX Runtime": folder.run.onnx}
    with TemporaryDirectory(prefix="dlcv-demo-") as name:
        for title, model in models.items():
            images = [pair.image for pair in chosen.values()]
            predict(spec, find_model(model), images, Path(name) / title, Silent())
        rows = []
        for index, pair in chosen.items():
            sample = data.read(index)
            masks = {
                title: read_written_mask(Path(name) / title / f"{pair.image.stem}.png")
                for title in models
            }
            rows.append(Row(pair.name, sample.image, sample.mask, masks))
    save(side_by_side(rows, data.classes), folder.figures / "side-by-side.png")


def write_demo_page(folder: DemoFolder, steps: list[Step], result: dict[str, Any]) -> None:
    """Write the page: the steps and their results."""
    classes = open_split(folder.data, "val").classes
    environment = json.loads(folder.run.environment.read_text(encoding="utf-8"))
    certificate = json.loads(folder.run.certificate.read_text(encoding="utf-8"))
    agreement = result["compare"]["argmax_agreement"]
    differing = "No pixel of the validation set differs."
    if agreement < 1:
        differing = f"{1 - agreement:.4%} of the validation set's pixels differ."
    write_page(
        folder.page,
        "demo.html.j2",
        {
            "date": time.strftime("%d %B %Y"),
            "machine": {
                "device": environment["device"],
                "cores": environment["cores"],
                "python": environment["python"],
                "torch": environment["versions"]["torch"],
            },
            "steps": steps,
            "results": json.loads(folder.run.results.read_text(encoding="utf-8")),
            "result": result,
            "both": result["compare"],
            "certificate": certificate,
            "colours": dict(zip(classes.names, classes.colours, strict=True)),
            "differing": differing,
            "figures": {
                "curves": folder.figures / "curves.png",
                "snapshots": folder.figures / "snapshots.png",
                "side_by_side": folder.figures / "side-by-side.png",
            },
        },
    )
