"""The toy task: a network that predicts the brightness of an image."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from dlcvcli.config.schema import ModelSettings, RunSettings
from dlcvcli.config.values import Settings
from dlcvcli.data.fingerprint import fingerprint
from dlcvcli.data.loader import TrainingBatches
from dlcvcli.data.reading import read_bytes, read_rgb
from dlcvcli.data.sampler import BatchPlan
from dlcvcli.data.seen_images import SeenImages, digest_of
from dlcvcli.engine.averaged import AveragedTask
from dlcvcli.engine.checkpoint import load_checkpoint
from dlcvcli.engine.task import Batch, Outcome
from dlcvcli.exporting.certify import ValuesCase, relative_error, synthetic_images
from dlcvcli.exporting.subject import Graph, Subject
from dlcvcli.exporting.tracing import trace_graph
from dlcvcli.inference.evaluation import Evaluator, ResultTable, Row
from dlcvcli.models.averaging import evaluated_weights
from dlcvcli.models.normalise import Normalise
from dlcvcli.outcomes.spec import OpenedData, StudySpec
from dlcvcli.runtime.metadata import IMAGES, ModelCard
from dlcvcli.runtime.session import open_session
from dlcvcli.training.job import Job
from tests.toy_task.spec import SPEC


class ToyDataSettings(Settings):
    path: str = ""


class ToySettings(RunSettings):
    task: Literal["toy"] = "toy"
    data: ToyDataSettings = ToyDataSettings()
    model: ModelSettings = ModelSettings(name="conv4")


class ToyData:
    layout, remarks = "images", ()

    def __init__(self, settings: ToySettings) -> None:
        self.root = Path(settings.data.path)
        self.files = {part: sorted((self.root / part).glob("*")) for part in ("train", "val")}
        digests = {
            part: [digest_of(read_bytes(f)) for f in self.files[part]] for part in self.files
        }
        self.sha256 = {part: fingerprint(("", d) for d in each) for part, each in digests.items()}
        self.seen = SeenImages(frozenset(digests["train"]), tuple(digests["val"]))

    def as_dict(self) -> dict[str, Any]:
        return {"sha256": self.sha256}

    def __getitem__(self, draw: tuple[int, int]) -> dict[str, Tensor]:
        image = torch.from_numpy(read_rgb(self.files["train"][draw[1]]).copy())
        return {"images": image, "answers": image.float().mean() / 255}


class ToyTask(AveragedTask[nn.Sequential]):
    def forward(self, batch: Batch, normaliser: Tensor) -> Outcome:
        error = self.network(batch["images"])[:, 0] - batch["answers"]
        return {"loss": error.square().sum() / normaliser, "log": {}}


def network(checkpoint: dict[str, Any] | None = None) -> nn.Sequential:
    net = nn.Sequential(Normalise(), nn.Flatten(), nn.Linear(3 * 16 * 16, 1))
    if checkpoint is not None:
        net.load_state_dict(evaluated_weights(checkpoint["task"]))
    return net


def scored(model: nn.Module | Path, files: list[Path]) -> tuple[dict[str, Any], Any]:
    images = np.stack([read_rgb(one) for one in files])
    values = predicted(model, images)[:, 0]
    return {"mae": float(np.abs(values - images.mean((1, 2, 3)) / 255).mean())}, values


def predicted(model: nn.Module | Path, images: Any) -> Any:
    if isinstance(model, nn.Module):
        return model(torch.from_numpy(images)).detach().numpy()
    return open_session(model, "cpu").session.run(["value"], {IMAGES: images})[0]


class ToyJob(Job):
    scores = SPEC.scores

    def __init__(self, settings: ToySettings, data: ToyData) -> None:
        self.settings, self.data, self.seen = settings, data, data.seen
        self.model_name, self.weights, self.batch = "conv4", "none", "images"
        self.plan = BatchPlan(len(data.files["train"]), settings.train.batch_size, 0)
        self.steps_per_epoch = self.plan.steps_per_epoch

    def build_task(self, *, fresh: bool) -> ToyTask:
        return ToyTask(network(), self.settings.optim.ema)

    def batches(self, launcher: Any) -> TrainingBatches:
        return TrainingBatches(self.data, self.plan, workers=0)

    def validation(self, launcher: Any) -> Any:
        return lambda task, stop: scored(task.evaluated, self.data.files["val"])[0]

    def score_best(self, run: Any, launcher: Any) -> dict[str, Any]:
        metrics, _ = scored(network(load_checkpoint(run.best)), self.data.files["val"])
        return {"checkpoint": "best.ckpt", "split": "val", **metrics}


class ToyEvaluator(Evaluator):
    predictions = "--values"

    def evaluate(self, request: Any, reporter: Any) -> dict[str, Any]:
        path, onnx = request.ref.path, request.ref.kind == "onnx"
        files = sorted((request.data / request.split).glob("*"))
        metrics, values = scored(path if onnx else network(load_checkpoint(path)), files)
        if request.flags.values is not None:
            np.savetxt(request.flags.values, values, "%.4f")
        how = {"backend": "onnx" if onnx else "torch", "provider": "cpu", "precision": "fp32"}
        return {"model": "conv4", **how, "metrics": metrics, "speed": {"images_per_s": 1.0}}

    def agreement(self, first: Path, second: Path) -> float:
        return float((np.loadtxt(first) == np.loadtxt(second)).mean())

    def table(self, result: dict[str, Any]) -> ResultTable:
        row = Row("mean absolute error", lambda one: f"{one['metrics']['mae']:.4f}")
        return ResultTable("toy", [[row]], "images")


class ToySubject(Subject):
    def __init__(self, request: Any) -> None:
        self.card = ModelCard("toy", "conv4", checkpoint_sha256=request.sha256)
        self.graphs = (Graph((IMAGES,), ("value",), self.trace, self.compare),)
        self.network = network(request.checkpoint)

    def trace(self, opset: int) -> Any:
        example, shapes = torch.zeros(2, 16, 16, 3, dtype=torch.uint8), {0: torch.export.Dim("n")}
        names = {"inputs": (IMAGES,), "outputs": ("value",)}
        return trace_graph(
            self.network, (example,), (shapes,), **names, card=self.card, opset=opset
        )

    def compare(self, file: Path, traced: Path) -> list[ValuesCase]:
        images = synthetic_images(np.random.default_rng(0), (3, 16, 16))
        error = relative_error(predicted(self.network, images), predicted(file, images))
        return [ValuesCase({"images": [3, 16, 16]}, "value", error)]

    def facts(self) -> list[tuple[str, str]]:
        return [("model", "toy")]


STUDY = StudySpec(
    rule="mean absolute error of the brightness",
    recognise=lambda folder: None,
    open=lambda settings: OpenedData("images"),
    fingerprints=lambda settings: ToyData(settings).sha256,
)
