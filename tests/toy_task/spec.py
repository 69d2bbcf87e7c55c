"""The spec of the toy task, which imports nothing slow before a function is called."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlcvcli.flags import ExportFlags, ModelFlags, flag
from dlcvcli.scores import Score
from dlcvcli.tasks.flags import TrainFlags
from dlcvcli.tasks.spec import TaskFlags, TaskSpec


@dataclass(frozen=True)
class ToyEvalFlags(ModelFlags):
    values: Path | None = flag("Write the predicted values to this file.")


def _toy() -> Any:
    from tests.toy_task import toy

    return toy


SPEC = TaskSpec(
    name="toy",
    noun="a toy model",
    trains="Train a network that predicts the brightness of images.",
    examples={"train": ("dlcv train toy --data images --set train.steps=20",)},
    networks="vectors",
    scores=(Score("mae", "mean absolute error", higher_is_better=False),),
    flags=TaskFlags(TrainFlags, ToyEvalFlags, export=ExportFlags),
    settings=lambda: _toy().ToySettings,
    card=lambda: _toy().ModelCard,
    prepare=lambda settings, reporter, known: (settings, _toy().ToyData(settings)),
    job=lambda settings, data: _toy().ToyJob(settings, data),
    evaluator=lambda: _toy().ToyEvaluator(),
    subject=lambda request: _toy().ToySubject(request),
    study=lambda: _toy().STUDY,
)
