"""The card of a few-shot model, in a checkpoint and in an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dlcvcli.data.normalise import MEAN, STD
from dlcvcli.errors import ModelFileError
from dlcvcli.prototypes import read_distance
from dlcvcli.runtime.contract import inputs_of, outputs_of, require_value
from dlcvcli.runtime.metadata import IMAGES, ModelCard, json_count, json_numbers, json_value

if TYPE_CHECKING:
    from dlcvcli.runtime.session import Session

# Inputs and output of an exported few-shot model, beside `images` and `logits`.
EMBEDDING, SUPPORT, QUERY = "embedding", "support", "query"

# The graph of a file: the embeddings of images, or the logits of a complete episode.
ENCODER, EPISODE = "encoder", "episode"


@dataclass(frozen=True)
class EncoderCard(ModelCard):
    """What is needed to use a trained prototypical network.

    Attributes:
        dimension: number of values of an embedding.
        distance: its name and learned values, for `dlcvcli.prototypes.read_distance`.
        mean, std: the normalisation of images, inside the graph.
        shape: default ways, shots and queries per way of its evaluation.
        rotations: whether it is evaluated on rotated classes as well.
        classes: split -> its classes.
        graph: the graph of an ONNX file, `encoder` or `episode`.
    """

    TASK: ClassVar[str] = "fewshot"

    dimension: int
    distance: dict[str, Any]
    _: KW_ONLY
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    shape: tuple[int, int, int] = (5, 1, 15)
    rotations: bool = False
    classes: dict[str, list[str]] = field(default_factory=dict)
    graph: str = ENCODER

    def _own_fields(self) -> dict[str, Any]:
        return {
            "dimension": self.dimension,
            "distance": self.distance,
            "mean": list(self.mean),
            "std": list(self.std),
            "episode": list(self.shape),
            "rotations": self.rotations,
            "class_splits": self.classes,
            "graph": self.graph,
        }

    @classmethod
    def _read_own(cls, metadata: Mapping[str, str]) -> dict[str, Any]:
        distance = json_value(metadata, "distance", dict)
        read_distance(distance)
        return {
            "dimension": json_count(metadata, "dimension"),
            "distance": distance,
            "mean": json_numbers(metadata, "mean", 3, float, int),
            "std": json_numbers(metadata, "std", 3, float, int),
            "shape": json_numbers(metadata, "episode", 3, int),
            "rotations": json_value(metadata, "rotations", bool),
            "classes": _names_by_split(metadata),
            "graph": metadata["graph"],
        }

    @property
    def image_size(self) -> tuple[int, int]:
        """The (height, width) that images are stretched to; few-shot models always have one."""
        assert self.size is not None
        return self.size

    @property
    def data_path(self) -> str:
        """The folder of its training data."""
        return str(self.config["data"]["path"])

    @property
    def cache_bytes(self) -> int:
        """Memory for decoded images in bytes, as in its training."""
        return int(self.config["data"]["cache"])

    def require_graph(self, session: Session, path: object) -> None:
        """Refuse a graph that is not the encoder of this card.

        Raises:
            ModelFileError: it computes complete episodes; an input or output is missing or of
                another type or shape; or the card's distance is not one of such embeddings.
        """
        if self.graph != ENCODER:
            raise ModelFileError(
                f"{path} takes complete episodes (support and query in, logits out), and a file of "
                "the encoder is needed",
                "export the run without --episode, or give the run folder",
            )
        if self.size is None:
            raise ModelFileError(f"{path}: its dlcv metadata has no 'size'", "export the run again")
        require_value(inputs_of(session), IMAGES, "uint8", (None, *self.size, 3), path)
        require_value(outputs_of(session), EMBEDDING, "float", (None, self.dimension), path)
        nothing = np.zeros((1, self.dimension), np.float32)
        try:
            read_distance(self.distance).logits(nothing, nothing)
        except (KeyError, ValueError, TypeError) as error:
            raise ModelFileError(
                f"{path}: the distance in its dlcv metadata does not fit embeddings of "
                f"{self.dimension} values ({error!r})",
                "export the run again",
            ) from error


def _names_by_split(metadata: Mapping[str, str]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = json_value(metadata, "class_splits", dict)
    if not all(isinstance(names, list) for names in splits.values()) or not all(
        isinstance(name, str) for names in splits.values() for name in names
    ):
        raise TypeError("'class_splits' has values that are not lists of names")
    return splits
