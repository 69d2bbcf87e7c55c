"""Write docs/reference/ from the code.

    python docs/generate.py

`tests/test_docs.py` fails while a page differs from what the code says.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import typer
import yaml
from pydantic import BaseModel

HERE = Path(__file__).parent
FOLDER = HERE / "reference"
NOTICE = "<!-- Written by docs/generate.py; change the code or docs/json_keys.yaml instead. -->"


# What is read from the package. Where modules move, only these functions change.


def command_tree() -> Any:
    """Return the tree of commands."""
    from dlcvcli.cli.app import make_app

    return typer.main.get_command(make_app())


def settings_classes() -> dict[str, type[BaseModel]]:
    """Return task -> the settings of its `dlcv train` command."""
    from dlcvcli.tasks.registry import TASKS

    return {name: spec.settings() for name, spec in TASKS.items()}


def networks() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Yield the commands that train a network, its entry in the registry and its options."""
    from dlcvcli.models.build import builder_options
    from dlcvcli.models.registry import MODELS
    from dlcvcli.tasks.registry import TASKS

    for entry in MODELS.values():
        tasks = [name for name, spec in TASKS.items() if spec.networks == entry.gives]
        yield ", ".join(f"train {name}" for name in tasks), entry, builder_options(entry.name)


def losses() -> dict[str, tuple[type, ...]]:
    """Return name -> the classes that a loss is the sum of."""
    from dlcvcli.losses import LOSSES

    return LOSSES


def takes_class_weights(loss: str) -> bool:
    """Return whether `loss.class_weights` applies to a loss."""
    from dlcvcli.config.names import UNWEIGHTED_LOSSES

    return loss not in UNWEIGHTED_LOSSES


def recipes() -> dict[str, str]:
    """Return the text of each recipe by name."""
    from importlib import resources

    from dlcvcli.config.load import recipe_names

    folder = resources.files("dlcvcli.config") / "recipes"
    return {name: (folder / f"{name}.yaml").read_text("utf-8") for name in recipe_names()}


def run_files() -> dict[str, str]:
    """Return each path in a run folder with its description."""
    from dlcvcli.runs import RunFolder
    from dlcvcli.tasks.fewshot.scoring import scores_file

    run = RunFolder(Path("RUN"))
    files = {}
    for name, member in vars(RunFolder).items():
        if isinstance(member, property) and isinstance(path := getattr(run, name), Path):
            files[path.as_posix()] = inspect.getdoc(member) or ""
    files[scores_file(run).as_posix()] = "The accuracy of each episode of a few-shot run's test."
    return files


# The pages.


def pages() -> dict[str, str]:
    """Return the name and the text of every page."""
    texts = {
        "cli.md": _cli(),
        "settings.md": _settings(),
        "recipes.md": _recipes(),
        "models.md": _models(),
        "losses.md": _losses(),
        "run-folder.md": _run_folder(),
        "json.md": _json(),
    }
    return {name: f"{NOTICE}\n\n{text.rstrip()}\n" for name, text in texts.items()}


def commands(command: Any = None, name: str = "dlcv") -> Iterator[tuple[str, Any]]:
    """Yield every command with its full name, groups before what they hold."""
    command = command_tree() if command is None else command
    yield name, command
    for part, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {part}")


def _cli() -> str:
    lines = [
        "# Commands",
        "",
        "The same text as `dlcv COMMAND --help`. `dlcv --install-completion` sets up completion",
        "of flags, models and recipes in your shell. [Settings](settings.md) lists what `--set`",
        "changes.",
    ]
    for name, command in commands():
        lines += ["", f"## {name}", "", _plain(command.help or "")]
        inner = getattr(command, "commands", {})
        if inner:
            links = [f"[`{part}`](#{name.replace(' ', '-')}-{part})" for part in inner]
            lines += ["", "Commands: " + ", ".join(links) + "."]
        panels: dict[str, list[Any]] = {}
        for param in command.params:
            if not getattr(param, "hidden", False) and param.name not in _EVERYWHERE:
                panel = "Arguments" if not param.opts[0].startswith("-") else "Options"
                panel = getattr(param, "rich_help_panel", None) or panel
                panels.setdefault(panel, []).append(param)
        for panel, params in panels.items():
            head = f"| {panel} | | default | |"
            lines += ["", head, "|---|---|---|---|", *map(_param_row, params)]
        if command.epilog and not inner:
            examples = [line for line in map(_plain, command.epilog.splitlines()) if line]
            lines += ["", "```sh", *examples, "```"]
    return "\n".join(lines)


