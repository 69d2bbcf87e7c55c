"""How an image is predicted: at once, in tiles, or as the mean of several views."""

from __future__ import annotations

from dataclasses import dataclass

from dlcvcli.config.sizes import read_size
from dlcvcli.errors import UsageError
from dlcvcli.tasks.segmentation.flags import ViewFlags
from dlcvcli.tasks.segmentation.predictor import Predictor
from dlcvcli.tasks.segmentation.tiles import Tiled
from dlcvcli.tasks.segmentation.tta import SCALES, Augmented

SMALLEST_TILE = 32


@dataclass(frozen=True)
class Views:
    """What a prediction does beyond one forward call per image; by default, nothing.

    Attributes:
        tile: (height, width) of tiles, see `Tiled`; None for complete images.
        overlap: of tiles, in pixels; None for an eighth of a tile.
        scales: at which an image or tile is predicted, see `Augmented`; empty for its own alone.
    """

    tile: tuple[int, int] | None = None
    overlap: int | None = None
    scales: tuple[float, ...] = ()

    @property
    def need_logits(self) -> bool:
        """Whether masks are not enough."""
        return self.tile is not None or bool(self.scales)

    def around(self, predictor: Predictor, batch_size: int | None = None) -> Predictor:
        """Return a predictor that predicts in this way.

        Args:
            predictor: of single images.
            batch_size: tiles in a call; None for one on a CPU, where more are no faster and take
                more memory, and eight on a GPU.

        Raises:
            UsageError: tiles, overlap and model do not go together.
        """
        if self.scales:
            predictor = Augmented(predictor, self.scales)
        if self.tile is not None:
            overlap = min(self.tile) // 8 if self.overlap is None else self.overlap
            batch_size = batch_size or (8 if predictor.on_gpu else 1)
            predictor = Tiled(predictor, self.tile, overlap, batch_size=batch_size)
        return predictor


def read_views(flags: ViewFlags) -> Views:
    """Return what the flags `--tile`, `--overlap`, `--tta` and `--tta-scales` ask for.

    Raises:
        UsageError: one is no size or no list of scales, or goes without the other that it needs.
    """
    if flags.overlap is not None and flags.tile is None:
        raise UsageError("--overlap goes with --tile")
    if flags.tta_scales is not None and not flags.tta:
        raise UsageError("--tta-scales goes with --tta")
    tile = None
    if flags.tile is not None:
        tile = read_size(flags.tile, "--tile")
        if min(tile) < SMALLEST_TILE:
            raise UsageError(
                f"--tile {flags.tile}: a side has to be at least {SMALLEST_TILE} pixels",
                "512 is a good size",
            )
    scales: tuple[float, ...] = SCALES if flags.tta else ()
    if flags.tta_scales is not None:
        try:
            scales = tuple(float(part) for part in flags.tta_scales.split(","))
        except ValueError:
            raise UsageError(
                f"--tta-scales {flags.tta_scales} is no list of numbers", "e.g. 0.75,1,1.25"
            ) from None
    return Views(tile, flags.overlap, scales)
