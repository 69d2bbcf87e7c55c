"""Checks that an ONNX graph has the inputs and outputs that its card promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dlcvcli.errors import ModelFileError

if TYPE_CHECKING:
    from dlcvcli.runtime.session import Session

Shape = Sequence[int | None]


def inputs_of(session: Session) -> dict[str, Any]:
    """Return name -> input of a graph, as ONNX Runtime describes it."""
    return {value.name: value for value in session.session.get_inputs()}


def outputs_of(session: Session) -> dict[str, Any]:
    """Return name -> output of a graph, as ONNX Runtime describes it."""
    return {value.name: value for value in session.session.get_outputs()}


def require_value(values: dict[str, Any], name: str, kind: str, shape: Shape, path: object) -> None:
    """Refuse an input or output that is missing, or of another type or shape.

    Args:
        values: by name, as ONNX Runtime describes them.
        name: of the one that is needed.
        kind: its number type, as ONNX Runtime names it.
        shape: its axes; None for any length.
        path: what errors call the file.

    Raises:
        ModelFileError: it is.
    """
    value = values.get(name)
    if value is None:
        raise _differs(path, f"has no '{name}'", f"it has {', '.join(values) or 'none'}")
    # The length of a dynamic axis is a name or None.
    lengths = [axis if isinstance(axis, int) else None for axis in value.shape]
    fits = len(lengths) == len(shape) and all(
        length is None or needed is None or length == needed
        for length, needed in zip(lengths, shape, strict=True)
    )
    if value.type != f"tensor({kind})" or not fits:
        promised = f"{kind} {['any' if axis is None else axis for axis in shape]}"
        raise _differs(
            path,
            f"has '{name}' as {value.type.removeprefix('tensor(').removesuffix(')')} {value.shape}",
            f"its metadata promises {promised}",
        )


def _differs(path: object, what: str, expected: str) -> ModelFileError:
    return ModelFileError(
        f"{path} is not the model that its dlcv metadata describes: it {what} ({expected})",
        "give a file that `dlcv export` wrote",
    )