_EVERYWHERE = {"help", "install_completion", "show_completion"}


def _plain(text: str) -> str:
    """Return a help text without rich's markup."""
    return re.sub(r"\[/?[a-z ]+\]", "", inspect.cleandoc(text))


def _param_row(param: Any) -> str:
    argument = not param.opts[0].startswith("-")
    names = [*param.opts, *param.secondary_opts]
    shown = (param.metavar or param.name.upper()) if argument else ", ".join(names)
    kind = "" if getattr(param, "is_flag", False) else param.metavar or _kind(param)
    default = param.show_default if isinstance(param.show_default, str) else param.default
    if param.required:
        return _row(f"`{shown}`", kind and f"`{kind}`", "required", _plain(param.help or ""))
    if not param.show_default or default is None or default is False:
        default = ""
    return _row(f"`{shown}`", kind and f"`{kind}`", _code(default), _plain(param.help or ""))


def _kind(param: Any) -> str:
    annotation = param.type_descriptor.annotation
    words = [str(word) for word in get_args(annotation)]
    if words and all(isinstance(word, str) for word in get_args(annotation)):
        return "|".join(words)
    names = {int: "INT", float: "FLOAT", Path: "PATH"}
    kinds = (annotation, *get_args(annotation))
    return next((text for kind, text in names.items() if kind in kinds), "TEXT")


def _settings() -> str:
    lines = [
        "# Settings",
        "",
        "Every key can be set with `--set a.b=value` or in a YAML file for `--config FILE`. Layers",
        "are merged in this order, the last one wins: defaults, `--recipe`, `--config`, flags,",
        "`--set`. `--print-config` prints the result. An unknown key and a value of another type",
        "are errors. YAML is read as plain types: `0013` and `2020-01-01` are text, `1e-3` is a",
        "number, and a key may stand only once.",
    ]
    for task, settings in settings_classes().items():
        lines += ["", f"## dlcv train {task}"]
        for name, field in settings.model_fields.items():
            part = field.annotation
            if isinstance(part, type) and issubclass(part, BaseModel):
                lines += ["", f"### {task}: {name}", "", inspect.getdoc(part) or "", ""]
                lines += ["| key | type | default | |", "|---|---|---|---|"]
                lines += [_row(*cells) for cells in _fields(part, name)]
    return "\n".join(lines)


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    schema = model.model_json_schema()
    for name, field in model.model_fields.items():
        part = field.annotation
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield from _fields(part, f"{prefix}.{name}")
            continue
        default = field.get_default(call_default_factory=True)
        kind = _schema_kind(schema["properties"][name])
        yield f"`{prefix}.{name}`", kind, _code(_yaml(default)), field.description or ""


