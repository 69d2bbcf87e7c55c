"""Merging and validation of settings: defaults < recipe < file < flags < --set."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dlcvcli.config.schema import RunSettings
from dlcvcli.config.values import Settings
from dlcvcli.errors import ConfigError, nearest, shorten
from dlcvcli.yaml_reader import MAX_DEPTH, parse_yaml, read_yaml, require_mapping
from dlcvcli.yaml_reader import to_yaml as dump

S = TypeVar("S", bound=Settings)
Tree = dict[str, Any]


def resolve(
    schema: type[S],
    *,
    base: Tree | None = None,
    recipe: str | None = None,
    file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    sets: Iterable[str] = (),
) -> S:
    """Merge the layers of settings and validate the result.

    Args:
        schema: the settings model of the command.
        base: settings to start from instead of the defaults, e.g. those of a run to resume.
        recipe: name of a recipe that comes with dlcv.
        file: YAML file with settings.
        flags: dotted key -> value of a flag; None if the user did not give the flag.
        sets: `a.b=value` strings, with the value in YAML.

    Raises:
        ConfigError: an unknown recipe, file or key, or an invalid value.
    """
    tree: Tree = copy.deepcopy(base or {})
    origin: dict[str, str] = {}
    if recipe is not None:
        own = load_recipe(recipe)
        _require_task(recipe, own, schema)
        _merge(tree, own, origin, f"recipe '{recipe}'")
        tree["recipe"] = recipe
    typed = [_nest(key, value) for key, value in (flags or {}).items() if value is not None]
    layers = [
        [] if file is None else [(_load_file(file), str(file))],
        [(part, "the flags") for part in typed],
        [(_nest(*parse_set(text)), f"--set {shorten(text)}") for text in sets],
    ]
    for layer in layers:
        _replace_epochs_or_steps(tree, [part for part, _ in layer])
        for part, source in layer:
            _require_recipe(tree, part, source)
            _merge(tree, part, origin, source)
    return validate(schema, tree, origin)


def validate(schema: type[S], tree: Tree, origin: Mapping[str, str] | None = None) -> S:
    """Check a tree of plain types against a settings model.

    Args:
        schema: the model.
        tree: settings as plain types.
        origin: dotted key -> source of the key and of all keys below it; `""` stands for all keys.

    Raises:
        ConfigError: names the first invalid key, its source, and the most similar known key or the
            reason, in one line.
    """
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        first = _first_error(schema, error)
        path = [str(part) for part in first["loc"]]
        of_key = first["type"] in {"extra_forbidden", "invalid_key"}
        key = ".".join(path) if of_key else _known_prefix(schema, path)
        source = _origin_of(key, origin or {})
        where = f" in {source}" if source else ""
        if first["type"] == "extra_forbidden":
            known = _keys_at(schema, path[:-1])
            hint = nearest(path[-1], known)
            raise ConfigError(f"unknown key '{key}'{where}", hint) from None
        reason = first["msg"].removeprefix("Value error, ")
        value = first.get("input")
        shown = f" (got {shorten(repr(value))})" if isinstance(value, str | int | float) else ""
        what = f"key '{key}'{where}" if key else source or "settings"
        raise ConfigError(f"{what}: {reason}{shown}") from None


def to_yaml(settings: Settings) -> str:
    """Return settings as YAML: first task, recipe, data, model and the task's own sections."""
    tree = settings.model_dump(mode="json")
    own = [key for key in tree if key not in RunSettings.model_fields]
    first = ["task", "recipe", "data", "model", *own]
    return dump({key: tree[key] for key in first if key in tree} | tree)


