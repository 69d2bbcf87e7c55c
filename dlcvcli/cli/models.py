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

EPILOG = (
    "dlcv models --size 1024x1024\n\ndlcv models deeplabv3_resnet50 --set output_stride=8\n\n"
    "dlcv models conv4 --size 28x28"
)

Size = tuple[int, int]

_TASKS = {"seg": "semantic segmentation", "fewshot": "encoders of images"}

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
    size: SizeOption = None,
    classes: ClassesOption = None,
    sets: SetOption = None,
    depth: Annotated[
        int | None,
        typer.Option(min=1, help="Levels of the layer table of one model.", show_default="2"),
    ] = None,
    json_to: JsonTo = None,
) -> None:
    """List the networks with what they cost, or describe one, layer by layer."""
    from dlcvcli.cli.console import say
    from dlcvcli.cli.networks import CLASSES, classes_of, read_options, size_of
    from dlcvcli.config.sizes import read_size
    from dlcvcli.models.registry import USUAL_SIZES, model_entry

    options = read_options(sets)
    if find_spec("torch") is None:
        say("parameters, GFLOPs and memory are left out: torch, which counts them, is missing")
    if name is not None:
        entry = model_entry(name)
        wanted, num_classes = size_of(entry, size), classes_of(entry, classes)
        _describe(entry, wanted, num_classes, options, depth or 2, json_to)
    elif options or depth is not None:
        flag = "--set" if options else "--depth"
        raise UsageError(f"{flag} is about one model, and none is named", "dlcv models NAME")
    else:
        typed = None if size is None else read_size(size)
        sizes = {task: typed or usual for task, usual in USUAL_SIZES.items()}
        _list(sizes, classes or CLASSES, json_to)


def _list(sizes: dict[str, Size], classes: int, json_to: str | None) -> None:
    from dlcvcli.cli.console import stdout, write_result
    from dlcvcli.models.registry import MODELS, fits_size

    costs = {
        # Too small for one of the encoders is no reason to keep back what the others cost.
        name: _cost(entry, sizes[entry.task], classes, {})
        if fits_size(entry, sizes[entry.task])
        else None
        for name, entry in MODELS.items()
    }
    found = [_as_dict(entry, sizes[entry.task], costs[name]) for name, entry in MODELS.items()]
    write_result({"size": list(sizes["seg"]), "classes": classes, "models": found}, json_to)
    if json_to == "-":
        return
    counted = any(costs.values())
    for task, what in _TASKS.items():
        rows = [(entry, costs[name]) for name, entry in MODELS.items() if entry.task == task]
        title = f"{task}: {what}"
        if counted:
            title += f", at {_times(sizes[task])}"
            title += f" with {classes} classes" if task == "seg" else ""
        stdout().print(_list_table(title, rows, counted=counted, embeds=task == "fewshot"))
    if counted:
        stdout().print(_WHAT, markup=False)


def _list_table(
    title: str, rows: list[tuple[ModelEntry, Profile | None]], *, counted: bool, embeds: bool
) -> Table:
    """Make the table of a task's networks; what cannot be counted at its size has dashes."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    table.add_column("name", no_wrap=True)
    columns = ["M parameters", "GFLOPs", "MiB/image", *(["values"] if embeds else [])]
    for column in columns if counted else ():
        table.add_column(column, justify="right")
    table.add_column("what it is")
    for entry, cost in rows:
        numbers = ["–"] * len(columns)
        if cost is not None:
            numbers = [*_numbers(cost), *([str(cost.embedding)] if embeds else [])]
        table.add_row(entry.name, *(numbers if counted else ()), Text(entry.summary))
    return table


def _describe(
    entry: ModelEntry,
    size: Size,
    classes: int,
    options: dict[str, Any],
    depth: int,
    json_to: str | None,
) -> None:
    from dlcvcli.cli.console import facts, stdout, write_result

    cost = _cost(entry, size, classes, options)
    found = {"options": options} | _as_dict(entry, size, cost)
    if entry.task == "seg":
        found["classes"] = classes
    if cost is not None:
        found["layers"] = [_layer_as_dict(layer) for layer in cost.layers(depth)]
    write_result(found, json_to)
    if json_to == "-":
        return
    rows = [
        ("task", entry.task),
        ("what it is", entry.summary),
        ("source", entry.source),
        ("input", _input_in_words(entry)),
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


def _input_in_words(entry: ModelEntry) -> str:
    if entry.task == "fewshot":
        return f"any size of at least {entry.stride}x{entry.stride}"
    return f"any size; padded to a multiple of {entry.stride} inside"


def _cost(entry: ModelEntry, size: Size, classes: int, options: dict[str, Any]) -> Profile | None:
    """Count what a network costs; None where torch is missing."""
    if find_spec("torch") is None:
        return None
    from dlcvcli.models.profile import profile_model

    return profile_model(entry.name, num_classes=classes, size=size, options=options)


def _as_dict(entry: ModelEntry, size: Size, cost: Profile | None) -> dict[str, Any]:
    """Return what a network is and costs; the counts are null where it could not be counted."""
    found = {
        "name": entry.name,
        "task": entry.task,
        "summary": entry.summary,
        "source": entry.source,
        "size": list(size),
        "parameters": cost and cost.parameters,
        "flops": cost and cost.flops,
        "training_bytes_per_image": cost and cost.activation_bytes,
    }
    return found | ({"embedding": cost and cost.embedding} if entry.task == "fewshot" else {})


def _layer_as_dict(layer: Layer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "kind": layer.kind,
        "shape": layer.shape and list(layer.shape),
        "parameters": layer.parameters,
        "flops": layer.flops,
    }


def _numbers(cost: Profile) -> list[str]:
    from dlcvcli.models.profile import rounded

    kept = cost.activation_bytes / _MIB
    return [
        rounded(cost.parameters / 1e6),
        rounded(cost.flops / 1e9),
        f"{kept:,.0f}" if kept >= 10 else rounded(kept),
    ]


def _costs_in_words(entry: ModelEntry, cost: Profile) -> list[tuple[str, str]]:
    from dlcvcli.models.registry import builder_options

    inside = cost.backbone_parameters
    parameters = f"{cost.parameters:,}"
    if cost.embedding is None:
        parameters += f" (backbone {inside:,}, head {cost.parameters - inside:,})"
    _, flops, memory = _numbers(cost)
    size = _times(cost.size)
    fixed = _BYTES_OF_A_PARAMETER * cost.parameters / _MIB
    classes = "" if cost.num_classes is None else f", {cost.num_classes} classes"
    rows = [
        *([] if cost.embedding is None else [("embedding", f"{cost.embedding} values")]),
        ("parameters", parameters),
        ("GFLOPs", f"{flops} at {size}{classes}"),
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

    table = Table(title=f"at {_times(cost.size)}", title_justify="left", show_footer=True)
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


def _times(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def _gflops(flops: int) -> str:
    return f"{flops / 1e9:.3f}" if flops else "–"
