"""Allowed values of settings and flags; fast to import, since `dlcv --help` lists them."""

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
# Losses that treat all classes alike and therefore accept no class weights.
UNWEIGHTED_LOSSES: frozenset[LossName] = frozenset({"dice", "lovasz"})

OptimizerName = Literal["sgd", "adam", "adamw"]
ScheduleName = Literal["poly", "step", "cosine", "warmup+cosine", "constant"]

Provider = Literal["auto", "cuda", "tensorrt", "cpu"]
# Those that name a device of PyTorch as well; the others run ONNX files only.
TORCH_PROVIDERS: frozenset[Provider] = frozenset({"auto", "cuda", "cpu"})

Balance = Literal["median_frequency", "inverse_log", "inverse_root"]

DistanceName = Literal["euclidean", "cosine", "parametric"]

# Arguments of a network's builder that dlcv sets from other settings and the classes of the data.
RESERVED_OPTIONS = frozenset({"name", "num_classes", "weights", "weights_backbone"})
