"""What a model says of itself, in a checkpoint and in an ONNX file.

A model file can be evaluated and used without any other file or flag: its card holds the classes,
the preprocessing and where it came from. No torch is needed to read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dlcvcli.data.normalise import MEAN, STD
from dlcvcli.errors import ModelFileError
from dlcvcli.palette import ClassSet

FORMAT = "1"

IMAGES, SIZE, MASK, LOGITS = "images", "size", "mask", "logits"

RESIZE_RULE = "stretch, Pillow bilinear with antialiasing, uint8 RGB"


@dataclass(frozen=True)
class ModelCard:
    """What one must know to use a trained segmenter.

    Attributes:
        task: `seg`.
        model: name in the registry.
        classes: the class set; its colours are the palette.
        stride: inputs are padded to a multiple of it, inside the graph.
        size: (height, width) that images are stretched to; None leaves their own size.
        layout, binarise: how the data it was trained on is read.
        recipe: the recipe it was trained with, if any.
        data: fingerprints of the training data, split -> SHA-256.
        metric: the best validation known when this card was written.
        config: the resolved settings of its training.
        versions: of dlcv and torch that trained it, and of those that exported it.
        checkpoint_sha256: of the checkpoint that an ONNX file was made of.
    """

    task: str
    model: str
    classes: ClassSet
    stride: int
    size: tuple[int, int] | None = None
    layout: str = "auto"
    binarise: bool = False
    recipe: str | None = None
    data: dict[str, str] = field(default_factory=dict)
    metric: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    checkpoint_sha256: str = ""

    def to_metadata(self) -> dict[str, str]:
        """Return the card as an ONNX file's `metadata_props`; values other than text are JSON."""
        fields: dict[str, Any] = {
            "dlcv_format": FORMAT,
            "task": self.task,
            "model": self.model,
            "classes": list(self.classes.names),
            "palette": [list(colour) for colour in self.classes.colours],
            "class_set": self.classes.as_dict(),
            "ignore_index": self.classes.ignore_index,
            "mean": list(MEAN),
            "std": list(STD),
            "stride": self.stride,
            "size": None if self.size is None else list(self.size),
            "resize": RESIZE_RULE,
            "layout": self.layout,
            "binarise": self.binarise,
            "recipe": self.recipe,
            "data_sha256": self.data,
            "metric": self.metric,
            "config": self.config,
            "versions": self.versions,
            "checkpoint_sha256": self.checkpoint_sha256,
        }
        return {k: v if isinstance(v, str) else json.dumps(v) for k, v in fields.items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], path: object) -> ModelCard:
        """Read a card back from `metadata_props`.

        Raises:
            ModelFileError: dlcv did not write the file, or a newer dlcv did.
        """
        found = metadata.get("dlcv_format")
        if found is None:
            raise ModelFileError(
                f"{path} is an ONNX model, but not one that dlcv exported: it has no dlcv metadata",
                "export the run: dlcv export RUN",
            )
        if found != FORMAT:
            raise ModelFileError(f"{path} has dlcv format {found}; this dlcv reads {FORMAT}")
        try:
            size = json.loads(metadata["size"])
            recipe = metadata["recipe"]
            return cls(
                task=metadata["task"],
                model=metadata["model"],
                classes=ClassSet.from_dict(json.loads(metadata["class_set"])),
                stride=json.loads(metadata["stride"]),
                size=None if size is None else (size[0], size[1]),
                layout=metadata["layout"],
                binarise=json.loads(metadata["binarise"]),
                recipe=None if recipe == "null" else recipe,
                data=json.loads(metadata["data_sha256"]),
                metric=json.loads(metadata["metric"]),
                config=json.loads(metadata["config"]),
                versions=json.loads(metadata["versions"]),
                checkpoint_sha256=metadata["checkpoint_sha256"],
            )
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise ModelFileError(f"{path}: its dlcv metadata is damaged ({error!r})") from error
