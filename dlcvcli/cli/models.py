"""`dlcv models`: list the networks with their cost, or describe one of them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcvcli.cli.flags import JsonTo
from dlcvcli.cli.networks import ClassesOption, SetOption, SizeOption
from dlcvcli.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from dlcvcli.models.entry import Gives, ModelEntry
    from dlcvcli.models.profile import Layer, Profile

EPILOG = (
    "dlcv models --size 1024x1024\n\n"
    "dlcv models conv4 --size 28x28\n\n"
    "dlcv models deeplabv3_resnet50 --set output_stride=8 --depth 1"
)

Size = tuple[int, int]

_NOUNS: dict[Gives, str] = {"masks": "segmentation networks", "vectors": "encoders"}

_MIB = 2**20
# The weight, its gradient and AdamW's two moments, in float32.
_BYTES_PER_PARAMETER = 16

_UNITS = (
    "GFLOPs: prediction of one image; convolutions and matrix products only, a multiply-add is 2.\n"
    "MiB/image: float32 activations that training keeps for the backward pass, without the loss."
)


def models(
    name: Annotated[
        str | None, typer.Argument(help="Network to describe, e.g. conv4.", show_default=False)
    ] = None,
    size: SizeOption = None,
    classes: ClassesOption = None,
    sets: SetOption = None,
    depth: Annotated[
        int | None,
        typer.Option(min=1, help="Levels of submodules in the table of layers.", show_default="2"),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also list torchvision's other classifiers.")
    ] = False,
    json_to: JsonTo = None,
) -> None:
    """List the networks with parameters, FLOPs and memory, or describe one with its layers."""
    from dlcvcli.cli.console import say
    from dlcvcli.cli.networks import CLASSES, classes_of, read_options, size_of
    from dlcvcli.config.sizes import read_size
    from dlcvcli.models.entry import USUAL_SIZES
    from dlcvcli.models.registry import model_entry

    options = read_options(sets)
    if find_spec("torch") is None:
        say("torch is not installed: parameters, GFLOPs and memory are left out")
    if name is not None:
        entry = model_entry(name, options)
        height_width, num_classes = size_of(entry, size), classes_of(entry, classes)
        _describe(entry, height_width, num_classes, options, depth or 2, json_to)
    elif options or depth is not None:
        flag = "--set" if options else "--depth"
        raise UsageError(f"{flag} needs the name of a network", f"dlcv models NAME {flag} ...")
    else:
        chosen = None if size is None else read_size(size)
        sizes = {gives: chosen or usual for gives, usual in USUAL_SIZES.items()}
        _list(sizes, classes or CLASSES, every, json_to)


def _list(sizes: dict[Gives, Size], classes: int, every: bool, json_to: str | None) -> None:
    from dlcvcli.cli.console import stdout, write_result
    from dlcvcli.models.entry import OUTPUTS
    from dlcvcli.models.registry import MODELS, OTHERS, fits_size

    costs = {
        # An image too small for some networks still has a cost for the others.
        name: _cost(entry, sizes[entry.gives], classes, {})
        if fits_size(entry, sizes[entry.gives])
        else None
        for name, entry in MODELS.items()
    }
    entries = [_as_dict(entry, sizes[entry.gives], costs[name]) for name, entry in MODELS.items()]
    write_result(
        {
            "size": list(sizes["masks"]),
            "classes": classes,
            "models": entries,
            "others": list(OTHERS),
        },
        json_to,
    )
    if json_to == "-":
        return
    counted = any(costs.values())
    for gives, noun in _NOUNS.items():
        rows = [(entry, costs[name]) for name, entry in MODELS.items() if entry.gives == gives]
        has_classes = rows[0][0].has_classes
        title = f"{noun} ({OUTPUTS[gives]})"
        if counted:
            title += f", at {_times(sizes[gives])}"
            title += f" with {classes} classes" if has_classes else ""
        stdout().print(_list_table(title, rows, counted=counted, values=not has_classes))
    if counted:
        stdout().print(_UNITS, markup=False)
    stdout().print(
        f"{len(OTHERS)} more of torchvision's classifiers are encoders under their names there"
        f"{':' if every else ' (--all lists them)'}",
        *(OTHERS if every else ()),
        markup=False,
    )
    stdout().print("With the extra timm, all of timm's networks are as well: timm/NAME")


def _list_table(
    title: str, rows: list[tuple[ModelEntry, Profile | None]], *, counted: bool, values: bool
) -> Table:
    """Return the table of networks with the same kind of output.

    Args:
        title: its title.
        rows: the networks with their costs; None, for an image that is too small, gives dashes.
        counted: whether the table has costs.
        values: whether the costs include the dimension of the embedding.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    table.add_column("name", no_wrap=True)
    columns = ["M parameters", "GFLOPs", "MiB/image", *(["values"] if values else [])]
    for column in columns if counted else ():
        table.add_column(column, justify="right")
    table.add_column("description")
    for entry, cost in rows:
        numbers = ["–"] * len(columns)
        if cost is not None:
            numbers = [*_numbers(cost), *([str(cost.channels)] if values else [])]
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
    description = {"options": options} | _as_dict(entry, size, cost)
    if entry.has_classes:
        description["classes"] = classes
    if cost is not None:
        description["layers"] = [_layer_as_dict(layer) for layer in cost.layers(depth)]
    write_result(description, json_to)
    if json_to == "-":
        return
    rows = [
        ("description", entry.summary),
        ("paper", entry.source),
        ("input", _input_text(entry)),
        ("output", _output_text(entry, cost)),
        ("--weights imagenet", _weights_text(entry)),
    ]
    if entry.min_train_batch > 1:
        rows.append(("training batch", f"at least {entry.min_train_batch} images"))
    if cost is not None:
        rows += _cost_rows(entry, cost)
    stdout().print(facts(entry.name, rows))
    if cost is not None:
        stdout().print(_layer_table(cost, depth))
        stdout().print(_UNITS, markup=False)