def _schema_kind(schema: dict[str, Any]) -> str:
    """Return the type of a JSON schema in a few words, with its bounds."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_schema_kind, schema["anyOf"])))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = str(schema.get("type", "value"))
    if kind == "array" and schema.get("minItems") == schema.get("maxItems") is not None:
        return f"list of {schema['maxItems']}"
    bounds = [
        f"{sign} {schema[key]:g}" if isinstance(schema[key], float) else f"{sign} {schema[key]}"
        for key, sign in _BOUNDS.items()
        if key in schema
    ]
    return " ".join((_TYPES.get(kind, kind), ", ".join(bounds))).strip()


_BOUNDS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
_TYPES = {
    "string": "text", "boolean": "true, false", "number": "number", "integer": "integer",
    "array": "list", "object": "mapping",
}  # fmt: skip


def _yaml(value: Any) -> str:
    if value == "":
        return ""
    if isinstance(value, tuple):
        value = list(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return text.removesuffix("\n").removesuffix("\n...")


def _recipes() -> str:
    lines = [
        "# Recipes",
        "",
        "`dlcv train seg --recipe NAME` starts from one of these settings files; flags and `--set`",
        "still change it. The recipes of studies follow reports from the NTU DLCV course (deep",
        "learning for computer vision); their comments say what a report states and what not.",
    ]
    for name, text in recipes().items():
        lines += ["", f"## {name}", "", "```yaml", text.rstrip(), "```"]
    return "\n".join(lines)


def _models() -> str:
    lines = [
        "# Networks",
        "",
        "`dlcv models --size HxW --classes N` prints parameters, GFLOPs and training memory at",
        "your size, `dlcv models NAME` every layer, and `dlcv figure architecture NAME` draws the",
        "network. Options are set with `--set model.options.NAME=VALUE`.",
    ]
    command = ""
    for trained_by, entry, options in networks():
        if trained_by != command:
            command = trained_by
            head = _row("model", "", "options and defaults", "ImageNet weights", "source")
            lines += ["", f"## dlcv {command}", "", head, "|---|---|---|---|---|"]
        shown = ", ".join(f"`{name}={_yaml(value)}`" for name, value in options.items())
        weights = "yes" if entry.weights else "no"
        lines.append(_row(f"`{entry.name}`", entry.summary, shown, weights, entry.source))
    return "\n".join(lines)


def _losses() -> str:
    lines = [
        "# Losses of segmentation",
        "",
        "`--loss NAME`. A name with `+` is the sum of its parts. `loss.class_weights` is `none`,",
        "`median_frequency`, `inverse_log`, `inverse_root`, or one number per class.",
        "",
        "| name | sum of | class weights |",
        "|---|---|---|",
    ]
    described: dict[type, str] = {}
    for name, parts in losses().items():
        weighted = "yes" if takes_class_weights(name) else "no"
        lines.append(_row(f"`{name}`", ", ".join(part.__name__ for part in parts), weighted))
        described |= {part: (inspect.getdoc(part) or "").splitlines()[0] for part in parts}
    lines += ["", "| part | definition |", "|---|---|"]
    lines += [_row(part.__name__, text) for part, text in described.items()]
    return "\n".join(lines)


def _run_folder() -> str:
    lines = [
        "# The run folder",
        "",
        "`dlcv train` writes everything into one folder, `--out`. Other commands take it as `RUN`",
        "or `MODEL`. [JSON keys](json.md) describes the keys of its JSON files.",
        "",
        "| path | |",
        "|---|---|",
        *(_row(f"`{path}`", text.splitlines()[0]) for path, text in run_files().items()),
    ]
    return "\n".join(lines)


def json_keys() -> dict[str, dict[str, Any]]:
    """Return the documents of docs/json_keys.yaml: title -> `about` and `keys`."""
    text = (HERE / "json_keys.yaml").read_text("utf-8")
    documents: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return documents


def _json() -> str:
    lines = [
        "# JSON keys",
        "",
        "Metrics are fractions in [0, 1], times are in seconds unless the key says otherwise. A",
        "word in capitals stands for a name, such as that of a class, `[]` for each item of a",
        "list, and `.*` for all keys below.",
    ]
    for title, document in json_keys().items():
        lines += ["", f"## {title}", "", document["about"].strip(), "", "| key | |", "|---|---|"]
        lines += [_row(f"`{key}`", text) for key, text in document["keys"].items()]
    return "\n".join(lines)


def _code(value: Any) -> str:
    return f"`{value}`" if value not in ("", None) else ""


def _row(*cells: str) -> str:
    # A bar within a cell would end it, in code, too.
    texts = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(texts)} |"


def main() -> None:
    """Write all pages, and remove those that are no longer made."""
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for old in FOLDER.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
