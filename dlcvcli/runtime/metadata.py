"""Model cards: what a model file says of itself, as metadata of an ONNX file.

A card holds the classes, the preprocessing and the origin of a model, so that a model file can be
evaluated and used without another file or flag. Reading a card needs no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Self

from dlcvcli.data.seen_images import SeenImages
from dlcvcli.errors import ConfigError, ModelFileError

FORMAT = "1"

# Inputs and outputs that models of several tasks have.
IMAGES, LOGITS = "images", "logits"

# Largest side of an image in pixels, and largest number of any other kind in the metadata.
_LARGEST = 1 << 20

RESIZE_RULE = "stretch, Pillow bilinear with antialiasing, uint8 RGB"


@dataclass(frozen=True)
class ModelCard:
    """What is known of a model of any task; each task has a subclass with more.

    Attributes:
        TASK: the task whose models a subclass describes; empty for any task.
        task: the task of the model, as in `dlcv train TASK`.
        model: name of the network in the registry of networks.
        size: (height, width) that images are stretched to; None leaves their own size.
        layout: the layout of its training data.
        recipe: the recipe it was trained with, if any.
        data: fingerprints of the training data, split -> SHA-256.
        seen: which images it was trained and validated on; None where that is not recorded.
        metric: the best validation score when this card was written.
        config: the resolved settings of its training.
        versions: of dlcv and torch that trained it, and of those that exported it.
        checkpoint_sha256: of the checkpoint that an ONNX file was exported from.
    """

    TASK: ClassVar[str] = ""

    task: str
    model: str
    _: KW_ONLY
    size: tuple[int, int] | None = None
    layout: str = "auto"
    recipe: str | None = None
    data: dict[str, str] = field(default_factory=dict)
    seen: SeenImages | None = None
    metric: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    checkpoint_sha256: str = ""

    @property
    def class_count(self) -> int | None:
        """Number of classes that the model predicts; None where they are not fixed."""
        return None

    def to_metadata(self) -> dict[str, str]:
        """Return the card as an ONNX file's `metadata_props`; values other than text are JSON."""
        fields: dict[str, Any] = {
            "dlcv_format": FORMAT,
            "task": self.task,
            "model": self.model,
            **self._own_fields(),
            "size": None if self.size is None else list(self.size),
            "resize": RESIZE_RULE,
            "layout": self.layout,
            "recipe": self.recipe,
            "data_sha256": self.data,
            "seen_images": None if self.seen is None else self.seen.as_dict(),
            "metric": self.metric,
            "config": self.config,
            "versions": self.versions,
            "checkpoint_sha256": self.checkpoint_sha256,
        }
        return {k: v if isinstance(v, str) else json.dumps(v) for k, v in fields.items()}

    @classmethod
    def read(cls, metadata: Mapping[str, str], path: object) -> Self:
        """Read a card back from the `metadata_props` of an ONNX file.

        Args:
            metadata: the file's.
            path: what errors call the file.

        Raises:
            ModelFileError: dlcv did not write the file, or a newer dlcv did; the model is for
                another task; or the metadata is damaged.
        """
        task = read_task(metadata, path)
        if cls.TASK and task != cls.TASK:
            raise ModelFileError(f"{path} is a model of task {task}; one of {cls.TASK} is needed")
        try:
            size = None if metadata["size"] == "null" else json_numbers(metadata, "size", 2, int)
            recipe = metadata["recipe"]
            # Files of older versions have no such key.
            seen = json_value({"seen_images": "null", **metadata}, "seen_images", dict, type(None))
            return cls(
                task=task,
                model=metadata["model"],
                **cls._read_own(metadata),
                size=None if size is None else (size[0], size[1]),
                layout=metadata["layout"],
                recipe=None if recipe == "null" else recipe,
                data=json_value(metadata, "data_sha256", dict),
                seen=None if seen is None else SeenImages.from_dict(seen),
                metric=json_value(metadata, "metric", dict),
                config=json_value(metadata, "config", dict),
                versions=json_value(metadata, "versions", dict),
                checkpoint_sha256=metadata["checkpoint_sha256"],
            )
        except (KeyError, ValueError, TypeError, RecursionError, ConfigError) as error:
            raise ModelFileError(
                f"{path}: its dlcv metadata is damaged ({error!r})", "export the run again"
            ) from error

    def _own_fields(self) -> dict[str, Any]:
        """Return the metadata that a task's card has beyond this one, as plain types."""
        return {}

    @classmethod
    def _read_own(cls, metadata: Mapping[str, str]) -> dict[str, Any]:
        """Return the arguments of a task's card that `_own_fields` wrote."""
        return {}


def read_task(metadata: Mapping[str, str], path: object) -> str:
    """Return the task of a model, as in `dlcv train TASK`.

    Raises:
        ModelFileError: dlcv did not write the file, or a newer dlcv did.
    """
    version = metadata.get("dlcv_format")
    if version is None:
        raise ModelFileError(
            f"{path} is an ONNX model, but not one that dlcv exported: it has no dlcv metadata",
            "export the run: dlcv export RUN",
        )
    if version != FORMAT:
        raise ModelFileError(f"{path} has dlcv format {version}; this dlcv reads {FORMAT}")
    return metadata.get("task", "")


def json_value(metadata: Mapping[str, str], key: str, *kinds: type) -> Any:
    """Return a value that is written as JSON and is of one of some types.

    Raises:
        KeyError, TypeError, ValueError, RecursionError: it is missing or malformed.
    """
    value = json.loads(metadata[key], parse_constant=_refuse_constant)
    if type(value) not in kinds:
        raise TypeError(f"'{key}' is {str(value)[:40]}")
    return value


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def json_count(metadata: Mapping[str, str], key: str) -> int:
    """Return an integer of at least 1; see `json_value`."""
    value: int = json_value(metadata, key, int)
    if not 1 <= value <= _LARGEST:
        raise ValueError(f"'{key}' is {value}")
    return value


def json_numbers(
    metadata: Mapping[str, str], key: str, count: int, *kinds: type
) -> tuple[Any, ...]:
    """Return a list of numbers of one length, integers of at least 1; see `json_value`."""
    values = json_value(metadata, key, list)
    if len(values) != count or not all(type(value) in kinds for value in values):
        raise TypeError(f"'{key}' is {str(values)[:40]}")
    if kinds == (int,) and not all(1 <= value <= _LARGEST for value in values):
        raise ValueError(f"'{key}' is {values}")
    return tuple(values)