def _input_text(entry: ModelEntry) -> str:
    if entry.only_size:
        return f"images of {_times(entry.only_size)} only"
    least = entry.least_side
    text = "images of any size" if least == 1 else f"images of at least {least}x{least}"
    if entry.pad_multiple > 1:
        text += f", padded to a multiple of {entry.pad_multiple}"
    return text


def _weights_text(entry: ModelEntry) -> str:
    from dlcvcli.models.registry import TIMM

    if entry.name.startswith(TIMM):
        return "those that timm names"
    return entry.weights[0] if entry.weights else "none exist"


def _output_text(entry: ModelEntry, cost: Profile | None) -> str:
    from dlcvcli.models.entry import OUTPUTS

    if cost is None:
        return OUTPUTS[entry.gives]
    return f"{OUTPUTS[entry.gives]}, {cost.channels} {'classes' if entry.has_classes else 'values'}"


def _cost(entry: ModelEntry, size: Size, classes: int, options: dict[str, Any]) -> Profile | None:
    """Return the cost of a network, or None if torch is missing."""
    if find_spec("torch") is None:
        return None
    from dlcvcli.models.profile import profile_model

    return profile_model(entry.name, num_classes=classes, size=size, options=options)


def _as_dict(entry: ModelEntry, size: Size, cost: Profile | None) -> dict[str, Any]:
    """Return the result of one network; its counts are None if it could not be profiled."""
    result = {
        "name": entry.name,
        "gives": entry.gives,
        "summary": entry.summary,
        "source": entry.source,
        "size": list(size),
        "parameters": cost and cost.parameters,
        "flops": cost and cost.flops,
        "training_bytes_per_image": cost and cost.activation_bytes,
    }
    return result if entry.has_classes else result | {"embedding": cost and cost.channels}


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

    memory = cost.activation_bytes / _MIB
    return [
        rounded(cost.parameters / 1e6),
        rounded(cost.flops / 1e9),
        f"{memory:,.0f}" if memory >= 10 else rounded(memory),
    ]


def _cost_rows(entry: ModelEntry, cost: Profile) -> list[tuple[str, str]]:
    from dlcvcli.models.build import builder_options

    parameters = f"{cost.parameters:,}"
    head = cost.parameters - cost.backbone_parameters
    if head:
        parameters += f" (backbone {cost.backbone_parameters:,}, head {head:,})"
    _, flops, memory = _numbers(cost)
    size = _times(cost.size)
    fixed = _BYTES_PER_PARAMETER * cost.parameters / _MIB
    rows = [
        ("parameters", parameters),
        ("GFLOPs", f"{flops} at {size}"),
        (
            "memory in training",
            f"{fixed:,.0f} MiB for weights, gradients and AdamW's moments,\n"
            f"and at least {memory} MiB per image of {size}",
        ),
    ]
    options = builder_options(entry.name)
    if options:
        # Lower case, as YAML writes true and false.
        lines = (f"--set model.options.{key}={default}".lower() for key, default in options.items())
        rows.append(("options", "\n".join(lines)))
    return rows


def _layer_table(cost: Profile, depth: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"at {_times(cost.size)}", title_justify="left", show_footer=True)
    total = {
        "parameters": f"{cost.parameters:,}",
        "GFLOPs": _gflops(cost.flops),
        "of GFLOPs": "100.0%",
    }
    table.add_column("layer", footer="total")
    table.add_column("kind")
    for column in ("output", "parameters", "GFLOPs", "of GFLOPs"):
        table.add_column(column, footer=total.get(column, ""), justify="right")
    for layer in cost.layers(depth):
        table.add_row(
            Text(layer.name),
            Text(layer.kind),
            "training only" if layer.shape is None else "×".join(map(str, layer.shape)),
            f"{layer.parameters:,}",
            _gflops(layer.flops),
            f"{layer.flops / max(1, cost.flops):.1%}",
        )
    return table


def _times(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def _gflops(flops: int) -> str:
    return f"{flops / 1e9:.3f}" if flops else "–"
