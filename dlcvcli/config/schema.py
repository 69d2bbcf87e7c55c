"""Settings of a training run: one frozen model per command, composed of shared parts.

Every field says what it means, so that the file written into a run folder can be read back by a
person. An unknown key is an error, and so is a value of another type: no text or boolean is taken
for a number. Every integer has an upper bound.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dlcvcli.config.names import OptimizerName, ScheduleName
from dlcvcli.config.values import (
    BatchSize,
    Count,
    CountOrZero,
    Duration,
    Options,
    Range,
    Ranks,
    Settings,
    Share,
    Workers,
)
from dlcvcli.errors import UsageError


class AugmentSettings(Settings):
    """Random changes to a training image; each is off at 0, [1, 1] or false."""

    scale: Range = Field((0.5, 2.0), description="random scale, low and high")
    flip: Share = Field(0.5, description="probability of a left-right flip")
    brightness: Share = Field(0.25, description="factor drawn from 1 ± this")
    contrast: Share = Field(0.25, description="factor drawn from 1 ± this")
    saturation: Share = Field(0.25, description="factor drawn from 1 ± this")
    hue: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.0, description="shift in turns, ± this; costs more than all else together"
    )


class JitterSettings(Settings):
    """Random movements of training images, each image's own; each is off at 0 or [1, 1]."""

    rotate: Annotated[float, Field(ge=0, le=180)] = Field(0.0, description="degrees, ± this")
    shear: Annotated[float, Field(ge=0, le=45)] = Field(0.0, description="degrees, ± this")
    scale: Range = Field((1.0, 1.0), description="low and high")
    shift: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.0, description="share of the side, ± this, in each direction"
    )
    flip: Share = Field(0.0, description="probability of a left-right flip")

    @property
    def is_off(self) -> bool:
        """Whether it leaves images as they are."""
        return self == JitterSettings()


class ModelSettings(Settings):
    """Which network; a task names the default."""

    name: str = Field(description="see `dlcv models`")
    weights: str = Field("none", description="none, imagenet, or a state dict's file")
    options: Options = Field(
        default_factory=dict, description="builder options, e.g. {output_stride: 8}"
    )


class OptimSettings(Settings):
    """How it is minimised."""

    name: OptimizerName = "adamw"
    lr: Annotated[float, Field(gt=0)] = Field(1e-3, description="peak rate of the heads")
    backbone_lr_scale: Annotated[float, Field(ge=0)] | None = Field(
        None, description="rate of the backbone / rate of the heads; null: 0.1 with weights, else 1"
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        1e-2, description="not applied to biases and norms; of adam, part of the gradient"
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="of sgd")
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        None, description="largest gradient norm; null: no clipping"
    )
    accumulate: BatchSize = Field(1, description="parts that a global batch is computed in")
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="decay of a moving average of the weights, e.g. 0.999, which is then what is "
        "validated, kept as best and exported; null: none",
    )


class ScheduleSettings(Settings):
    """How the rate changes with the step."""

    name: ScheduleName = "poly"
    power: Annotated[float, Field(gt=0)] = Field(0.9, description="of poly")
    every: Count = Field(1000, description="of step: steps between cuts")
    gamma: Annotated[float, Field(gt=0, le=1)] = Field(0.9, description="of step: factor of a cut")
    min_lr: Annotated[float, Field(ge=0)] = Field(
        0.0, description="of cosine: the last rate; above the peak rate, it rises to it"
    )
    warmup: CountOrZero | None = Field(
        None,
        description="steps of linear warm-up before it; null: a twentieth of the run for "
        "warmup+cosine, else none",
    )

    @model_validator(mode="after")
    def _warm_up(self) -> ScheduleSettings:
        if self.name == "warmup+cosine" and self.warmup == 0:
            raise ValueError("warmup+cosine with a warmup of 0 steps; call it cosine")
        return self


class TrainSettings(Settings):
    """How long, how fast, and what is kept."""

    epochs: Count | None = Field(None, description="length in epochs")
    steps: Count | None = Field(None, description="length in steps")
    batch_size: BatchSize = Field(8, description="global, over all ranks")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    devices: Ranks = Field(1, description="ranks on this machine")
    deterministic: bool = Field(
        False,
        description="algorithms that give the same bits from run to run on a GPU too, at a price "
        "in speed; PyTorch warns of what has none",
    )
    sync_batchnorm: bool = Field(
        False, description="BatchNorm statistics over the ranks' batches together; needs GPUs"
    )
    workers: Workers | None = Field(
        None, description="loader processes per rank; null: by the cores"
    )
    log_every: Count = Field(10, description="steps between log lines")
    val_every: Count | None = Field(
        None, description="steps between validations; null: once an epoch"
    )
    val_batch_size: BatchSize | None = Field(
        None, description="null: the training batch of one rank; of few-shot by the images' size"
    )
    save_every: Count | None = Field(
        None, description="steps between checkpoints; null: at each validation"
    )
    keep: CountOrZero = Field(0, description="numbered checkpoints kept")
    max_time: Duration | None = Field(None, description="stop in good order after this long")
    patience: Count | None = Field(
        None, description="end the run after so many validations without a better one; null: never"
    )

    @model_validator(mode="after")
    def _one_length(self) -> TrainSettings:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("epochs and steps are both given; give one")
        return self


class RunSettings(Settings):
    """What every training run has, whatever its task; all that the engine reads."""

    task: str
    recipe: str | None = Field(None, description="the recipe that these settings started from")
    model: ModelSettings
    optim: OptimSettings = OptimSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    train: TrainSettings = TrainSettings()

    def images_at_a_time(self, ranks: int) -> int:
        """Return how many images one rank computes at a time.

        Raises:
            UsageError: the batch does not split evenly over the ranks and accumulation parts.
        """
        batch, parts = self.train.batch_size, self.optim.accumulate
        if batch % (ranks * parts):
            pieces = " and ".join(
                f"{count} {what}"
                for count, what in ((ranks, "ranks"), (parts, "parts"))
                if count > 1
            )
            raise UsageError(
                f"batch size {batch} cannot be split evenly over {pieces}",
                f"choose a multiple of {ranks * parts}; the batch size is global",
            )
        return batch // (ranks * parts)


DEFAULT_EPOCHS = 50

# What may differ when a run is resumed: it changes neither the numbers nor their order. The data
# path may differ where the data's fingerprint is the same; the engine checks that.
RESUMABLE_CHANGES = frozenset(
    {
        "train.devices",
        "train.workers",
        "train.log_every",
        "train.max_time",
        "train.val_batch_size",
        "data.path",
        "data.audit",
        "data.cache",
    }
)
# Only with --extend.
EXTENDABLE_CHANGES = frozenset({"train.epochs", "train.steps", "train.patience"})
