"""The definition of a study: its runs, what was reported of them, and its figures.

Needs no torch.
"""

from __future__ import annotations

import copy
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, SerializeAsAny, model_validator

from dlcvcli.config.load import resolve, validate
from dlcvcli.config.schema import RunSettings
from dlcvcli.config.values import CountOrZero, Fraction, Settings
from dlcvcli.errors import ConfigError, UsageError, nearest
from dlcvcli.models.registry import require_network
from dlcvcli.outcomes.spec import StudySpec, SyntheticSet, reported_keys
from dlcvcli.studies.vary import STARTS, expand
from dlcvcli.tasks.registry import TASKS
from dlcvcli.yaml_reader import parse_yaml, read_yaml, require_mapping

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
Start = Annotated[str, Field(pattern=r"^(given:)?[a-z0-9][a-z0-9.-]*$")]
Text = Annotated[str, Field(min_length=1)]

DEFAULT_TASK = next(iter(TASKS))
IMAGES = "images"
"""The value of `along` that stands for the number of training images, instead of a setting."""

_GIVEN = "given:"


class Given(Settings):
    """A folder or file of the user's that runs need, beside the data of the study.

    Attributes:
        what: what it is, for help and errors.
        optional: without it, the runs that need it are left out; otherwise it is an error.
    """

    what: Text
    optional: bool = False


class Reported(Settings):
    """What the report says of a run; shown beside what was measured, never tested against.

    Its other keys are those of the scores of the run's task, and of their intervals.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Fraction | None]

    when: str = Field("", description="where the report had its best score, e.g. 'epoch 585'")

    @property
    def scores(self) -> dict[str, float]:
        """Key -> reported value."""
        return {key: value for key, value in self.__pydantic_extra__.items() if value is not None}


class StudyRun(Settings):
    """One run: a recipe and what differs from it.

    Attributes:
        name: of its folder.
        label: its name in tables and figures.
        task: as in `dlcv train TASK`; that of the study where the definition names none.
        data: a set of its own: a folder, `given:NAME`, or a synthetic set that the study makes;
            null for the data of the study.
        recipe: a shipped recipe; null for the defaults.
        settings: what differs from the recipe, as in a recipe.
        init: an earlier run; with each seed, this one starts from the best weights of that one. Or
            `given:NAME`: a checkpoint that the user gives, the same for every seed.
        backbone: the same, for the backbone only.
        supervised_backbone: the same, where a task tells backbones trained with labels from others.
        pretraining: it is trained only so that others start from it. It has a table of its own.
        line: label of the line that it is a point of, in the figure along a setting.
        reported: values in the report, where there is a report.
    """

    name: Name
    label: Text
    task: str
    data: SerializeAsAny[SyntheticSet] | Text | None = None
    recipe: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    init: Start | None = None
    backbone: Start | None = None
    supervised_backbone: Start | None = None
    pretraining: bool = False
    line: Text | None = None
    reported: Reported = Reported()

    @property
    def starts(self) -> dict[str, str]:
        """Flag of `dlcv train` -> the earlier run, or `given:NAME`, that it takes weights from."""
        return {key: name for key in STARTS if (name := getattr(self, key)) is not None}

    @property
    def given(self) -> tuple[str, ...]:
        """Names of what the user has to give for this run alone."""
        named = (given_name(source) for source in (self.data, *self.starts.values()))
        return tuple(dict.fromkeys(name for name in named if name is not None))


class StudyFigures(Settings):
    """Which images figures show; the other keys are figures of the tasks, and switch them off."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, bool]

    images: tuple[str, ...] = Field(
        (), description="validation images to show, where the set has them"
    )
    first: CountOrZero = Field(
        3, description="where it has none of them: this many from the beginning"
    )

    def draws(self, name: str) -> bool:
        """Return whether a figure is drawn."""
        return self.__pydantic_extra__.get(name, True)


