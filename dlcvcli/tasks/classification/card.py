"""The card of a classifier, in a checkpoint and in an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from dlcvcli.data.normalise import MEAN, STD
from dlcvcli.errors import ModelFileError
from dlcvcli.runtime.contract import inputs_of, outputs_of, require_value
from dlcvcli.runtime.metadata import (
    IMAGES,
    LOGITS,
    ModelCard,
    json_count,
    json_numbers,
    json_value,
)

if TYPE_CHECKING:
    from dlcvcli.runtime.session import Session

# Output of an exported classifier, beside `logits`.
FEATURES = "features"


@dataclass(frozen=True)
class ClassifierCard(ModelCard):
    """What is needed to use a trained classifier.

    Attributes:
        classes: names of the classes, in the order of the logits.
        dimension: number of values of the features.
        mean, std: the normalisation of images, inside the graph.
    """

    TASK: ClassVar[str] = "cls"

    classes: tuple[str, ...]
    dimension: int
    _: KW_ONLY
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD

    def _own_fields(self) -> dict[str, Any]:
        return {
            "classes": list(self.classes),
            "dimension": self.dimension,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @classmethod
    def _read_own(cls, metadata: Mapping[str, str]) -> dict[str, Any]:
        return {
            "classes": _classes(metadata),
            "dimension": json_count(metadata, "dimension"),
            "mean": json_numbers(metadata, "mean", 3, float, int),
            "std": json_numbers(metadata, "std", 3, float, int),
        }

    @property
    def class_count(self) -> int:
        return len(self.classes)

    @property
    def image_size(self) -> tuple[int, int]:
        """The (height, width) that images are stretched to; classifiers always have one."""
        assert self.size is not None
        return self.size

    def require_graph(self, session: Session, path: object) -> None:
        """Refuse a graph that is not the model of this card.

        Raises:
            ModelFileError: an input or output is missing or of another type or shape.
        """
        if self.size is None:
            raise ModelFileError(f"{path}: its dlcv metadata has no 'size'", "export the run again")
        require_value(inputs_of(session), IMAGES, "uint8", (None, *self.size, 3), path)
        outputs = outputs_of(session)
        require_value(outputs, LOGITS, "float", (None, len(self.classes)), path)
        require_value(outputs, FEATURES, "float", (None, self.dimension), path)


def _classes(metadata: Mapping[str, str]) -> tuple[str, ...]:
    names = json_value(metadata, "classes", list)
    if not all(isinstance(name, str) for name in names) or not 2 <= len(names) == len(set(names)):
        raise ValueError("'classes' is not a list of at least two different names")
    return tuple(names)
