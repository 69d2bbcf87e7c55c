"""What the tasks of studies bring along fits what their definitions and tables ask of it."""

from __future__ import annotations

from typing import get_args

import pytest

from dlcvcli.studies.definition import Reported, StudyFigures
from dlcvcli.studies.kinds import KINDS, TaskName
from dlcvcli.studies.study_data import DATA


def test_every_task_has_its_kind_and_its_data() -> None:
    assert set(KINDS) == set(DATA) == set(get_args(TaskName))


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_whole(name: str) -> None:
    kind = KINDS[name]
    assert kind.task == name == kind.schema().task
    assert set(kind.reported) <= set(Reported.model_fields)
    assert set(kind.figures) <= set(StudyFigures.model_fields)
    assert kind.main in kind.reported
    assert set(kind.scores) <= set(kind.told)
    assert kind.main_name == kind.scores[kind.main]
