"""The structure of the package, read from its source: imports, torch, printing, names of tasks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from dlcvcli.tasks.registry import TASKS

PACKAGE = Path(__file__).parent.parent / "dlcvcli"

# From top to bottom. A module may import those of lower layers and of its own.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("studies", "doctor"),
    ("tasks.registry",),
    ("tasks.*", "sam"),
    ("tasks",),  # the contract that every task fulfils, and the flags that all have
    ("training", "exporting", "outcomes"),
    ("inference", "figures"),
    ("engine",),
    ("models", "runtime", "data"),
    ("config", "runs", "metrics", "prototypes", "boundary", "losses", "palette", "extras"),
    ("flags", "scores", "reporter", "files", "locks", "machine", "processes"),
    ("yaml_reader",),
    ("errors",),
    ("dlcvcli",),  # the version, which every module may ask for
)
HEIGHT = {name: -level for level, names in enumerate(LAYERS) for name in names}

# Packages that run and score exported models, and that answer before torch could be loaded.
WITHOUT_TORCH = (
    *("dlcvcli", "dlcvcli.errors", "dlcvcli.palette", "dlcvcli.metrics", "dlcvcli.runs"),
    *("dlcvcli.boundary", "dlcvcli.prototypes", "dlcvcli.flags", "dlcvcli.scores"),
    *("dlcvcli.models.registry", "dlcvcli.training.resume"),
    *("dlcvcli.inference.evaluation", "dlcvcli.inference.prediction", "dlcvcli.inference.compare"),
    *("dlcvcli.inference.features", "dlcvcli.training.finished"),
)
# Every module of these packages, except the named files.
COMPLETELY_WITHOUT_TORCH = {
    "dlcvcli.runtime": (),
    "dlcvcli.config": (),
    "dlcvcli.cli": ("live",),
    "dlcvcli.data": (
        *("augment", "cache", "episode_batches", "image_augment", "jitter", "loader"),
    ),
    "dlcvcli.outcomes": (),
    "dlcvcli.studies": ("demo",),
    **{
        f"dlcvcli.tasks.{package.name}": ("task", "job", "torch", "export", "graph", "snapshots")
        for package in (PACKAGE / "tasks").iterdir()
        if package.is_dir() and package.name != "__pycache__"
    },
}
HEAVY = ("torch", "torchvision", "lightning_fabric", "sklearn", "onnx", "onnxscript")
# What `dlcv --help` must not load, since it would take longer than the help itself.
SLOW = (*HEAVY, "numpy", "pydantic", "matplotlib", "onnxruntime", "PIL", "yaml")


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _layer(module: str) -> str:
    """Return the entry of `LAYERS` that a module belongs to."""
    parts = module.split(".")
    if parts[1:2] == ["tasks"] and len(parts) > 2:
        inside = f"tasks.{parts[2]}"
        return inside if inside in HEIGHT else "tasks.*" if _task(module) else "tasks"
    return parts[1] if len(parts) > 1 else module


def _task(module: str) -> str | None:
    """Return the package of a task that a module is in."""
    parts = module.split(".")
    inside = parts[1:2] == ["tasks"] and len(parts) > 2
    return parts[2] if inside and (PACKAGE / "tasks" / parts[2]).is_dir() else None


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def _typing_only(tree: ast.Module) -> set[ast.AST]:
    """Return the nodes that run for a type checker alone."""
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for part in node.body
        for inner in ast.walk(part)
    }


@cache
def _imports(module: str) -> frozenset[str]:
    """Return the modules of dlcv that a file imports, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}:{node.lineno} imports relative to itself"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.add(inner if inner in MODULES else str(node.module))
    return frozenset(name for name in names if name.split(".")[0] == PACKAGE.name)


def test_every_module_has_its_layer() -> None:
    assert {_layer(module) for module in MODULES} <= HEIGHT.keys()


def test_imports_go_down_only() -> None:
    assert not [
        f"{module} imports {name}"
        for module in MODULES
        for name in _imports(module)
        if HEIGHT[_layer(name)] > HEIGHT[_layer(module)]
    ]


def test_no_task_imports_another() -> None:
    assert not [
        f"{module} imports {name}"
        for module in MODULES
        for name in _imports(module)
        if _task(module) and _task(name) and _task(name) != _task(module)
    ]


def test_nothing_but_the_registry_imports_a_task() -> None:
    assert not [
        f"{module} imports {name}"
        for module in MODULES
        for name in _imports(module)
        if _task(name) and not _task(module) and module != "dlcvcli.tasks.registry"
    ]


