"""What a model says of itself, in a checkpoint and in an ONNX file.

A model file can be evaluated and used without any other file or flag: its card holds what it tells
apart, the preprocessing and where it came from. No torch is needed to read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, cast

from dlcvcli.data.normalise import MEAN, STD
from dlcvcli.data.seen_images import SeenImages
from dlcvcli.errors import ConfigError, ModelFileError
from dlcvcli.palette import ClassSet
from dlcvcli.prototypes import read_distance

FORMAT = "1"

TaskName = Literal["seg", "fewshot"]

IMAGES, SIZE, MASK, LOGITS = "images", "size", "mask", "logits"
EMBEDDING, SUPPORT, QUERY = "embedding", "support", "query"

# What a few-shot file computes: embeddings of images, or the logits of a whole episode.
ENCODER, EPISODE = "encoder", "episode"

# Of a side of an image in pixels, and of any other number in the metadata.
_LARGEST = 1 << 20

RESIZE_RULE = "stretch, Pillow bilinear with antialiasing, uint8 RGB"


@dataclass(frozen=True)
class ModelCard:
    """What one must know of any model; each task has a card of its own with more.

    Attributes:
        task: `seg` or `fewshot`.
        model: name in the registry.
        size: (height, width) that images are stretched to; None leaves their own size.
        layout: how the data it was trained on is laid out.
        recipe: the recipe it was trained with, if any.
        data: fingerprints of the training data, split -> SHA-256.
        seen: which images it was trained and validated on; None where that is not recorded.
        metric: the best validation known when this card was written.
        config: the resolved settings of its training.
        versions: of dlcv and torch that trained it, and of those that exported it.
        checkpoint_sha256: of the checkpoint that an ONNX file was made of.
    """

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

    def _own_fields(self) -> dict[str, Any]:
        """Return what a task's card has beyond this one, as plain types."""
        raise NotImplementedError

    @classmethod
    def _read_own(cls, metadata: Mapping[str, str]) -> dict[str, Any]:
        """Return the arguments that `_own_fields` were made of."""
        raise NotImplementedError


@dataclass(frozen=True)
class SegmenterCard(ModelCard):
    """What one must know to use a trained segmenter.

    Attributes:
        classes: the class set; its colours are the palette.
        stride: inputs are padded to a multiple of it, inside the graph.
        binarise: how the annotations it was trained on are read.
    """

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
            "stride": _count(metadata, "stride"),
            "binarise": _value(metadata, "binarise", bool),
        }


@dataclass(frozen=True)
class EmbedderCard(ModelCard):
    """What one must know to use a trained prototypical network.

    Attributes:
        dimension: values of an embedding.
        distance: what `dlcvcli.prototypes.read_distance` reads: a name, and what it learned.
        mean, std: what images are normalised with, inside the graph.
        shape: ways, shots and queries of each way that it is tested with unless told otherwise.
        rotations: whether it is tested on turned classes, too.
        classes: split -> the classes that it was trained, chosen and may be tested on.
        graph: what an ONNX file computes, `encoder` or `episode`.
    """

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
        distance = _value(metadata, "distance", dict)
        read_distance(distance)
        return {
            "dimension": _count(metadata, "dimension"),
            "distance": distance,
            "mean": _numbers(metadata, "mean", 3, float, int),
            "std": _numbers(metadata, "std", 3, float, int),
            "shape": _numbers(metadata, "episode", 3, int),
            "rotations": _value(metadata, "rotations", bool),
            "classes": _names_by_split(metadata),
            "graph": metadata["graph"],
        }


def _value(metadata: Mapping[str, str], key: str, *kinds: type) -> Any:
    """Return a value that is written as JSON, of one of some types.

    Raises:
        KeyError, TypeError, ValueError, RecursionError: there is none, or no such one.
    """
    value = json.loads(metadata[key], parse_constant=_refuse_constant)
    if type(value) not in kinds:
        raise TypeError(f"'{key}' is {str(value)[:40]}")
    return value


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _count(metadata: Mapping[str, str], key: str) -> int:
    value: int = _value(metadata, key, int)
    if not 1 <= value <= _LARGEST:
        raise ValueError(f"'{key}' is {value}")
    return value


