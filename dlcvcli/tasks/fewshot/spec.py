"""Few-shot learning, as the drivers see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dlcvcli.tasks.fewshot.commands import COMMANDS
from dlcvcli.tasks.fewshot.flags import (
    EvalFewshotFlags,
    ExportFewshotFlags,
    PredictFewshotFlags,
    TrainFewshotFlags,
)
from dlcvcli.tasks.fewshot.scores import SCORES
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
    from dlcvcli.tasks.fewshot.settings import TrainFewshotSettings

    return TrainFewshotSettings


def _card() -> type[ModelCard]:
    from dlcvcli.tasks.fewshot.card import EncoderCard

    return EncoderCard


def _prepare(settings: Any, reporter: Reporter, *, known: bool) -> tuple[RunSettings, JobData]:
    from dlcvcli.tasks.fewshot.data import prepare

    return prepare(settings, reporter, known=known)


def _job(settings: Any, data: Any) -> Job:
    from dlcvcli.tasks.fewshot.job import FewshotJob

    return FewshotJob(settings, data)


def _evaluator() -> Evaluator:
    from dlcvcli.tasks.fewshot.evaluate import FewshotEvaluator

    return FewshotEvaluator()


def _predict(request: PredictRequest, reporter: Reporter) -> Iterator[str]:
    from dlcvcli.tasks.fewshot.predict import predict_files

    return predict_files(request, reporter)


def _features(request: FeatureRequest, reporter: Reporter) -> Features:
    from dlcvcli.tasks.fewshot.features import features_of

    return features_of(request, reporter)


def _subject(request: SubjectRequest) -> Subject:
    from dlcvcli.tasks.fewshot.export import FewshotSubject

    return FewshotSubject(request)


def _study() -> StudySpec:
    from dlcvcli.tasks.fewshot.study import STUDY

    return STUDY


SPEC = TaskSpec(
    name="fewshot",
    noun="a few-shot model",
    trains="Train a prototypical network on episodes of a folder of images by class.",
    examples={
        "train": (
            "dlcv train fewshot --data omniglot --recipe omniglot --out runs/omniglot",
            "dlcv train fewshot --data mini --n-way 20 --k-shot 1 --test-n-way 5 --distance cosine",
            "dlcv train fewshot --data mini --distance parametric --init runs/euclidean",
        ),
        "eval": ("dlcv eval runs/omniglot --data omniglot --n-way 20 --k-shot 5 --episodes 10000",),
        "predict": ("dlcv predict runs/omniglot cases.csv --data omniglot --out labels",),
        "export": ("dlcv export runs/omniglot --episode",),
    },
    networks="vectors",
    scores=SCORES,
    flags=TaskFlags(TrainFewshotFlags, EvalFewshotFlags, PredictFewshotFlags, ExportFewshotFlags),
    settings=_settings,
    card=_card,
    prepare=_prepare,
    job=_job,
    evaluator=_evaluator,
    predict=_predict,
    subject=_subject,
    features=_features,
    study=_study,
    commands=COMMANDS,
)
