"""Prototypes, distances and confidence intervals for few-shot learning, in numpy.

Running ONNX models needs them without torch. `dlcvcli.models.distances` has the same distances as
trainable layers.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

Ints = NDArray[np.int64]

_TINY = 1e-12
# Number of multiplications up to which OpenBLAS uses one thread.
_ON_ONE_THREAD = 1 << 18


class Distance(Protocol):
    """The similarity of a query to a prototype."""

    @property
    def name(self) -> str:
        """The name in settings and results."""

    def logits(self, query: Floats, prototypes: Floats) -> Floats:
        """Return the logits of queries, larger for nearer prototypes.

        Args:
            query: float32 ``[..., M, D]``.
            prototypes: float32 ``[..., N, D]``.

        Returns:
            float32 ``[..., M, N]``.
        """

    def nearest(self, query: Floats, prototypes: Floats) -> Ints:
        """Return the index of the largest logit, int64 ``[..., M]``, faster than by `logits`."""

    def prepared(self, features: Floats) -> tuple[Floats, Floats, Distance]:
        """Return the part of the computation that many episodes can share.

        Args:
            features: embeddings, float32 ``[n, D]``.

        Returns:
            The embeddings transformed as queries and as support, float32 ``[n, ...]`` each, and the
            distance between the two.
        """


def prototypes_of(support: Floats) -> Floats:
    """Return the mean of each class's embeddings: ``[..., N, K, D]`` to ``[..., N, D]``.

    Snell et al. 2017, arXiv:1703.05175, eq. 1.
    """
    return np.asarray(support.mean(axis=-2), dtype=np.float32)


@dataclass(frozen=True)
class Euclidean:
    """The negative squared Euclidean distance."""

    name = "euclidean"

    def logits(self, query: Floats, prototypes: Floats) -> Floats:
        cross = query @ np.swapaxes(prototypes, -1, -2)
        own = np.square(query).sum(-1)[..., None]
        other = np.square(prototypes).sum(-1)[..., None, :]
        return np.asarray(2 * cross - own - other, dtype=np.float32)

    def nearest(self, query: Floats, prototypes: Floats) -> Ints:
        # The norm of a query is the same for every prototype, and is left out.
        scores = products(query, prototypes)
        scores *= 2
        scores -= np.square(prototypes).sum(-1)[..., None, :]
        return np.asarray(scores.argmax(axis=-1))

    def prepared(self, features: Floats) -> tuple[Floats, Floats, Distance]:
        return features, features, self


@dataclass(frozen=True)
class Cosine:
    """The cosine similarity, times a scale."""

    scale: float
    name = "cosine"

    def logits(self, query: Floats, prototypes: Floats) -> Floats:
        cosines = _unit(query) @ np.swapaxes(_unit(prototypes), -1, -2)
        return np.asarray(self.scale * cosines, dtype=np.float32)

    def nearest(self, query: Floats, prototypes: Floats) -> Ints:
        # The scale, which is positive, and the norm of a query do not change the order.
        return np.asarray(products(query, _unit(prototypes)).argmax(axis=-1))

    def prepared(self, features: Floats) -> tuple[Floats, Floats, Distance]:
        return features, features, self


@dataclass(frozen=True)
class Parametric:
    """Linear layers with ReLU between them, applied to a pair of query and prototype.

    Attributes:
        weights: arrays by their names in `models.distances.ParametricDistance`.
    """

    weights: Mapping[str, Floats]
    name = "parametric"

    def logits(self, query: Floats, prototypes: Floats) -> Floats:
        of_query, _, rest = self.prepared(query)
        _, of_prototype, _ = self.prepared(prototypes)
        return rest.logits(of_query, of_prototype)

    def nearest(self, query: Floats, prototypes: Floats) -> Ints:
        return np.asarray(self.logits(query, prototypes).argmax(axis=-1))

    def prepared(self, features: Floats) -> tuple[Floats, Floats, Distance]:
        """See `Distance.prepared`: the first layer, whose mean is that of the mean."""
        w = self.weights
        of_query = features @ w["of_query.weight"].T + w["of_query.bias"]
        return of_query, features @ w["of_prototype.weight"].T, _Rest(w)


@dataclass(frozen=True)
class _Rest:
    """The layers of a parametric distance after its first one."""

    weights: Mapping[str, Floats]
    name = "parametric"

    def logits(self, query: Floats, prototypes: Floats) -> Floats:
        pairs = query[..., :, None, :] + prototypes[..., None, :, :]
        # Flat, so that each layer is one large product instead of one per query.
        x = pairs.reshape(-1, pairs.shape[-1])
        layer = 0
        while f"rest.{layer}.weight" in self.weights:
            weight, bias = (self.weights[f"rest.{layer}.{part}"] for part in ("weight", "bias"))
            x = np.maximum(x, 0, out=x) @ weight.T + bias
            layer += 1
        return np.asarray(x.reshape(pairs.shape[:-1]), dtype=np.float32)

    def nearest(self, query: Floats, prototypes: Floats) -> Ints:
        return np.asarray(self.logits(query, prototypes).argmax(axis=-1))

    def prepared(self, features: Floats) -> tuple[Floats, Floats, Distance]:
        return features, features, self


def products(query: Floats, prototypes: Floats) -> Floats:
    """Return the inner products float32 ``[..., M, N]`` of ``[..., M, D]`` and ``[..., N, D]``.

    They are computed in parts so small that the matrix library uses one thread for each: starting
    its threads for each of thousands of products takes longer than the products themselves.
    """
    other = np.swapaxes(prototypes, -1, -2)
    count, ways = query.shape[-2], prototypes.shape[-2]
    rows = max(1, _ON_ONE_THREAD // (ways * query.shape[-1]))
    scores = np.empty((*query.shape[:-1], ways), np.float32)
    for start in range(0, count, rows):
        part = (..., slice(start, start + rows), slice(None))
        np.matmul(query[part], other, out=scores[part])
    return scores


def read_distance(spec: Mapping[str, Any]) -> Distance:
    """Return the distance described by `models.distances.Distance.spec`.

    Raises:
        KeyError, TypeError, ValueError: the description is damaged.
    """
    if spec["name"] == "euclidean":
        return Euclidean()
    if spec["name"] == "cosine":
        return Cosine(_positive(float(spec["scale"])))
    if spec["name"] != "parametric":
        raise ValueError(f"no distance is called {spec['name']!r}")
    weights = {name: unpacked(values) for name, values in dict(spec["weights"]).items()}
    if not all(np.isfinite(values).all() for values in weights.values()):
        raise ValueError("a weight of the distance is not finite")
    return Parametric(weights)


def _positive(scale: float) -> float:
    if not 0 < scale < math.inf:
        raise ValueError(f"the scale of a cosine must be positive, and is {scale}")
    return scale


def packed(values: Floats) -> dict[str, Any]:
    """Return an array as plain types for JSON, without loss: little-endian float32 in base64."""
    content = np.ascontiguousarray(values, dtype="<f4").tobytes()
    return {"shape": list(values.shape), "float32": base64.b64encode(content).decode("ascii")}


def unpacked(values: Mapping[str, Any]) -> Floats:
    """Return the array, float32, that `packed` encoded."""
    content = np.frombuffer(base64.b64decode(values["float32"]), dtype="<f4")
    return np.asarray(content.reshape(values["shape"]), dtype=np.float32)


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % confidence interval.

    Attributes:
        mean: mean of the values.
        ci95: half the width of the interval, 1.96 s / sqrt(n), with the sample standard deviation s
            (ddof 1); None for a single value.
        count: number of values n.
    """

    mean: float
    ci95: float | None
    count: int

    def __str__(self) -> str:
        half = "" if self.ci95 is None else f" ± {self.ci95:.4f}"
        return f"{self.mean:.4f}{half}"


def interval(values: NDArray[np.float64]) -> Interval:
    """Return the mean of at least one value, float64 ``[n]``, with its 95 % confidence interval."""
    count = len(values)
    half = 1.96 * float(np.std(values, ddof=1)) / math.sqrt(count) if count > 1 else None
    return Interval(float(np.mean(values)), half, count)


def _unit(vectors: Floats) -> Floats:
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norm, _TINY), dtype=np.float32)
