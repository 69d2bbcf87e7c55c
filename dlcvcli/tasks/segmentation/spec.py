"""Semantic segmentation, as the drivers see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dlcvcli.tasks.segmentation.commands import COMMANDS
from dlcvcli.tasks.segmentation.flags import (
    EvalSegFlags,
    ExportSegFlags,
    PredictSegFlags,
    TrainSegFlags,
)
from dlcvcli.tasks.segmentation.scores import SCORES
from dlcvcli.tasks.spec import SubjectRequest, TaskFlags, TaskSpec

if TYPE_CHECKING:
    from dlcvcli.config.schema import RunSettings
    from dlcvcli.exporting.subject import Subject
    from dlcvcli.inference.evaluation import Evaluator
    from dlcvcli.inference.prediction import PredictRequest
    from dlcvcli.outcomes.spec import StudySpec
    from dlcvcli.reporter import Reporter
    from dlcvcli.runtime.metadata import ModelCard
    from dlcvcli.training.job import Job, JobData


def _settings() -> type[RunSettings]:
    from dlcvcli.tasks.segmentation.settings import TrainSegSettings

    return TrainSegSettings


def _card() -> type[ModelCard]:
    from dlcvcli.tasks.segmentation.card import SegmenterCard

    return SegmenterCard


def _prepare(settings: Any, reporter: Reporter, *, known: bool) -> tuple[RunSettings, JobData]:
    from dlcvcli.tasks.segmentation.data import prepare

    return prepare(settings, reporter, known=known)


def _job(settings: Any, data: Any) -> Job:
    from dlcvcli.tasks.segmentation.job import SegmentationJob

    return SegmentationJob(settings, data)


def _evaluator() -> Evaluator:
    from dlcvcli.tasks.segmentation.evaluate import SegmentationEvaluator

    return SegmentationEvaluator()


def _predict(request: PredictRequest, reporter: Reporter) -> Iterator[str]:
    from dlcvcli.tasks.segmentation.predict import predict_images

    return predict_images(request, reporter)


def _subject(request: SubjectRequest) -> Subject:
    from dlcvcli.tasks.segmentation.export import SegmentationSubject

    return SegmentationSubject(request)


def _study() -> StudySpec:
    from dlcvcli.tasks.segmentation.study import STUDY

    return STUDY


SPEC = TaskSpec(
    name="seg",
    noun="a segmentation model",
    trains="Train a segmentation network on a folder of images and masks.",
    examples={
        "train": (
            "dlcv train seg --data my-set --model deeplabv3plus_mobilenet_v2 --epochs 30 "
            "--out runs/first",
            "dlcv train seg --resume runs/first",
            "dlcv train seg --data my-set --recipe camvid --set optim.lr=5e-4 --print-config",
        ),
        "eval": (
            "dlcv eval runs/first --data my-set --onnx --compare",
            "dlcv eval street.onnx --data my-set --min-miou 0.6 --json -",
            "dlcv eval runs/first --data scenes --tile 512 --overlap 64 --confusion matrix.png",
        ),
        "predict": (
            "dlcv predict street.onnx folder/ --out masks",
            "dlcv predict street.onnx scene.tif --tile 512 --overlap 64 --out masks",
            "ls *.jpg | dlcv predict street.onnx - --out masks",
        ),
        "export": (
            "dlcv export runs/first",
            "dlcv export runs/first --verify-data my-set --out street.onnx",
        ),
    },
    networks="masks",
    scores=SCORES,
    flags=TaskFlags(TrainSegFlags, EvalSegFlags, PredictSegFlags, ExportSegFlags),
    settings=_settings,
    card=_card,
    prepare=_prepare,
    job=_job,
    evaluator=_evaluator,
    predict=_predict,
    subject=_subject,
    study=_study,
    commands=COMMANDS,
)
