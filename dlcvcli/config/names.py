"""Words that settings and flags choose from; imports nothing heavy, as `dlcv --help` lists them."""

from __future__ import annotations

from typing import Literal

LossName = Literal[
    "cross_entropy",
    "focal",
    "dice",
    "cross_entropy+dice",
    "bce+focal+dice",
    "exponential_cross_entropy",
    "lovasz",
]
# Means over images of what is the same for every class: there is nothing to weight.
UNWEIGHTED_LOSSES: frozenset[LossName] = frozenset({"dice", "lovasz"})

OptimizerName = Literal["sgd", "adam", "adamw"]
ScheduleName = Literal["poly", "step", "cosine", "warmup+cosine", "constant"]

Provider = Literal["auto", "cuda", "tensorrt", "cpu"]
# Those that name a device of PyTorch as well; the others run ONNX files only.
TORCH_PROVIDERS: frozenset[Provider] = frozenset({"auto", "cuda", "cpu"})

Balance = Literal["median_frequency", "inverse_log", "inverse_root"]

DistanceName = Literal["euclidean", "cosine", "parametric"]

# What dlcv passes to a network's builder itself, from other settings and the data's classes.
RESERVED_OPTIONS = frozenset({"name", "num_classes", "weights", "weights_backbone"})
