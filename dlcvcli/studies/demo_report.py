"""What the demo shows of itself: its figures and its page."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dlcvcli.data.segmentation import SegmentationSet
from dlcvcli.figures.masks import Row, side_by_side
from dlcvcli.figures.style import save
from dlcvcli.palette import ClassSet
from dlcvcli.runs import find_model
from dlcvcli.runtime.clock import StageClock
from dlcvcli.studies.demo_folder import DemoFolder
from dlcvcli.studies.pages import write_page
from dlcvcli.tasks.segmentation.load import load_predictor


@dataclass
class Step:
    """One step of the road: what it is called, the command that does it, how long it took."""

    title: str
    command: str
    seconds: float = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Take the time of what happens inside the `with`."""
        began = time.perf_counter()
        yield
        self.seconds = time.perf_counter() - began


def draw(folder: DemoFolder, data: SegmentationSet, shown: tuple[str, ...]) -> None:
    """Draw both backends beside the truth; the run has drawn its own figures."""
    backends = {
        "PyTorch": load_predictor(find_model(folder.run.path), provider="cpu"),
        "ONNX Runtime": load_predictor(find_model(folder.run.onnx), provider="cpu"),
    }
    rows = []
    for index, pair in enumerate(data.pairs):
        if pair.name in shown:
            sample = data.read(index)
            size = sample.mask.shape[0], sample.mask.shape[1]
            masks = {
                title: predictor(sample.image[None], size, StageClock())[0]
                for title, predictor in backends.items()
            }
            rows.append(Row(pair.name, sample.image, sample.mask, masks))
    save(side_by_side(rows, data.classes), folder.figures / "side-by-side.png")


def write_demo_page(
    folder: DemoFolder, classes: ClassSet, steps: list[Step], result: dict[str, Any]
) -> None:
    """Tell on one page what was done and what came of it."""
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
