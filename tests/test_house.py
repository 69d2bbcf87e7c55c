"""The rules of the house, read from the source: who imports whom, who loads torch, who prints."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "dlcvcli"

# From the top floor down. A room may import those on floors below it and beside it on its own.
FLOORS = (
    ("__main__",),
    ("cli",),
    ("studies",),
    ("training", "exporting", "doctor"),
    ("inference", "sam", "figures"),
    ("tasks", "engine"),
    ("models", "runtime", "data"),
    ("config", "runs", "metrics", "prototypes", "boundary", "losses", "palette"),
    ("files", "locks", "machine", "processes", "yaml_reader"),
    ("errors",),
    ("dlcvcli",),  # the version, which everything may ask for
)
HEIGHT = {room: -floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# What runs and scores an exported model, and what must answer before torch could be loaded.
WITHOUT_TORCH = (
    *("dlcvcli", "dlcvcli.errors", "dlcvcli.palette", "dlcvcli.metrics", "dlcvcli.runs"),
    *("dlcvcli.boundary", "dlcvcli.prototypes"),
    *("dlcvcli.config.load", "dlcvcli.config.schema"),
    *("dlcvcli.data.layouts", "dlcvcli.data.masks", "dlcvcli.data.reading"),
    *("dlcvcli.data.segmentation", "dlcvcli.data.batches", "dlcvcli.data.audit"),
    *("dlcvcli.data.image_classes", "dlcvcli.data.episodes", "dlcvcli.data.episode_file"),
    *("dlcvcli.data.few_shot", "dlcvcli.data.class_splits", "dlcvcli.training.fewshot_data"),
    *("dlcvcli.data.synthetic", "dlcvcli.data.glyphs"),
    *("dlcvcli.data.sampler", "dlcvcli.data.normalise"),
    *("dlcvcli.data.download", "dlcvcli.data.unpack", "dlcvcli.data.convert"),
    *("dlcvcli.models.registry", "dlcvcli.training.data", "dlcvcli.training.resume"),
    *("dlcvcli.inference.predictor", "dlcvcli.inference.evaluate"),
    *("dlcvcli.inference.predict", "dlcvcli.inference.compare"),
    *("dlcvcli.inference.embedding", "dlcvcli.inference.onnx_embedder", "dlcvcli.inference.load"),
    *("dlcvcli.inference.episodes", "dlcvcli.inference.evaluate_episodes"),
    *("dlcvcli.studies.definition", "dlcvcli.studies.plan", "dlcvcli.studies.outcome"),
    *("dlcvcli.studies.study", "dlcvcli.studies.table", "dlcvcli.studies.worked_example"),
    *("dlcvcli.studies.kinds", "dlcvcli.studies.study_data", "dlcvcli.studies.made"),
)
WHOLLY_WITHOUT_TORCH = ("dlcvcli.runtime", "dlcvcli.config", "dlcvcli.cli")
HEAVY = ("torch", "torchvision", "lightning_fabric", "matplotlib", "sklearn", "onnx", "onnxscript")


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else module


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def _running(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes of a file, but for those that a type checker alone reads."""
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for part in node.body
        for inner in ast.walk(part)
    }
    return (node for node in ast.walk(tree) if node not in typing_only)


@cache
def _imports(module: str) -> set[str]:
    """Return the modules of dlcv that a file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}:{node.lineno} imports relative to itself"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else str(node.module))
    return {name for name in found if name.split(".")[0] == PACKAGE.name}


def test_every_room_has_its_floor() -> None:
    assert {_room(module) for module in MODULES} <= HEIGHT.keys()


def test_imports_go_down_only() -> None:
    assert not [
        f"{module} imports {name}"
        for module in MODULES
        for name in sorted(_imports(module))
        if HEIGHT[_room(name)] > HEIGHT[_room(module)]
    ]


def test_what_is_imported_exists() -> None:
    assert not [
        f"{module} imports {name}"
        for module in MODULES
        for name in sorted(_imports(module) - MODULES.keys())
    ]


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = {module: _imports(module) - {module} for module in MODULES}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_what_needs_no_torch_loads_none() -> None:
    modules = [
        *WITHOUT_TORCH,
        *(name for name in MODULES if name.startswith(WHOLLY_WITHOUT_TORCH)),
    ]
    # Each import alone would name the culprit; one process takes a second instead of twenty.
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        f"    heavy = [h for h in {HEAVY!r} if h in sys.modules]\n"
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


def test_the_modules_that_need_no_torch_exist() -> None:
    assert {*WITHOUT_TORCH, *WHOLLY_WITHOUT_TORCH} <= MODULES.keys()


def test_the_version_needs_nothing_at_all() -> None:
    assert not [
        node
        for node in ast.walk(_tree("dlcvcli"))
        if isinstance(node, ast.Import)
        or (isinstance(node, ast.ImportFrom) and node.module != "__future__")
    ]


LIBRARY = [name for name in MODULES if _room(name) not in {"cli", "__main__"}]
CALLS = {"print", "input", "exit", "quit", "sys.exit", "os._exit", "breakpoint"}
STREAMS = {"sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__"}
CONSOLES = {"typer", "click", "argparse", "rich", "tqdm"}


def _talk(node: ast.AST) -> set[str]:
    """Return what in a node speaks to a person: a call, a stream or a library for it."""
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
    assert not [
        f"{module}, line {getattr(node, 'lineno', 0)}: {what}"
        for module in LIBRARY
        for node in _running(_tree(module))
        for what in _talk(node)
    ]


def test_the_rule_against_talking_sees_every_way_of_it() -> None:
    ways = ("print(1)", "sys.exit(2)", "sys.stderr.write('a')", "from rich.table import Table")
    for text in (*ways, "import tqdm.auto", "from sys import exit, stdout", "def f(): input()"):
        assert any(_talk(node) for node in ast.walk(ast.parse(text))), text
    assert not any(_talk(node) for node in ast.walk(ast.parse("log.print(1); sys.version_info")))


def _opens_images(module: str) -> list[str]:
    """Return where a file opens images by a library's own function."""
    openers = {("Image", "open"), ("pyplot", "imread"), ("plt", "imread"), ("io", "read_image")}
    found = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value).split(".")[-1]
            found += [f"line {node.lineno}"] if (owner, node.attr) in openers else []
        elif isinstance(node, ast.ImportFrom):
            owner = str(node.module).split(".")[-1]
            found += [f"line {node.lineno}" for a in node.names if (owner, a.name) in openers]
    return found


def test_images_are_opened_in_one_place_alone() -> None:
    # It is what limits the formats, names the file of an error and refuses too many pixels.
    found = {module: _opens_images(module) for module in MODULES}
    assert {module: len(lines) for module, lines in found.items() if lines} == {
        "dlcvcli.data.reading": 1
    }, found
