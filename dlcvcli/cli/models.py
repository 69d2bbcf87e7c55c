"""`dlcv models`: which networks there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dlcvcli.models.registry import ModelEntry


def models(
    name: Annotated[str | None, typer.Argument(help="One of them.", show_default=False)] = None,
) -> None:
    """List the networks, or describe one."""
    from rich.table import Table

    from dlcvcli.cli.console import stdout
    from dlcvcli.models.registry import MODELS, model_entry

    if name is not None:
        _describe(model_entry(name))
        return
    table = Table()
    for column in ("name", "task", "what it is", "source"):
        table.add_column(column, no_wrap=column == "name")
    for entry in MODELS.values():
        table.add_row(entry.name, entry.task, entry.summary, entry.source)
    stdout().print(table)


def _describe(entry: ModelEntry) -> None:
    from importlib.util import find_spec

    from dlcvcli.cli.console import facts, stdout

    rows = [
        ("task", entry.task),
        ("what it is", entry.summary),
        ("source", entry.source),
        ("input", f"any size; padded to a multiple of {entry.stride} inside"),
        ("--weights imagenet", entry.weights[0] if entry.weights else "none exist"),
    ]
    if entry.min_train_batch > 1:
        rows.append(("training batch", f"at least {entry.min_train_batch}"))
    if find_spec("torch") is not None:
        backbone, head, options = _measure(entry)
        count = f"{backbone + head:,} (backbone {backbone:,}, head {head:,})"
        rows.append(("parameters", count))
        if options:
            lines = "\n".join(f"--set model.options.{item}" for item in options)
            rows.append(("options", lines))
    stdout().print(facts(entry.name, rows))


def _measure(entry: ModelEntry) -> tuple[int, int, list[str]]:
    """Count the parameters for 21 classes, and list the builder's options with their defaults."""
    import importlib
    import inspect

    import torch

    from dlcvcli.models.registry import build_network

    # Without memory behind it: counting needs no weights.
    with torch.device("meta"):
        network = build_network(entry.name, num_classes=21)
    inside = sum(p.numel() for p in network.get_submodule("backbone").parameters())
    total = sum(p.numel() for p in network.parameters())
    module, _, function = entry.builder.partition(":")
    signature = inspect.signature(getattr(importlib.import_module(module), function))
    options = [
        f"{name}={parameter.default}"
        for name, parameter in signature.parameters.items()
        if name not in {"num_classes", "weights_backbone"}
    ]
    return inside, total - inside, options
