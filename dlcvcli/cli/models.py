"""`dlcv models`: which networks there are, and what each costs."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcvcli.cli.flags import JsonTo
from dlcvcli.cli.networks import ClassesOption, SetOption, SizeOption
from dlcvcli.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from dlcvcli.models.profile import Layer, Profile
    from dlcvcli.models.registry import ModelEntry

EPILOG = "dlcv models --size 1024x1024\n\ndlcv models deeplabv3_resnet50 --set output_stride=8"

_MIB = 2**20
# Weights, gradients and AdamW's two averages, float32 each.
_BYTES_OF_A_PARAMETER = 16

_WHAT = (
    "GFLOPs: one prediction of one image, a multiply-add is 2; convolutions and matrix products "
    "only.\nMiB/image: what training keeps of each image of a batch for the backward pass, "
    "float32, without the loss."
)


def models(
    name: Annotated[str | None, typer.Argument(help="One of them.", show_default=False)] = None,
    size: SizeOption = "512x512",
    classes: ClassesOption = 21,
    sets: SetOption = None,
    depth: Annotated[
        int | None,
        typer.Option(min=1, help="Levels of the layer table of one model.", show_default="2"),
    ] = None,
    json_to: JsonTo = None,
) -> None:
    """List the networks with what they cost, or describe one, layer by layer."""
    from dlcvcli.cli.console import say
    from dlcvcli.cli.networks import read_options, read_size
    from dlcvcli.models.registry import model_entry

    wanted = read_size(size)
    options = read_options(sets)
    if find_spec("torch") is None:
        say("parameters, GFLOPs and memory are left out: torch, which counts them, is missing")
    if name is not None:
        _describe(model_entry(name), wanted, classes, options, depth or 2, json_to)
    elif options or depth is not None:
        flag = "--set" if options else "--depth"
        raise UsageError(f"{flag} is about one model, and none is named", "dlcv models NAME")
    else:
        _list(wanted, classes, json_to)


def _list(size: tuple[int, int], classes: int, json_to: str | None) -> None:
    from rich.table import Table
    from rich.text import Text

    from dlcvcli.cli.console import stdout, write_result
    from dlcvcli.models.registry import MODELS

    costs = {name: _cost(entry, size, classes, {}) for name, entry in MODELS.items()}
    counted = any(costs.values())
    found = [_as_dict(entry, costs[name]) for name, entry in MODELS.items()]
    write_result({"size": list(size), "classes": classes, "models": found}, json_to)
    if json_to == "-":
        return
    table = Table()
    table.add_column("name", no_wrap=True)
    table.add_column("task")
    for column in ("M parameters", "GFLOPs", "MiB/image") if counted else ():
        table.add_column(column, justify="right")
    table.add_column("what it is")
    for name, entry in MODELS.items():
        cost = costs[name]
        numbers = [] if cost is None else _numbers(cost)
        table.add_row(name, entry.task, *numbers, Text(entry.summary))
    stdout().print(table)
    if counted:
        stdout().print(f"At {size[0]}x{size[1]} with {classes} classes. {_WHAT}", markup=False)


def _describe(
    entry: ModelEntry,
    size: tuple[int, int],
    classes: int,
    options: dict[str, Any],
    depth: int,
    json_to: str | None,
) -> None:
    from dlcvcli.cli.console import facts, stdout, write_result

    cost = _cost(entry, size, classes, options)
    found = {"size": list(size), "classes": classes, "options": options} | _as_dict(entry, cost)
    if cost is not None:
        found["layers"] = [_layer_as_dict(layer) for layer in cost.layers(depth)]
    write_result(found, json_to)
    if json_to == "-":
        return
    rows = [
        ("task", entry.task),
        ("what it is", entry.summary),
        ("source", entry.source),
        ("input", f"any size; padded to a multiple of {entry.stride} inside"),
        ("--weights imagenet", entry.weights[0] if entry.weights else "none exist"),
    ]
    if entry.min_train_batch > 1:
        rows.append(("training batch", f"at least {entry.min_train_batch}"))
    if cost is not None:
        rows += _costs_in_words(entry, cost)
    stdout().print(facts(entry.name, rows))
    if cost is not None:
        stdout().print(_layer_table(cost, depth))
        stdout().print(_WHAT, markup=False)


def _cost(
    entry: ModelEntry, size: tuple[int, int], classes: int, options: dict[str, Any]
) -> Profile | None:
    """Count what a network costs; None where torch is missing."""
    if find_spec("torch") is None:
        return None
    from dlcvcli.models.profile import profile_model

    return profile_model(entry.name, num_classes=classes, size=size, options=options)


def _as_dict(entry: ModelEntry, cost: Profile | None) -> dict[str, Any]:
    """Return what a network is and costs; the counts are null where torch is missing."""
    return {
        "name": entry.name,
        "task": entry.task,
        "summary": entry.summary,
        "source": entry.source,
        "parameters": cost and cost.parameters,
        "flops": cost and cost.flops,
        "training_bytes_per_image": cost and cost.activation_bytes,
    }


def _layer_as_dict(layer: Layer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "kind": layer.kind,
        "shape": layer.shape and list(layer.shape),
        "parameters": layer.parameters,
        "flops": layer.flops,
    }


def _numbers(cost: Profile) -> list[str]:
    return [
        f"{cost.parameters / 1e6:.1f}",
        f"{cost.flops / 1e9:.1f}",
        f"{cost.activation_bytes / _MIB:,.0f}",
    ]


def _costs_in_words(entry: ModelEntry, cost: Profile) -> list[tuple[str, str]]:
    from dlcvcli.models.registry import builder_options

    inside = cost.backbone_parameters
    _, flops, memory = _numbers(cost)
    size = f"{cost.size[0]}x{cost.size[1]}"
    fixed = _BYTES_OF_A_PARAMETER * cost.parameters / _MIB
    rows = [
        (
            "parameters",
            f"{cost.parameters:,} (backbone {inside:,}, head {cost.parameters - inside:,})",
        ),
        ("GFLOPs", f"{flops} at {size}, {cost.num_classes} classes"),
        (
            "memory in training",
            f"{fixed:,.0f} MiB of weights, gradients and AdamW's averages\n"
            f"and at least {memory} MiB an image of {size}",
        ),
    ]
    options = builder_options(entry.name)
    if options:
        lines = (f"--set model.options.{name}={default}" for name, default in options.items())
        rows.append(("options", "\n".join(lines)))
    return rows


def _layer_table(cost: Profile, depth: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"at {cost.size[0]}x{cost.size[1]}", title_justify="left", show_footer=True)
    total = {"parameters": f"{cost.parameters:,}", "GFLOPs": _gflops(cost.flops), "share": "100.0%"}
    table.add_column("layer", footer="total")
    table.add_column("kind")
    for column in ("output", "parameters", "GFLOPs", "share"):
        table.add_column(column, footer=total.get(column, ""), justify="right")
    for layer in cost.layers(depth):
        table.add_row(
            Text(layer.name),
            Text(layer.kind),
            "in training only" if layer.shape is None else "×".join(map(str, layer.shape)),
            f"{layer.parameters:,}",
            _gflops(layer.flops),
            f"{layer.flops / max(1, cost.flops):.1%}",
        )
    return table


def _gflops(flops: int) -> str:
    return f"{flops / 1e9:.3f}" if flops else "–"