def _numbers(metadata: Mapping[str, str], key: str, count: int, *kinds: type) -> tuple[Any, ...]:
    """Return a list of numbers of one length; whole ones are at least 1."""
    values = _value(metadata, key, list)
    if len(values) != count or not all(type(value) in kinds for value in values):
        raise TypeError(f"'{key}' is {str(values)[:40]}")
    if kinds == (int,) and not all(1 <= value <= _LARGEST for value in values):
        raise ValueError(f"'{key}' is {values}")
    return tuple(values)


def _classes(metadata: Mapping[str, str]) -> ClassSet:
    classes = ClassSet.from_dict(_value(metadata, "class_set", dict))
    # Said twice: short for people, and whole.
    if _value(metadata, "classes", list) != list(classes.names):
        raise ValueError("'classes' and 'class_set' name different classes")
    return classes


def _names_by_split(metadata: Mapping[str, str]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = _value(metadata, "class_splits", dict)
    if not all(isinstance(names, list) for names in splits.values()) or not all(
        isinstance(name, str) for names in splits.values() for name in names
    ):
        raise TypeError("'class_splits' is no lists of names")
    return splits


_CARDS: dict[str, type[ModelCard]] = {"seg": SegmenterCard, "fewshot": EmbedderCard}


def read_task(metadata: Mapping[str, str], path: object) -> TaskName:
    """Return what a model is for.

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
    task = metadata.get("task")
    if task not in _CARDS:
        raise ModelFileError(f"{path} holds task {task!r}; this dlcv knows {', '.join(_CARDS)}")
    return cast("TaskName", task)


def read_card(metadata: Mapping[str, str], path: object) -> ModelCard:
    """Read the card of a model's task back from `metadata_props`.

    Raises:
        ModelFileError: see `read_task`; or the metadata is damaged.
    """
    task = read_task(metadata, path)
    card = _CARDS[task]
    try:
        size = None if metadata["size"] == "null" else _numbers(metadata, "size", 2, int)
        recipe = metadata["recipe"]
        # Files of older versions have none.
        seen = _value({"seen_images": "null", **metadata}, "seen_images", dict, type(None))
        return card(
            task=task,
            model=metadata["model"],
            **card._read_own(metadata),
            size=None if size is None else (size[0], size[1]),
            layout=metadata["layout"],
            recipe=None if recipe == "null" else recipe,
            data=_value(metadata, "data_sha256", dict),
            seen=None if seen is None else SeenImages.from_dict(seen),
            metric=_value(metadata, "metric", dict),
            config=_value(metadata, "config", dict),
            versions=_value(metadata, "versions", dict),
            checkpoint_sha256=metadata["checkpoint_sha256"],
        )
    except (KeyError, ValueError, TypeError, RecursionError, ConfigError) as error:
        raise ModelFileError(
            f"{path}: its dlcv metadata is damaged ({error!r})", "export the run again"
        ) from error


def read_segmenter_card(metadata: Mapping[str, str], path: object) -> SegmenterCard:
    """Read the card of a segmenter.

    Raises:
        ModelFileError: see `read_card`; or the model is for another task.
    """
    _require_task(metadata, path, "seg", "a segmenter")
    return cast("SegmenterCard", read_card(metadata, path))


def read_embedder_card(metadata: Mapping[str, str], path: object) -> EmbedderCard:
    """Read the card of a few-shot encoder.

    Raises:
        ModelFileError: see `read_card`; or the model is for another task, or takes whole episodes.
    """
    _require_task(metadata, path, "fewshot", "a few-shot model")
    card = cast("EmbedderCard", read_card(metadata, path))
    if card.graph != ENCODER:
        raise ModelFileError(
            f"{path} takes whole episodes (support and query in, logits out); its encoder is "
            "needed alone",
            "export the run without --episode, or give the run folder",
        )
    return card


def _require_task(metadata: Mapping[str, str], path: object, task: TaskName, needed: str) -> None:
    found = read_task(metadata, path)
    if found != task:
        raise ModelFileError(f"{path} holds task '{found}'; {needed} is needed")
