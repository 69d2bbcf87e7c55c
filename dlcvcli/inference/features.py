"""Features of a set of images, and how a task computes them; needs neither torch nor sklearn."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dlcvcli.config.names import Provider
from dlcvcli.errors import DataError
from dlcvcli.files import write_atomically
from dlcvcli.runs import ModelRef, RunFolder

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Metric = Literal["euclidean", "cosine"]


@dataclass(frozen=True)
class Features:
    """One vector for each image of a labelled set.

    Attributes:
        values: float32 [N, D], finite.
        labels: int64 [N], places in `classes`.
        classes: names of the classes.
        names: what users call each image.
        title: model and split, for the caption of a figure.
        metric: how the model compares features.
    """

    values: Floats
    labels: Ints
    classes: tuple[str, ...]
    names: tuple[str, ...]
    title: str = ""
    metric: Metric = "euclidean"

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def comparable(self) -> Floats:
        """Return the values [N, D]; for the cosine metric, each scaled to length 1.

        The squared Euclidean distance of vectors of length 1 is twice their cosine distance.
        """
        if self.metric == "euclidean":
            return self.values
        lengths = np.linalg.norm(self.values, axis=1, keepdims=True)
        return np.asarray(self.values / np.maximum(lengths, 1e-12), np.float32)

    def save(self, path: Path) -> None:
        """Write an .npz file that numpy reads without pickle.

        Raises:
            DlcvError: it cannot be written.
        """
        content = io.BytesIO()
        np.savez_compressed(
            content,
            values=self.values,
            labels=self.labels,
            classes=np.array(self.classes, dtype=np.str_),
            names=np.array(self.names, dtype=np.str_),
            title=np.array(self.title),
            metric=np.array(self.metric),
        )
        write_atomically(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> Features:
        """Read a file of `save`.

        Raises:
            DataError: it cannot be read, or holds no features.
        """
        try:
            # Of a path, numpy leaves the file open where it is no archive.
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                features = cls(
                    np.asarray(file["values"], np.float32),
                    np.asarray(file["labels"], np.int64),
                    tuple(file["classes"].tolist()),
                    tuple(file["names"].tolist()),
                    str(file["title"]),
                    "cosine" if str(file["metric"]) == "cosine" else "euclidean",
                )
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} is no file of features", "compute them again") from error
        images, classes = len(features.names), len(features.classes)
        fits = features.values.ndim == 2 and len(features.values) == len(features) == images
        if not fits or not ((features.labels >= 0) & (features.labels < classes)).all():
            raise DataError(f"{path} is no file of features", "compute them again")
        return features


@dataclass(frozen=True)
class FeatureRequest:
    """A model, and the images whose features are wanted.

    Attributes:
        ref: a checkpoint or an ONNX file.
        data: folder of the set.
        split: the part of it.
        provider: for ONNX Runtime; for PyTorch, `cuda` and `cpu` name the device.
    """

    ref: ModelRef
    data: Path
    split: str
    provider: Provider = "auto"


def save_epoch(run: RunFolder, epoch: int, features: Features) -> Path:
    """Write the features that a run's network gives after an epoch; return the file."""
    path = _folder(run) / f"epoch-{epoch:04d}.npz"
    features.save(path)
    return path


def saved_epochs(run: RunFolder) -> dict[int, Path]:
    """Return epoch -> file of the features that a run saved, in order."""
    files = _folder(run).glob("epoch-*.npz")
    by_epoch = {path.stem.removeprefix("epoch-"): path for path in files}
    return {int(e): by_epoch[e] for e in sorted(by_epoch, key=lambda e: (len(e), e)) if e.isdigit()}


def _folder(run: RunFolder) -> Path:
    return run.path / "features"
