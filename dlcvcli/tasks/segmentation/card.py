"""The card of a segmentation model, in a checkpoint and in an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from dlcvcli.data.normalise import MEAN, STD
from dlcvcli.errors import ModelFileError
from dlcvcli.palette import ClassSet
from dlcvcli.runtime.contract import inputs_of, outputs_of, require_value
from dlcvcli.runtime.metadata import IMAGES, LOGITS, ModelCard, json_count, json_value

if TYPE_CHECKING:
    from dlcvcli.runtime.session import Session

# Input and output of an exported segmentation model, beside `images` and `logits`.
SIZE, MASK = "size", "mask"


@dataclass(frozen=True)
class SegmenterCard(ModelCard):
    """What is needed to use a trained segmentation model.

    Attributes:
        classes: the class set; its colours are the palette.
        stride: inputs are padded to a multiple of it, inside the graph.
        binarise: whether each channel of a mask becomes 0 or 255 before its colour is looked up.
    """

    TASK: ClassVar[str] = "seg"

    classes: ClassSet
    stride: int
    _: KW_ONLY
    binarise: bool = False

    def _own_fields(self) -> dict[str, Any]:
        return {
            "classes": list(self.classes.names),
            "palette": [list(colour) for colour in self.classes.colours],
            "class_set": self.classes.as_dict(),
            "ignore_index": self.classes.ignore_index,
            "mean": list(MEAN),
            "std": list(STD),
            "stride": self.stride,
            "binarise": self.binarise,
        }

    @classmethod
    def _read_own(cls, metadata: Mapping[str, str]) -> dict[str, Any]:
        return {
            "classes": _classes(metadata),
            "stride": json_count(metadata, "stride"),
            "binarise": json_value(metadata, "binarise", bool),
        }

    @property
    def class_count(self) -> int:
        return len(self.classes)

    @property
    def usual_size(self) -> tuple[int, int] | None:
        """The (height, width) that the model is meant for: its own, or that of training crops."""
        if self.size is not None:
            return self.size
        crop = self.config["data"].get("crop")
        return None if crop is None else (crop[0], crop[1])

    def require_graph(self, session: Session, path: object) -> None:
        """Refuse a graph that is not the model of this card.

        Raises:
            ModelFileError: an input or output is missing or of another type or shape, or the graph
                has another number of classes than the card.
        """
        inputs, outputs = inputs_of(session), outputs_of(session)
        require_value(inputs, IMAGES, "uint8", (None, *(self.size or (None, None)), 3), path)
        require_value(inputs, SIZE, "int64", (2,), path)
        require_value(outputs, MASK, "uint8", (None, None, None), path)
        classes = len(self.classes)
        if session.channels not in {None, classes}:
            raise ModelFileError(
                f"{path} has {session.channels} classes, and its metadata names {classes}",
                "export the run again",
            )
        if LOGITS in outputs:
            require_value(outputs, LOGITS, "float", (None, classes, None, None), path)


def _classes(metadata: Mapping[str, str]) -> ClassSet:
    classes = ClassSet.from_dict(json_value(metadata, "class_set", dict))
    # The names are there twice: as a list for people, and in the complete class set.
    if json_value(metadata, "classes", list) != list(classes.names):
        raise ValueError("'classes' and 'class_set' name different classes")
    return classes
