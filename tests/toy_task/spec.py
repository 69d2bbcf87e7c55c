"""The toy task, as the drivers see it: imports nothing slow until a function is called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlcvcli.flags import ExportFlags, ModelFlags, flag
from dlcvcli.scores import Score
from dlcvcli.tasks.flags import OPTIM, TrainFlags
from dlcvcli.tasks.spec import TaskFlags, TaskSpec

SCORES = (Score("mae", "mean absolute error", higher_is_better=False),)


@dataclass(frozen=True)
class ToyTrainFlags(TrainFlags):
    """Flags of `dlcv train toy`."""

    steps: int | None = flag("Number of steps.", panel=OPTIM, setting="train.steps")


@dataclass(frozen=True)
class ToyEvalFlags(ModelFlags):
    """Flags of `dlcv eval` for toy models."""

    values: Path | None = flag("Write the predicted brightness of every image to this CSV file.")


def _from(name: str) -> Any:
    from tests.toy_task import toy

    return getattr(toy, name)


SPEC = TaskSpec(
    name="toy",
    noun="a toy model",
    trains="Train a network that predicts how bright an image is.",
    examples=("dlcv train toy --data images --steps 20",),
    networks="vectors",
    scores=SCORES,
    flags=TaskFlags(ToyTrainFlags, ToyEvalFlags, export=ExportFlags),
    settings=lambda: _from("ToySettings"),
    card=lambda: _from("ToyCard"),
    prepare=lambda settings, reporter, known: (settings, _from("ToyData")(settings)),
    job=lambda settings, data: _from("ToyJob")(settings, data),
    evaluator=lambda: _from("ToyEvaluator")(),
    subject=lambda request: _from("ToySubject")(request),
    study=lambda: _from("STUDY"),
)
