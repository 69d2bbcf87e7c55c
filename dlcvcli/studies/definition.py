"""What a study is: one YAML file that names its runs, what was reported of them, and its figures.

Needs no torch.
"""

from __future__ import annotations

import copy
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from dlcvcli.config.load import resolve, validate
from dlcvcli.config.values import CountOrZero, Settings, Share
from dlcvcli.errors import ConfigError, UsageError, nearest
from dlcvcli.models.registry import require_network
from dlcvcli.studies.kinds import KINDS, StudyKind, StudySettings, TaskName
from dlcvcli.studies.made import MadeGlyphs, MadeTiles
from dlcvcli.yaml_reader import parse_yaml, read_yaml, require_mapping

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
Text = Annotated[str, Field(min_length=1)]


class Reported(Settings):
    """What the report says of a run; printed beside what was measured, never tested against.

    Which of them a study may have is its task's: `StudyKind.reported`.
    """

    miou: Share | None = None
    overall_acc: Share | None = None
    mean_acc: Share | None = None
    freqw_acc: Share | None = None
    accuracy: Share | None = None
    ci95: Share | None = Field(None, description="of the accuracy: half of its 95 % interval")
    when: str = Field("", description="e.g. 'epoch 585': where the report had its best score")


class StudyRun(Settings):
    """One run: a recipe and what differs from it.

    Attributes:
        name: its folder's name.
        label: what tables and figures call it.
        recipe: a shipped recipe; null for the defaults.
        settings: what differs from the recipe, as in a recipe.
        init: a run before it; with each seed, this one begins from the best weights of that one.
        reported: the report's figures, where there is a report.
    """

    name: Name
    label: Text
    recipe: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    init: Name | None = None
    reported: Reported = Reported()


class StudyFigures(Settings):
    """Which figures are drawn, and which images they show; see `StudyKind.figures`."""

    curves: bool = True
    classes: bool = Field(True, description="IoU of every class as bars")
    snapshots: bool = Field(True, description="masks during training, a grid for each run")
    side_by_side: bool = Field(True, description="image, truth and the best weights of each run")
    points: bool = Field(True, description="accuracy of each run with its 95 % interval")
    images: tuple[str, ...] = Field(
        (),
        description="validation images to show: a wish, of which those are used that the set has",
    )
    first: CountOrZero = Field(
        3, description="where it has none of them: this many from the beginning"
    )


class StudyDefinition(Settings):
    """A whole study."""

    name: Name
    title: Text
    question: Text
    source: Text
    task: TaskName = "seg"
    data: MadeTiles | MadeGlyphs | None = Field(None, description="null: the study needs --data")
    runs: Annotated[tuple[StudyRun, ...], Field(min_length=1)]
    figures: StudyFigures = StudyFigures()
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> StudyDefinition:
        for what in ("name", "label"):
            seen = [getattr(run, what) for run in self.runs]
            twice = sorted({word for word in seen if seen.count(word) > 1})
            if twice:
                raise ValueError(f"two runs have the {what} '{twice[0]}'")
        return self

    @model_validator(mode="after")
    def _begin_from_earlier_runs(self) -> StudyDefinition:
        earlier: list[str] = []
        for run in self.runs:
            if run.init is not None and run.init not in earlier:
                known = any(other.name == run.init for other in self.runs)
                which = (
                    "which does not come before it" if known else "which the study does not have"
                )
                raise ValueError(f"run '{run.name}' begins from run '{run.init}', {which}")
            earlier.append(run.name)
        return self

    @model_validator(mode="after")
    def _fits_its_task(self) -> StudyDefinition:
        """Refuse what another task has: its scores, its figures."""
        of_task = f"a study of task {self.task}"
        for run in self.runs:
            for name in Reported.model_fields:
                alien = name not in {*self.kind.reported, "when"}
                if alien and getattr(run.reported, name) is not None:
                    raise ValueError(f"{of_task} has no reported {name}, as of run '{run.name}'")
        known = {*self.kind.figures, *(("images", "first") if self.kind.shows_images else ())}
        for name, field in StudyFigures.model_fields.items():
            if name not in known and getattr(self.figures, name) != field.default:
                raise ValueError(f"{of_task} has no figures.{name}")
        return self

    @property
    def kind(self) -> StudyKind:
        """What its task brings along."""
        return KINDS[self.task]


def study_names() -> tuple[str, ...]:
    """Return the names of the shipped studies."""
    return tuple(
        sorted(
            item.name.removesuffix(".yaml")
            for item in _folder().iterdir()
            if item.name.endswith(".yaml")
        )
    )


def load_study(name_or_file: str) -> StudyDefinition:
    """Return a shipped study by its name, or one of the user's own from a YAML file.

    Raises:
        ConfigError: there is none of that name, or its file does not fit; names file and key.
    """
    if name_or_file in study_names():
        text = (_folder() / f"{name_or_file}.yaml").read_text("utf-8")
        return parse_study(text, f"study '{name_or_file}'")
    path = Path(name_or_file)
    if path.suffix in {".yaml", ".yml"}:
        return _check_study(read_yaml(path, "study file"), f"study file {path}")
    raise ConfigError(f"no study is called '{name_or_file}'", nearest(name_or_file, study_names()))


def parse_study(text: str, source: str) -> StudyDefinition:
    """Read a definition and check all of it, the settings of every run too.

    Args:
        text: the YAML.
        source: what errors call it.

    Raises:
        ConfigError: it is not YAML, or a key or value does not fit.
    """
    return _check_study(parse_yaml(text, source), source)


def _check_study(data: Any, source: str) -> StudyDefinition:
    tree = require_mapping(data, source)
    kind = KINDS.get(str(tree.get("task", "seg")))
    if kind is not None and isinstance(tree.get("data"), dict):
        # By itself: of a value that may be of two kinds, errors would be those of both.
        validate(kind.made, tree["data"], {"": f"{source}, data"})
    definition = validate(StudyDefinition, tree, {"": source})
    for run in definition.runs:
        try:
            run_settings(run, task=definition.task)
        except UsageError as error:
            what = error.message.replace(" in the flags", "")
            raise ConfigError(f"{source}, run '{run.name}': {what}", error.hint) from error
    return definition


def run_settings(
    run: StudyRun, sets: tuple[str, ...] = (), task: TaskName = "seg"
) -> StudySettings:
    """Return the settings of a run, with the user's `--set` texts over the definition's.

    Raises:
        UsageError: an unknown recipe, key or model, or a value that does not fit.
    """
    # A copy, as the layers above are merged into it.
    own = copy.deepcopy(run.settings)
    settings = resolve(KINDS[task].schema, recipe=run.recipe, flags=own, sets=sets)
    require_network(settings.model.name, "vectors" if task == "fewshot" else "masks")
    return settings


def _folder() -> Any:
    return resources.files("dlcvcli.studies") / "definitions"
