"""Fixtures of all tests: one thread, no network, no screen, small synthetic sets."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dlcvcli.data.glyphs import make_glyphs
from dlcvcli.data.masks import write_mask
from dlcvcli.data.shapes import make_shapes
from dlcvcli.data.synthetic import make_landcover
from dlcvcli.palette import PRESETS


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Keep to one thread: the tests share two cores, and tiny tensors gain nothing from more."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_downloads(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Give torchvision an empty cache, so that no test depends on a download."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path_factory.getbasetemp() / "torch-home"))


@pytest.fixture
def children_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each `dlcv` that dlcv starts in this process, to save time."""
    from tests.cli.command import run_children_here

    run_children_here(monkeypatch)


@pytest.fixture(scope="session")
def landcover(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic land-cover set, 12 + 4 tiles of 64 x 64; read only."""
    folder = tmp_path_factory.mktemp("landcover")
    make_landcover(folder, train=12, validation=4, size=(64, 64), seed=0)
    return folder


@pytest.fixture(scope="session")
def glyphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic set of images by class, 5 alphabets of 4 characters by 6 drawers; read only."""
    folder = tmp_path_factory.mktemp("glyphs")
    make_glyphs(folder, alphabets=5, characters=4, drawers=6, size=(16, 16))
    return folder


def write_camvid(folder: Path, sizes: dict[str, list[tuple[int, int]]], seed: int = 0) -> Path:
    """Write a set in the CamVid layout: split -> (height, width) of each image."""
    rng = np.random.default_rng(seed)
    classes = PRESETS["camvid11"]
    for split, shapes in sizes.items():
        (folder / split).mkdir(parents=True)
        (folder / f"{split}annot").mkdir()
        for index, (height, width) in enumerate(shapes):
            mask = rng.integers(0, 12, (height, width)).astype(np.uint8)
            image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
            Image.fromarray(image).save(folder / split / f"{index:03d}.png")
            write_mask(folder / f"{split}annot" / f"{index:03d}.png", mask, classes)
    return folder


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory, landcover: Path) -> Path:
    """The run folder of a small real segmenter, trained for a few steps; read only."""
    import torch

    from dlcvcli.config.load import resolve
    from dlcvcli.reporter import Silent
    from dlcvcli.runs import RunFolder
    from dlcvcli.tasks.segmentation.settings import TrainSegSettings
    from dlcvcli.tasks.segmentation.spec import SPEC
    from dlcvcli.training.run import RunRequest, train

    torch.set_num_threads(1)
    settings = resolve(
        TrainSegSettings,
        flags={
            "data.path": str(landcover),
            "model.name": "lraspp_mobilenet_v3_large",
            "train.steps": 6,
            "train.batch_size": 4,
            "train.workers": 0,
            "train.precision": "fp32",
            "train.log_every": 2,
            "train.val_every": 3,
            "snapshot.images": ["0001"],
        },
    )
    resolved, data = SPEC.prepare(settings, Silent(), known=False)
    run = RunFolder(tmp_path_factory.mktemp("runs") / "trained")
    train(RunRequest(SPEC.job, run, resolved, data))
    return run.path


@pytest.fixture(scope="session")
def trace_once() -> Iterator[None]:
    """Trace each checkpoint of a segmenter once, which takes 10 seconds; from then on, copy it."""
    from dlcvcli.tasks.segmentation import export as module

    trace, traced = module.trace, {}

    def trace_or_copy(segmenter: Any, card: Any, opset: int) -> Any:
        key = (card.checkpoint_sha256, opset)
        if key not in traced:
            traced[key] = trace(segmenter, card, opset)
        return copy.deepcopy(traced[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "trace", trace_or_copy)
        yield


@pytest.fixture(scope="session")
def exported_run(trained_run: Path, trace_once: None) -> Path:
    """The trained run with its `model.onnx` and certificate; read only."""
    from dlcvcli.exporting.export import export
    from dlcvcli.runs import RunFolder, find_model
    from dlcvcli.tasks.registry import open_subject
    from dlcvcli.tasks.segmentation.flags import ExportSegFlags
    from dlcvcli.tasks.segmentation.spec import SPEC

    run = RunFolder(trained_run)
    if not run.onnx.exists():
        export(open_subject(SPEC, find_model(trained_run), ExportSegFlags()), run.onnx)
    return trained_run


@pytest.fixture(scope="session")
def characters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic set of characters by alphabets, without splits; read only."""
    from tests.synthetic_characters import write_characters

    return write_characters(tmp_path_factory.mktemp("characters"))


@pytest.fixture(scope="session")
def fewshot_run(tmp_path_factory: pytest.TempPathFactory, characters: Path) -> Path:
    """The run folder of a small prototypical network, trained for a few episodes; read only."""
    import torch

    from dlcvcli.training.run import train
    from tests.synthetic_characters import request_for

    torch.set_num_threads(1)
    run = tmp_path_factory.mktemp("runs") / "fewshot"
    train(request_for(run, characters))
    return run


@pytest.fixture(scope="session")
def exported_fewshot(fewshot_run: Path) -> Path:
    """The few-shot run with its `model.onnx` and certificate; read only."""
    from dlcvcli.exporting.export import export
    from dlcvcli.runs import RunFolder, find_model
    from dlcvcli.tasks.fewshot.flags import ExportFewshotFlags
    from dlcvcli.tasks.fewshot.spec import SPEC
    from dlcvcli.tasks.registry import open_subject

    run = RunFolder(fewshot_run)
    if not run.onnx.exists():
        export(open_subject(SPEC, find_model(fewshot_run), ExportFewshotFlags()), run.onnx)
    return fewshot_run


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic classification set, 40 + 20 images of 10 shapes, 24 x 24; read only."""
    folder = tmp_path_factory.mktemp("shapes")
    make_shapes(folder, train=40, validation=20, size=(24, 24))
    return folder


@pytest.fixture(scope="session")
def cls_run(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    """The run folder of a small classifier, trained for a few steps; read only."""
    from dlcvcli.training.run import train
    from tests.synthetic_classifier import request_for

    run = tmp_path_factory.mktemp("runs") / "cls"
    train(request_for(run, shapes, {"tsne.epochs": "0,1"}))
    return run


@pytest.fixture(scope="session")
def exported_cls(cls_run: Path) -> Path:
    """The run of the classifier with its `model.onnx` and certificate; read only."""
    from dlcvcli.exporting.export import export
    from dlcvcli.runs import RunFolder, find_model
    from dlcvcli.tasks.classification.flags import ExportClsFlags
    from dlcvcli.tasks.classification.spec import SPEC
    from dlcvcli.tasks.registry import open_subject

    run = RunFolder(cls_run)
    if not run.onnx.exists():
        export(open_subject(SPEC, find_model(cls_run), ExportClsFlags()), run.onnx)
    return cls_run