def test_task_names_are_quoted_only_inside_the_tasks() -> None:
    pattern = re.compile(rf"[\"']({'|'.join({*TASKS, 'cls', 'ssl'})})[\"']")
    assert not [
        f"{path.relative_to(PACKAGE)}:{number}: {line.strip()}"
        for path in MODULES.values()
        if path.relative_to(PACKAGE).parts[0] != "tasks"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def test_every_import_exists() -> None:
    assert not [
        f"{module} imports {name}"
        for module in MODULES
        for name in _imports(module)
        if name not in MODULES
    ]


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = {module: _imports(module) - {module} for module in MODULES}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def _require_light(modules: list[str], heavy: tuple[str, ...]) -> None:
    """Import modules one by one in one process, and name the first that loads a library."""
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        f"    heavy = [h for h in {heavy!r} if h in sys.modules]\n"
        "    if heavy: sys.exit(f'{name} loads {heavy}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr


def test_modules_without_torch_do_not_load_it() -> None:
    _require_light([*WITHOUT_TORCH, *_without_torch()], HEAVY)


def _without_torch() -> list[str]:
    return [
        module
        for package, but in COMPLETELY_WITHOUT_TORCH.items()
        for module in MODULES
        if module.startswith(package) and module.rpartition(".")[2] not in but
    ]


def test_the_table_of_tasks_loads_nothing_slow() -> None:
    _require_light(["dlcvcli.tasks.registry", "dlcvcli.cli.flag_table"], SLOW)


def test_the_modules_that_need_no_torch_exist() -> None:
    assert {*WITHOUT_TORCH} <= MODULES.keys()
    for package in COMPLETELY_WITHOUT_TORCH:
        assert any(module.startswith(package) for module in MODULES), package


def test_the_version_imports_no_library() -> None:
    assert not [
        node
        for node in ast.walk(_tree("dlcvcli"))
        if isinstance(node, ast.Import)
        or (isinstance(node, ast.ImportFrom) and node.module != "__future__")
    ]


CALLS = {"print", "input", "exit", "quit", "sys.exit", "os._exit", "breakpoint"}
STREAMS = {"sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__"}
CONSOLES = {"typer", "click", "argparse", "rich", "tqdm"}


def _output(node: ast.AST) -> set[str]:
    """Return the output that a node uses: a call, a stream or a library for consoles."""
    if isinstance(node, ast.Call):
        return {ast.unparse(node.func)} & CALLS
    if isinstance(node, ast.Attribute):
        return {ast.unparse(node)} & STREAMS
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names} & CONSOLES
    if isinstance(node, ast.ImportFrom):
        names = {f"{node.module}.{alias.name}" for alias in node.names}
        return ({str(node.module).split(".")[0]} & CONSOLES) | (names & (CALLS | STREAMS))
    return set()


def test_library_code_neither_prints_nor_parses_nor_exits() -> None:
    library = [name for name in MODULES if _layer(name) not in {"cli", "__main__"}]
    typing_only = {module: _typing_only(_tree(module)) for module in library}
    assert not [
        f"{module}:{getattr(node, 'lineno', 0)}: {what}"
        for module in library
        for node in ast.walk(_tree(module))
        if node not in typing_only[module]
        for what in _output(node)
    ]


def test_the_rule_against_printing_covers_every_way_to_print() -> None:
    ways = ("print(1)", "sys.exit(2)", "sys.stderr.write('a')", "from rich.table import Table")
    for text in (*ways, "import tqdm.auto", "from sys import exit, stdout", "def f(): input()"):
        assert any(_output(node) for node in ast.walk(ast.parse(text))), text
    assert not any(_output(node) for node in ast.walk(ast.parse("log.print(1); sys.version_info")))


def _opens_images(module: str) -> list[str]:
    """Return where a file opens images by a library's own function."""
    openers = {("Image", "open"), ("pyplot", "imread"), ("plt", "imread"), ("io", "read_image")}
    places = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value).split(".")[-1]
            places += [f"line {node.lineno}"] if (owner, node.attr) in openers else []
        elif isinstance(node, ast.ImportFrom):
            owner = str(node.module).split(".")[-1]
            places += [f"line {node.lineno}" for a in node.names if (owner, a.name) in openers]
    return places


def test_images_are_opened_in_one_module() -> None:
    # That module limits the formats, names the file of an error and refuses too many pixels.
    places = {module: _opens_images(module) for module in MODULES}
    assert {module: len(lines) for module, lines in places.items() if lines} == {
        "dlcvcli.data.reading": 1
    }, places
