"""Sets that a study makes for itself, so that it needs no data. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from dlcvcli.config.values import Settings, Size
from dlcvcli.data.glyphs import make_glyphs
from dlcvcli.data.synthetic import make_landcover

# Each is a file, and all of a study's own set are made before its first run.
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class MadeTiles(Settings):
    """Made land cover: `train` and `validation` tiles of a size."""

    train: Count
    validation: Count
    size: Size
    seed: Seed = 0

    def describe(self) -> str:
        """Say what it is."""
        height, width = self.size
        return f"{self.train} + {self.validation} tiles of {height}x{width}"

    def make(self, folder: Path) -> None:
        """Write it into a new folder."""
        make_landcover(
            folder, train=self.train, validation=self.validation, size=self.size, seed=self.seed
        )


class MadeGlyphs(Settings):
    """Made characters, images by class: alphabets, characters of each, drawers of each of those."""

    alphabets: Count
    characters: Count
    drawers: Count
    size: Size
    seed: Seed = 0

    def describe(self) -> str:
        """Say what it is."""
        height, width = self.size
        return (
            f"{self.alphabets} alphabets of {self.characters} characters by {self.drawers} "
            f"drawers, {height}x{width}"
        )

    def make(self, folder: Path) -> None:
        """Write it into a new folder."""
        make_glyphs(
            folder,
            alphabets=self.alphabets,
            characters=self.characters,
            drawers=self.drawers,
            size=self.size,
            seed=self.seed,
        )
