"""Classification, as the drivers see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dlcvcli.tasks.classification.flags import (
    EvalClsFlags,
    ExportClsFlags,
    PredictClsFlags,
    TrainClsFlags,
)
from dlcvcli.tasks.classification.scores import SCORES
from dlcvcli.tasks.spec import SubjectRequest, TaskFlags, TaskSpec

if TYPE_CHECKING:
    from dlcvcli.config.schema import RunSettings
    from dlcvcli.exporting.subject import Subject
    from dlcvcli.inference.evaluation import Evaluator
    from dlcvcli.inference.features import FeatureRequest, Features
    from dlcvcli.inference.prediction import PredictRequest
    from dlcvcli.outcomes.spec import StudySpec
    from dlcvcli.reporter import Reporter
    from dlcvcli.runtime.metadata import ModelCard
    from dlcvcli.training.job import Job, JobData


def _settings() -> type[RunSettings]:
    from dlcvcli.tasks.classification.settings import TrainClsSettings

    return TrainClsSettings


def _card() -> type[ModelCard]:
    from dlcvcli.tasks.classification.card import ClassifierCard

    return ClassifierCard


def _prepare(settings: Any, reporter: Reporter, *, known: bool) -> tuple[RunSettings, JobData]:
    from dlcvcli.tasks.classification.data import prepare

    return prepare(settings, reporter, known=known)


def _job(settings: Any, data: Any) -> Job:
    from dlcvcli.tasks.classification.job import ClassificationJob

    return ClassificationJob(settings, data)


def _evaluator() -> Evaluator:
    from dlcvcli.tasks.classification.evaluate import ClassificationEvaluator

    return ClassificationEvaluator()


def _predict(request: PredictRequest, reporter: Reporter) -> Iterator[str]:
    from dlcvcli.tasks.classification.predict import predict_images

    return predict_images(request, reporter)


def _features(request: FeatureRequest, reporter: Reporter) -> Features:
    from dlcvcli.tasks.classification.features import features_of

    return features_of(request, reporter)


def _subject(request: SubjectRequest) -> Subject:
    from dlcvcli.tasks.classification.export import ClassifierSubject

    return ClassifierSubject(request)


def _study() -> StudySpec:
    from dlcvcli.tasks.classification.study import STUDY

    return STUDY


SPEC = TaskSpec(
    name="cls",
    noun="a classifier",
    trains="Train an image classifier, from random weights or from a pre-trained backbone.",
    examples={
        "train": (
            "dlcv train cls --data clothing --size 128x128 --out runs/clothing",
            "dlcv train cls --data office --setting C --backbone runs/byol --tsne-at 0,75,150",
            "dlcv train cls --data p1_data --model resnet50 --weights imagenet --freeze layer4",
        ),
        "eval": ("dlcv eval runs/clothing --data clothing --onnx --compare",),
        "predict": (
            "dlcv predict runs/clothing photos --out classes.csv --top 3",
            "dlcv predict runs/office office/val --data office/val.csv --out pred.csv",
        ),
        "export": ("dlcv export runs/clothing --verify-data clothing",),
    },
    networks="vectors",
    scores=SCORES,
    flags=TaskFlags(TrainClsFlags, EvalClsFlags, PredictClsFlags, ExportClsFlags),
    settings=_settings,
    card=_card,
    prepare=_prepare,
    job=_job,
    evaluator=_evaluator,
    predict=_predict,
    subject=_subject,
    study=_study,
    features=_features,
)
