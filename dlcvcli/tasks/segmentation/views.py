"""How an image is looked at: as a whole, in tiles, from several sides."""

from __future__ import annotations

from dataclasses import dataclass

from dlcvcli.tasks.segmentation.predictor import Predictor
from dlcvcli.tasks.segmentation.tiles import Tiled
from dlcvcli.tasks.segmentation.tta import Augmented


@dataclass(frozen=True)
class Views:
    """What is done beyond one forward call per image; the default is nothing.

    Attributes:
        tile: (height, width) of tiles, see `Tiled`; None for whole images.
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
        """Return the predictor that looks in this way.

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
