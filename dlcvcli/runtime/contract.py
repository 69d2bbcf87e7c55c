"""Whether an ONNX graph has the inputs and outputs that its card promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcvcli.errors import ModelFileError
from dlcvcli.prototypes import read_distance
from dlcvcli.runtime.metadata import (
    EMBEDDING,
    IMAGES,
    LOGITS,
    MASK,
    SIZE,
    EmbedderCard,
    SegmenterCard,
)
from dlcvcli.runtime.session import Session

Shape = Sequence[int | None]


def require_segmenter(session: Session, card: SegmenterCard, path: object) -> None:
    """Refuse a graph that is not the segmenter of its card.

    Raises:
        ModelFileError: an input or output is missing or of another type or shape, or the graph
            tells apart another number of classes than the card names.
    """
    given = {value.name: value for value in session.session.get_inputs()}
    returned = {value.name: value for value in session.session.get_outputs()}
    _require(given, IMAGES, "uint8", (None, *(card.size or (None, None)), 3), path)
    _require(given, SIZE, "int64", (2,), path)
    _require(returned, MASK, "uint8", (None, None, None), path)
    classes = len(card.classes)
    if session.channels not in {None, classes}:
        raise ModelFileError(
            f"{path} tells apart {session.channels} classes, and its metadata names {classes}",
            "export the run again",
        )
    if LOGITS in returned:
        _require(returned, LOGITS, "float", (None, classes, None, None), path)


def require_encoder(session: Session, card: EmbedderCard, path: object) -> None:
    """Refuse a graph that is not the encoder of its card.

    Raises:
        ModelFileError: an input or output is missing or of another type or shape, or the card's
            distance is not one of such embeddings.
    """
    given = {value.name: value for value in session.session.get_inputs()}
    returned = {value.name: value for value in session.session.get_outputs()}
    if card.size is None:
        raise ModelFileError(f"{path}: its dlcv metadata has no 'size'", "export the run again")
    _require(given, IMAGES, "uint8", (None, *card.size, 3), path)
    _require(returned, EMBEDDING, "float", (None, card.dimension), path)
    nothing = np.zeros((1, card.dimension), np.float32)
    try:
        read_distance(card.distance).logits(nothing, nothing)
    except (KeyError, ValueError, TypeError) as error:
        raise ModelFileError(
            f"{path}: the distance in its dlcv metadata does not fit embeddings of "
            f"{card.dimension} values ({error!r})",
            "export the run again",
        ) from error


def _require(values: dict[str, Any], name: str, kind: str, shape: Shape, path: object) -> None:
    """Refuse an input or output that is missing, or of another type or shape.

    Args:
        values: by name, as ONNX Runtime describes them.
        name: of the one that is needed.
        kind: its number type in ONNX Runtime's words.
        shape: its axes; None for any length.
        path: of the file.
    """
    value = values.get(name)
    if value is None:
        raise _unlike(path, f"has no '{name}'", f"found {', '.join(values) or 'nothing'}")
    # A length that the graph leaves open has a name or none.
    lengths = [axis if isinstance(axis, int) else None for axis in value.shape]
    fits = len(lengths) == len(shape) and all(
        mine is None or asked is None or mine == asked
        for mine, asked in zip(lengths, shape, strict=True)
    )
    if value.type != f"tensor({kind})" or not fits:
        needed = f"{kind} {['any' if axis is None else axis for axis in shape]}"
        raise _unlike(
            path,
            f"has '{name}' as {value.type.removeprefix('tensor(').removesuffix(')')} {value.shape}",
            f"its metadata promises {needed}",
        )


def _unlike(path: object, what: str, wanted: str) -> ModelFileError:
    return ModelFileError(
        f"{path} is not the model that its dlcv metadata describes: it {what} ({wanted})",
        "give a file that `dlcv export` wrote",
    )