class StudyDefinition(Settings):
    """A complete study; made by `read_definition`, as its parts depend on the tasks."""

    name: Name
    title: Text
    question: Text
    source: Text
    task: str = DEFAULT_TASK
    data: SerializeAsAny[SyntheticSet] | None = Field(None, description="null: it needs --data")
    given: dict[Name, Given] = Field(default_factory=dict)
    along: Text | None = Field(None, description="a setting, or 'images', along which lines go")
    runs: Annotated[tuple[StudyRun, ...], Field(min_length=1)]
    figures: StudyFigures = StudyFigures()
    notes: tuple[str, ...] = ()

    @property
    def needs_data(self) -> bool:
        """Whether the user has to give a data folder."""
        return self.data is None and any(run.data is None for run in self.runs)

    @property
    def shows_images(self) -> bool:
        """Whether a run may save snapshots of validation images."""
        return any(study_spec(run.task).image_figures for run in self.runs)

    @model_validator(mode="after")
    def _names_differ(self) -> StudyDefinition:
        for what in ("name", "label"):
            seen = [getattr(run, what) for run in self.runs]
            twice = sorted({word for word in seen if seen.count(word) > 1})
            if twice:
                raise ValueError(f"two runs have the {what} '{twice[0]}'")
        return self

    @model_validator(mode="after")
    def _start_from_earlier_runs(self) -> StudyDefinition:
        names = [run.name for run in self.runs]
        for number, run in enumerate(self.runs):
            for flag, name in run.starts.items():
                if not hasattr(TASKS[run.task].flags.train, flag):
                    raise ValueError(f"run '{run.name}': task {run.task} has no {flag}")
                if given_name(name) is None and name not in names[:number]:
                    which = "which does not come before it"
                    if name not in names:
                        which = "which the study does not have"
                    raise ValueError(f"run '{run.name}' starts from run '{name}', {which}")
        return self

    @model_validator(mode="after")
    def _given_names_are_known_and_used(self) -> StudyDefinition:
        used = {name for run in self.runs for name in run.given}
        for run in self.runs:
            for name in run.given:
                if name not in self.given:
                    raise ValueError(f"run '{run.name}' needs {name}, which is not in given")
        for name in self.given:
            if name not in used:
                raise ValueError(f"no run uses {_GIVEN}{name}")
            if name in {run.name for run in self.runs}:
                raise ValueError(f"a run and an entry of given have the name '{name}'")
        return self

    @model_validator(mode="after")
    def _some_runs_are_compared(self) -> StudyDefinition:
        if all(run.pretraining for run in self.runs):
            raise ValueError("all runs are for pre-training, so there is nothing to compare")
        started = {name for run in self.runs for name in run.starts.values()}
        for run in self.runs:
            if run.pretraining and run.name not in started:
                raise ValueError(f"no run starts from run '{run.name}', which is for pre-training")
            if run.line is not None and self.along is None:
                raise ValueError(f"run '{run.name}' is on a line, and the study has no along")
        return self

    @model_validator(mode="after")
    def _reported_scores_are_of_its_task(self) -> StudyDefinition:
        for run in self.runs:
            for key in run.reported.scores:
                known = reported_keys(TASKS[run.task].scores)
                if key not in known:
                    raise ValueError(
                        f"a run of task {run.task} has no reported {key}, as of run '{run.name}'; "
                        f"it may have {', '.join(known)}"
                    )
        return self

    @model_validator(mode="after")
    def _figures_are_of_its_tasks(self) -> StudyDefinition:
        specs = [study_spec(run.task) for run in self.runs]
        known = {name for spec in specs for name in spec.figures}
        everywhere = {name for task in study_tasks() for name in study_spec(task).figures}
        alien = [
            # To switch a figure of another task on, which is the default, changes nothing.
            name
            for name, on in self.figures.__pydantic_extra__.items()
            if name not in known and not (on and name in everywhere)
        ]
        if not self.shows_images:
            default = StudyFigures()
            alien += [
                name
                for name in StudyFigures.model_fields
                if getattr(self.figures, name) != getattr(default, name)
            ]
        if alien:
            tasks = " and ".join(dict.fromkeys(run.task for run in self.runs))
            raise ValueError(
                f"a study of task {tasks} has no figures.{alien[0]}; it has "
                f"{', '.join(sorted(known))}"
            )
        return self


