"""All of the toy task that needs other libraries."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from dlcvcli.config.schema import ModelSettings, RunSettings
from dlcvcli.config.values import Settings
from dlcvcli.data.fingerprint import fingerprint
from dlcvcli.data.loader import TrainingBatches
from dlcvcli.data.reading import read_bytes, read_rgb
from dlcvcli.data.sampler import BatchPlan
from dlcvcli.data.seen_images import SeenImages, digest_of
from dlcvcli.engine.averaged import AveragedTask
from dlcvcli.engine.checkpoint import load_checkpoint
from dlcvcli.engine.task import Batch, Outcome, ParameterGroup, split_by_decay
from dlcvcli.exporting.certify import ValuesCase, relative_error, synthetic_images
from dlcvcli.exporting.subject import Graph, Subject
from dlcvcli.exporting.tracing import trace_graph
from dlcvcli.files import write_atomically
from dlcvcli.inference.evaluation import Evaluator, ResultTable, Row
from dlcvcli.models.averaging import evaluated_weights
from dlcvcli.models.build import build_encoder
from dlcvcli.models.normalise import Normalise
from dlcvcli.outcomes.spec import OpenedData, StudySpec
from dlcvcli.runtime.metadata import IMAGES, ModelCard
from dlcvcli.runtime.session import open_session
from dlcvcli.training.job import Job
from tests.toy_task.spec import SCORES


class DataSettings(Settings):
    path: str = ""


class ToySettings(RunSettings):
    task: Literal["toy"] = "toy"
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings(name="conv4")


class ToyCard(ModelCard):
    TASK: ClassVar[str] = "toy"


class ToyData(Dataset[dict[str, Tensor]]):
    layout, remarks = "images", ()

    def __init__(self, settings: ToySettings) -> None:
        self.root = Path(settings.data.path)
        self.files = {part: sorted((self.root / part).glob("*.png")) for part in ("train", "val")}
        digests = {p: [digest_of(read_bytes(one)) for one in self.files[p]] for p in self.files}
        self.sha256 = {p: fingerprint(("", one) for one in digests[p]) for p in digests}
        self.seen = SeenImages(frozenset(digests["train"]), tuple(digests["val"]))

    def as_dict(self) -> dict[str, Any]:
        return {"sha256": self.sha256}

    def __getitem__(self, draw: tuple[int, int]) -> dict[str, Tensor]:
        image = torch.from_numpy(read_rgb(self.files["train"][draw[1]]).copy())
        return {"images": image, "answers": image.float().mean() / 255}


class Brightness(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(Normalise(), build_encoder("conv4"), nn.LazyLinear(1))
        self(torch.zeros(2, 32, 32, 3, dtype=torch.uint8))


class ToyTask(AveragedTask[Brightness]):
    def forward(self, batch: Batch, normaliser: Tensor) -> Outcome:
        error = self.network(batch["images"])[:, 0] - batch["answers"]
        return {"loss": error.square().sum() / normaliser, "log": {}}

    def count_terms(self, batch: Batch) -> Tensor:
        return torch.tensor(len(batch["answers"]))

    def parameter_groups(self) -> list[ParameterGroup]:
        return split_by_decay("network", self.network, 1.0)


def restored(path: Path) -> Brightness:
    network = Brightness()
    network.load_state_dict(evaluated_weights(load_checkpoint(path)["task"]))
    return network.eval()


@torch.no_grad()
def metrics_of(predict: Any, files: list[Path]) -> tuple[dict[str, Any], list[float]]:
    images = [read_rgb(one) for one in files]
    values = [float(predict(image[None].copy()).item()) for image in images]
    errors = [abs(v - float(i.mean()) / 255) for v, i in zip(values, images, strict=True)]
    return {"mae": float(np.mean(errors))}, values


def under_torch(network: Brightness) -> Any:
    return lambda images: network(torch.from_numpy(images))


class ToyJob(Job):
    scores = SCORES

    def __init__(self, settings: ToySettings, data: ToyData) -> None:
        self.settings, self.data, self.seen = settings, data, data.seen
        self.model_name, self.weights = settings.model.name, settings.model.weights
        self.batch = f"{settings.train.batch_size} images"
        self.plan = BatchPlan(len(data.files["train"]), settings.train.batch_size, 0)

    @property
    def steps_per_epoch(self) -> int:
        return self.plan.steps_per_epoch

    def build_task(self, *, fresh: bool) -> ToyTask:
        return ToyTask(Brightness(), self.settings.optim.ema)

    def take_weights(self, task: ToyTask, path: Path) -> str:
        task.load_network(evaluated_weights(load_checkpoint(path)["task"]))
        return f"took all tensors from {path}"

    def batches(self, launcher: Any) -> TrainingBatches:
        return TrainingBatches(self.data, self.plan, workers=0)

    def validation(self, launcher: Any) -> Any:
        files = self.data.files["val"]
        return lambda task, stop: metrics_of(under_torch(task.evaluated), files)[0]

    def score_best(self, run: Any, launcher: Any) -> dict[str, Any]:
        metrics = metrics_of(under_torch(restored(run.best)), self.data.files["val"])[0]
        return {"checkpoint": "best.ckpt", "split": "val", **metrics}


class ToyEvaluator(Evaluator):
    predictions = "--values"

    def evaluate(self, request: Any, reporter: Any) -> dict[str, Any]:
        ref, files, began = request.ref, sorted((request.data / "val").glob("*.png")), time.time()
        predict = (
            under_torch(restored(ref.path)) if ref.kind == "checkpoint" else under_onnx(ref.path)
        )
        metrics, values = metrics_of(predict, files)
        if request.flags.values is not None:
            write_atomically(request.flags.values, "\n".join(f"{value:.3f}" for value in values))
        speed = {"images_per_s": len(files) / (time.time() - began)}
        how = {"backend": "torch" if ref.kind == "checkpoint" else "onnx", "provider": "cpu"}
        return {"model": "conv4", **how, "precision": "fp32", "metrics": metrics, "speed": speed}

    def agreement(self, first: Path, second: Path) -> float:
        one, two = (path.read_text().split() for path in (first, second))
        return float(np.mean([a == b for a, b in zip(one, two, strict=True)]))

    def table(self, result: dict[str, Any]) -> ResultTable:
        return ResultTable(
            "toy", [[Row("error", lambda one: f"{one['metrics']['mae']:.4f}")]], "images"
        )


def under_onnx(path: Path) -> Any:
    session = open_session(path, "cpu").session
    return lambda images: session.run(["value"], {IMAGES: images})[0]


class ToySubject(Subject):
    def __init__(self, request: Any) -> None:
        self.network, config = restored(request.path), request.checkpoint["config"]
        self.card = ToyCard("toy", "conv4", config=config, checkpoint_sha256=request.sha256)
        self.graphs = (Graph((IMAGES,), ("value",), self.trace, self.compare),)

    def trace(self, opset: int) -> Any:
        example, shapes = (
            (torch.zeros(2, 32, 32, 3, dtype=torch.uint8),),
            ({0: torch.export.Dim("n")},),
        )
        names = {"inputs": (IMAGES,), "outputs": ("value",)}
        return trace_graph(self.network, example, shapes, **names, card=self.card, opset=opset)

    def compare(self, file: Path, traced: Path) -> list[ValuesCase]:
        images = synthetic_images(np.random.default_rng(0), (3, 32, 32))
        reference = self.network(torch.from_numpy(images)).detach().numpy()
        error = relative_error(reference, under_onnx(file)(images))
        return [ValuesCase({"images": [3, 32, 32]}, "value", error)]

    def facts(self) -> list[tuple[str, str]]:
        return [("model", "toy")]

    def open_data(self, folder: Path, split: str, reporter: Any) -> Any:
        raise NotImplementedError

    amount = score = open_data


STUDY = StudySpec(
    rule="mean absolute error of the brightness",
    recognise=lambda folder: None,
    open=lambda settings: OpenedData("images"),
    fingerprints=lambda settings: ToyData(settings).sha256,
)