def recipe_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with dlcv."""
    folder = resources.files("dlcvcli.config") / "recipes"
    return tuple(
        sorted(
            item.name.removesuffix(".yaml")
            for item in folder.iterdir()
            if item.name.endswith(".yaml")
        )
    )


def load_recipe(name: str) -> Tree:
    """Return a recipe as plain types.

    Raises:
        ConfigError: there is no such recipe.
    """
    if name not in recipe_names():
        raise ConfigError(f"unknown recipe '{name}'", nearest(name, recipe_names()))
    text = (resources.files("dlcvcli.config") / "recipes" / f"{name}.yaml").read_text("utf-8")
    return require_mapping(parse_yaml(text, source := f"recipe '{name}'"), source)


def suggest_recipe(settings: RunSettings, layout: str) -> tuple[str, ...]:
    """Return a line that names the recipe for a layout; empty where there is none or one is used.

    A recipe that is made for one layout has the layout's name.
    """
    if settings.recipe is not None or layout not in recipe_names():
        return ()
    if load_recipe(layout).get("task") != settings.task:
        return ()
    return (f"the recipe '{layout}' is made for this layout: add --recipe {layout} to use it",)


def differences(one: Settings, other: Settings) -> dict[str, tuple[Any, Any]]:
    """Return the dotted keys whose values differ, with both values."""
    first, second = _flatten(one.model_dump(mode="json")), _flatten(other.model_dump(mode="json"))
    keys = sorted(first.keys() | second.keys())
    return {
        key: (first.get(key), second.get(key)) for key in keys if first.get(key) != second.get(key)
    }


def _require_task(recipe: str, own: Tree, schema: type[Settings]) -> None:
    """Refuse a recipe of another task, instead of reporting its first unknown key."""
    field = schema.model_fields.get("task")
    task = own.get("task")
    if field is not None and field.default != task:
        raise ConfigError(
            f"recipe '{recipe}' is for task {task}, not {field.default}",
            f"use it as in: dlcv train {task} --recipe {recipe}",
        )


def _require_recipe(tree: Tree, layer: Tree, source: str) -> None:
    """Refuse a layer whose key `recipe` differs from `--recipe`: the stored name would be wrong.

    The settings file of an earlier run names its recipe; using it needs the same `--recipe`.
    """
    name = layer.get("recipe")
    if "recipe" in layer and name != tree.get("recipe"):
        known = name if name in recipe_names() else "NAME"
        raise ConfigError(
            f"key 'recipe' in {source}: only the flag --recipe selects a recipe "
            f"(got {shorten(repr(name))})",
            f"use --recipe {known} and remove the key" if name else "leave --recipe out",
        )


def _load_file(path: Path) -> Tree:
    data = read_yaml(path, "settings file")
    return {} if data is None else require_mapping(data, f"settings file {path}")


def parse_set(text: str, example: str = "optim.lr=0.01") -> tuple[str, Any]:
    """Return the key and the value of a `--set` argument; the value is parsed as YAML.

    Raises:
        ConfigError: the argument has no key or no equals sign, or the value is not YAML.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {shorten(text)}: expected KEY=VALUE", f"e.g. --set {example}")
    if key.count(".") >= MAX_DEPTH:
        raise ConfigError(f"--set {shorten(text)}: the key has more than {MAX_DEPTH} parts")
    return key.strip(), parse_yaml(value, f"--set {shorten(text)}: the value")


def _replace_epochs_or_steps(tree: Tree, layer: list[Tree]) -> None:
    """Let `train.steps` of a layer replace `train.epochs` of lower layers, and the reverse.

    Both keys in one layer are kept, and refused by the validation.
    """
    lower = tree.get("train")
    for part in layer:
        train = part.get("train")
        if isinstance(train, dict) and isinstance(lower, dict):
            for key, other in (("epochs", "steps"), ("steps", "epochs")):
                if train.get(key) is not None:
                    lower.pop(other, None)


def _nest(key: str, value: Any) -> Tree:
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def _merge(tree: Tree, layer: Tree, origin: dict[str, str], source: str, prefix: str = "") -> None:
    for key, value in layer.items():
        dotted = f"{prefix}{key}"
        # A layer replaces single keys, also those of builder options.
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value, origin, source, f"{dotted}.")
            origin[dotted] = source
            continue
        tree[key] = dict(value) if isinstance(value, dict) else value
        origin[dotted] = source
        if isinstance(value, dict):
            for inner in _flatten(value, f"{dotted}."):
                origin[inner] = source


def _flatten(tree: Tree, prefix: str = "") -> Tree:
    flat: Tree = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _origin_of(key: str, origin: Mapping[str, str]) -> str:
    while key:
        if key in origin:
            return origin[key]
        key = key.rpartition(".")[0]
    return origin.get("", "")


def _model_of(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _first_error(schema: type[BaseModel], error: ValidationError) -> ErrorDetails:
    """Return the error to report: unknown keys first, since a missing key may be a mistyped one.

    For a value that matches no member of a union, pydantic lists errors of each member. The one
    with the deepest location belongs to the most similar member.
    """
    errors = sorted(error.errors(), key=lambda details: details["type"] != "extra_forbidden")

    def key(details: ErrorDetails) -> str:
        return _known_prefix(schema, [str(part) for part in details["loc"]])

    same_key = [details for details in errors if key(details) == key(errors[0])]
    return max(same_key, key=lambda details: len(details["loc"]))


def _known_prefix(schema: type[BaseModel], path: list[str]) -> str:
    """Return the dotted key of an error, without the inner parts of pydantic's location."""
    known: list[str] = []
    model: type[BaseModel] | None = schema
    for part in path:
        if model is None or (part not in model.model_fields and not part.isdigit()):
            break
        known.append(part)
        model = _below(model, part)
    return ".".join(known) or ".".join(path)


def _keys_at(schema: type[BaseModel], path: list[str]) -> list[str]:
    model: type[BaseModel] | None = schema
    for part in path:
        if model is None or (part not in model.model_fields and not part.isdigit()):
            return []
        model = _below(model, part)
    return list(model.model_fields) if model is not None else []


def _below(model: type[BaseModel], part: str) -> type[BaseModel] | None:
    """Return the model of a field; a number is an index into a list of the current model."""
    return model if part.isdigit() else _model_of(model.model_fields[part].annotation)