def given_name(source: object) -> str | None:
    """Return NAME of `given:NAME`; None for everything else."""
    if isinstance(source, str) and source.startswith(_GIVEN):
        return source.removeprefix(_GIVEN)
    return None


def study_tasks() -> tuple[str, ...]:
    """Return the tasks whose runs can be compared in a study."""
    return tuple(name for name, spec in TASKS.items() if spec.study is not None)


def study_spec(task: str) -> StudySpec:
    """Return what studies need from one of `study_tasks`."""
    make = TASKS[task].study
    assert make is not None
    return make()


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
    """Return a shipped study by its name, or a study of the user's from a YAML file.

    Raises:
        ConfigError: there is none of that name, or its file does not fit; names file and key.
    """
    if name_or_file in study_names():
        text = (_folder() / f"{name_or_file}.yaml").read_text("utf-8")
        return parse_study(text, f"study '{name_or_file}'")
    path = Path(name_or_file)
    if path.suffix in {".yaml", ".yml"}:
        return _with_valid_settings(read_yaml(path, "study file"), f"study file {path}")
    raise ConfigError(f"no study is called '{name_or_file}'", nearest(name_or_file, study_names()))


def parse_study(text: str, source: str) -> StudyDefinition:
    """Return the definition of a YAML text, with the settings of every run checked.

    Args:
        text: the YAML.
        source: what errors call it.

    Raises:
        ConfigError: it is not YAML, or a key or value does not fit.
    """
    return _with_valid_settings(parse_yaml(text, source), source)


def read_definition(data: Any, source: str) -> StudyDefinition:
    """Return the definition of a tree of plain types.

    Args:
        data: the tree.
        source: what errors call it.

    Raises:
        ConfigError: a key or value does not fit.
    """
    tree = expand(require_mapping(data, source), source)
    task = _task_at(tree, source, "task", DEFAULT_TASK)
    tree = {**tree, "data": _synthetic(task, tree.get("data"), f"{source}, data")}
    if isinstance(tree.get("runs"), list):
        tree["runs"] = [_run_of(run, task, source, place) for place, run in enumerate(tree["runs"])]
    return validate(StudyDefinition, tree, {"": source})


def _run_of(run: Any, task: str, source: str, place: int) -> Any:
    """Return a run with its task, and its synthetic set read as its task wants it."""
    if not isinstance(run, dict):
        return run
    own = _task_at(run, source, f"runs.{place}.task", task)
    data = _synthetic(own, run.get("data"), f"{source}, runs.{place}.data")
    return {**run, "task": own, "data": data}


def _task_at(tree: dict[str, Any], source: str, key: str, default: str) -> str:
    task = tree.get("task") or default
    if task not in study_tasks():
        raise ConfigError(
            f"key '{key}' in {source}: no task of studies is called {task!r}",
            nearest(str(task), study_tasks()),
        )
    return str(task)


def _synthetic(task: str, data: Any, source: str) -> Any:
    """Return a mapping as the task's synthetic set, and everything else as it is."""
    if not isinstance(data, dict):
        return data
    synthetic = study_spec(task).synthetic
    if synthetic is None:
        raise ConfigError(f"{source}: task {task} has no synthetic set", "leave data out")
    return validate(synthetic, data, {"": source})


def _with_valid_settings(data: Any, source: str) -> StudyDefinition:
    definition = read_definition(data, source)
    for run in definition.runs:
        try:
            run_settings(run)
        except UsageError as error:
            what = error.message.replace(" in the flags", "")
            raise ConfigError(f"{source}, run '{run.name}': {what}", error.hint) from error
    return definition


def run_settings(run: StudyRun, sets: tuple[str, ...] = ()) -> RunSettings:
    """Return the settings of a run, with the user's `--set` texts over the definition's.

    Raises:
        UsageError: an unknown recipe, key or network, or a value that does not fit.
    """
    spec = TASKS[run.task]
    # A copy, as the layers above are merged into it.
    own = copy.deepcopy(run.settings)
    settings = resolve(spec.settings(), recipe=run.recipe, flags=own, sets=sets)
    require_network(settings.model.name, spec.networks)
    return settings


def _folder() -> Any:
    return resources.files("dlcvcli.studies") / "definitions"
