"""Settings that all training runs share; each task adds its own in its `settings` module.

Unknown keys are errors, and so are values of another type: text and booleans are not converted to
numbers. Every integer has an upper bound. The descriptions appear in docs/reference/settings.md.
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
    Fraction,
    Options,
    Range,
    Ranks,
    Settings,
    Workers,
)
from dlcvcli.errors import UsageError


class AugmentSettings(Settings):
    """Random augmentation of training images and masks; 0 or [1, 1] turns one off."""

    scale: Range = Field((0.5, 2.0), description="range of the random scale: [low, high]")
    flip: Fraction = Field(0.5, description="probability of a horizontal flip")
    brightness: Fraction = Field(
        0.25, description="largest change of the brightness factor: 0.25 draws from [0.75, 1.25]"
    )
    contrast: Fraction = Field(
        0.25, description="largest change of the contrast factor: 0.25 draws from [0.75, 1.25]"
    )
    saturation: Fraction = Field(
        0.25, description="largest change of the saturation factor: 0.25 draws from [0.75, 1.25]"
    )
    hue: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.0,
        description="largest hue shift in either direction, in turns of the colour wheel; slower "
        "than all other changes together",
    )


class ImageAugmentSettings(Settings):
    """Random augmentation of training images by class; 0 or [1, 1] turns one off."""

    scale: Range = Field(
        (0.5, 1.0), description="area of the random crop / that of the image: [low, high]"
    )
    ratio: Range = Field((0.75, 1.3333), description="aspect ratio of the random crop: [low, high]")
    pad: Annotated[int, Field(ge=0, le=256)] = Field(
        0,
        description="pad by this many pixels of the mean colour on each side, then crop the size "
        "at random: for small images, with `scale: [1, 1]`",
    )
    flip: Fraction = Field(0.5, description="probability of a horizontal flip")
    brightness: Fraction = Field(0.2, description="largest change of the brightness factor")
    contrast: Fraction = Field(0.2, description="largest change of the contrast factor")
    saturation: Fraction = Field(0.2, description="largest change of the saturation factor")
    hue: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.0, description="largest hue shift in either direction, in turns of the colour wheel"
    )
    grey: Fraction = Field(0.0, description="probability of a grey image")
    randaugment: Annotated[int, Field(ge=0, le=14)] = Field(
        0, description="number of random operations of RandAugment (arXiv:1909.13719)"
    )
    magnitude: Annotated[int, Field(ge=0, le=30)] = Field(
        9, description="their strength, of 0 to 30"
    )
    erase: Fraction = Field(
        0.0, description="probability of erasing a random rectangle (arXiv:1708.04896)"
    )


class JitterSettings(Settings):
    """Random geometric augmentation of few-shot training images; 0 or [1, 1] turns one off."""

    rotate: Annotated[float, Field(ge=0, le=180)] = Field(
        0.0, description="largest rotation in either direction, in degrees"
    )
    shear: Annotated[float, Field(ge=0, le=45)] = Field(
        0.0, description="largest shear in either direction, in degrees"
    )
    scale: Range = Field((1.0, 1.0), description="range of the random scale: [low, high]")
    shift: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.0, description="largest shift along each axis, as a fraction of the image's side"
    )
    flip: Fraction = Field(0.0, description="probability of a horizontal flip")

    @property
    def is_off(self) -> bool:
        """Whether images are left unchanged."""
        return self == JitterSettings()


class ModelSettings(Settings):
    """The network; the task sets the default."""

    name: str = Field(description="name of the network; `dlcv models` lists them")
    weights: str = Field(
        "none", description="initial weights: none, imagenet, or a file with a state dict"
    )
    options: Options = Field(
        default_factory=dict, description="options of the network, e.g. {output_stride: 8}"
    )


class OptimSettings(Settings):
    """The optimiser."""

    name: OptimizerName = Field("adamw", description="the optimiser")
    lr: Annotated[float, Field(gt=0)] = Field(1e-3, description="peak learning rate of the heads")
    backbone_lr_scale: Annotated[float, Field(ge=0)] | None = Field(
        None,
        description="learning rate of the backbone as a factor of `lr`; null: 0.1 with initial "
        "weights, else 1",
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        1e-2, description="not applied to biases and norms; adam adds it to the gradient (L2)"
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="momentum of sgd")
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        None, description="clip gradients to this norm; null: no clipping"
    )
    accumulate: BatchSize = Field(
        1, description="parts of a batch that are computed one after the other, to save memory"
    )
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="decay of a moving average of the weights, e.g. 0.999; the average is then "
        "validated, saved as best and exported; null: no average",
    )


class ScheduleSettings(Settings):
    """The learning rate schedule."""

    name: ScheduleName = Field("poly", description="the schedule")
    power: Annotated[float, Field(gt=0)] = Field(
        0.9, description="poly: exponent of (1 - step / steps)"
    )
    every: Count = Field(1000, description="step: steps between two reductions")
    gamma: Annotated[float, Field(gt=0, le=1)] = Field(
        0.9, description="step: factor of each reduction"
    )
    min_lr: Annotated[float, Field(ge=0)] = Field(
        0.0,
        description="cosine: final learning rate; if it is above the peak, the learning rate rises",
    )
    warmup: CountOrZero | None = Field(
        None,
        description="steps of linear warm-up before the schedule; null: 1/20 of all steps for "
        "warmup+cosine, else 0",
    )

    @model_validator(mode="after")
    def _warm_up(self) -> ScheduleSettings:
        if self.name == "warmup+cosine" and self.warmup == 0:
            raise ValueError(
                "warmup+cosine needs at least 1 warm-up step; without warm-up use cosine"
            )
        return self


class TrainSettings(Settings):
    """Number of steps, batch size, devices and checkpoints."""

    epochs: Count | None = Field(
        None, description="number of epochs; null: `steps`, or the task's default"
    )
    steps: Count | None = Field(None, description="number of steps, instead of epochs")
    batch_size: BatchSize = Field(8, description="global batch size, over all ranks")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        0, description="seed of initial weights, order of samples, augmentation and dropout"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="training precision; auto: bf16 or fp16 if the device supports it"
    )
    devices: Ranks = Field(1, description="ranks on this machine: GPUs, or processes on a CPU")
    deterministic: bool = Field(
        False,
        description="use deterministic algorithms on GPUs: slower, but bit-identical from run to "
        "run; PyTorch warns about operations without one",
    )
    sync_batchnorm: bool = Field(
        False, description="compute BatchNorm statistics over all ranks; needs GPUs"
    )
    workers: Workers | None = Field(
        None, description="loader processes per rank; null: by the number of cores"
    )
    log_every: Count = Field(10, description="steps between log lines")
    val_every: Count | None = Field(
        None, description="steps between validations; null: once an epoch"
    )
    val_batch_size: BatchSize | None = Field(
        None,
        description="images per validation batch; null: as many as one rank trains on at a time, "
        "in few-shot learning by the size of the images",
    )
    save_every: Count | None = Field(
        None, description="steps between checkpoints; null: at each validation"
    )
    keep: CountOrZero = Field(0, description="how many numbered checkpoints to keep")
    max_time: Duration | None = Field(
        None, description="save and stop after this time, e.g. 90s, 15m, 1h30m; null: no limit"
    )
    patience: Count | None = Field(
        None, description="stop after this many validations without a better score; null: never"
    )

    @model_validator(mode="after")
    def _epochs_or_steps(self) -> TrainSettings:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("epochs and steps are both set; set only one of them")
        return self


class RunSettings(Settings):
    """Settings of a training run of any task; the engine reads only these."""

    task: str
    recipe: str | None = Field(None, description="the recipe that was used; set with --recipe")
    model: ModelSettings
    optim: OptimSettings = OptimSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    train: TrainSettings = TrainSettings()

    def images_at_a_time(self, ranks: int) -> int:
        """Return how many images a rank computes at a time, if the batch can be split evenly."""
        return self.train.batch_size // (ranks * self.optim.accumulate)

    def require_even_split(self, ranks: int) -> None:
        """Refuse a batch that cannot be split evenly over ranks and accumulation parts.

        Raises:
            UsageError: names the batch size and a number that it must be a multiple of.
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
                f"choose a multiple of {ranks * parts}: the batch size is the total over all ranks",
            )


DEFAULT_EPOCHS = 50

# These may differ when a run is resumed, as they do not affect its results. `training.run` checks
# that data at another path has the same fingerprint.
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
# These may differ with --extend.
EXTENDABLE_CHANGES = frozenset({"train.epochs", "train.steps", "train.patience"})
