"""Made characters of made alphabets, each drawn by several hands: a set for few-shot learning.

A stand-in for Omniglot (Lake, Salakhutdinov and Tenenbaum 2015, Science 350, 1332) in its own tree
of folders, drawn from a seed alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dlcvcli.errors import UsageError
from dlcvcli.files import new_folder

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Rng = np.random.Generator
Strokes = list[Floats]

SMALLEST_SIDE = 16

_POINTS = 24  # of a stroke
_INK_BOX = 0.58  # side of a character before a hand moves it, as a share of the image's
_SUPERSAMPLED = 3
# What the generators of a seed are told apart by.
_OF_ALPHABET, _OF_HAND, _OF_IMAGE = range(3)
# Two characters of an alphabet are at least so unlike: share of the cells of their sketches.
_UNLIKE, _SKETCH, _TRIES = 0.35, 7, 40


def make_glyphs(
    folder: Path,
    *,
    alphabets: int = 10,
    characters: int = 20,
    drawers: int = 20,
    size: tuple[int, int] = (105, 105),
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `alphabets` x `characters` x `drawers` images into `folder`.

    The layout is Omniglot's: `ALPHABET/characterNN/NNNN_DD.png`, grey, black on white, a file for
    each drawer. An image depends on `seed`, its numbers and `size` alone: more alphabets,
    characters or drawers leave the first ones as they were, and the same seed gives the same bytes
    (under the same versions of numpy and Pillow). Alphabets differ in the strokes that their
    characters share, drawers in slant, proportions and pen; each image trembles on its own.

    Args:
        folder: new, or empty.
        alphabets, characters, drawers: each at least 1; characters of each alphabet.
        size: (height, width) in pixels, each at least 16.
        seed: at least 0.
        progress: called with (images done, images in all).

    Raises:
        UsageError: a size or a number that cannot be.
        DataError: the folder already holds something: somebody's images might lie there. The set
            appears when it is complete, so a process that is killed leaves no part of it.
    """
    if min(size) < SMALLEST_SIDE:
        raise UsageError(
            f"a made character of {size[0]}x{size[1]} pixels is too small",
            f"both sides must be at least {SMALLEST_SIDE}",
        )
    if min(alphabets, characters, drawers) < 1 or seed < 0:
        raise UsageError(
            f"nothing to make: alphabets {alphabets}, characters {characters}, drawers {drawers}, "
            f"seed {seed}",
            "numbers are at least 1, and the seed at least 0",
        )
    total, done = alphabets * characters * drawers, 0
    with new_folder(folder) as partial:
        for number in range(alphabets):
            known = draw_alphabet(np.random.default_rng([seed, _OF_ALPHABET, number]), characters)
            hands = [
                Hand(np.random.default_rng([seed, _OF_HAND, number, drawer]))
                for drawer in range(drawers)
            ]
            for index, strokes in enumerate(known, 1):
                place = partial / f"Alphabet_{number + 1:02d}" / f"character{index:02d}"
                place.mkdir(parents=True)
                for drawer, hand in enumerate(hands, 1):
                    rng = np.random.default_rng([seed, _OF_IMAGE, number, index, drawer])
                    Image.fromarray(hand.draw(rng, strokes, size)).save(
                        place / f"{number * 100 + index:04d}_{drawer:02d}.png"
                    )
                    done += 1
                    if progress is not None:
                        progress(done, total)


def draw_alphabet(rng: Rng, characters: int) -> list[Strokes]:
    """Invent an alphabet.

    Args:
        rng: of this alphabet alone.
        characters: how many.

    Returns:
        The strokes of each character, float64 [24, 2] of (x, y) each, in a box of side 1 about
        the origin, y downwards.
    """
    style = _Style(rng)
    known: list[Strokes] = []
    sketches: list[NDArray[np.bool_]] = []
    for _ in range(characters):
        strokes, tries = style.character(rng), 1
        # In a large alphabet no room may be left: the last try is then taken as it is.
        while tries < _TRIES and not _is_new(_sketch(strokes), sketches):
            strokes, tries = style.character(rng), tries + 1
        known.append(strokes)
        sketches.append(_sketch(strokes))
    return known


class _Style:
    """What the characters of an alphabet have in common: strokes, their directions, their number.

    Without it, any stroke would tell the alphabet nothing, and characters of one would be no more
    alike than those of two.
    """

    def __init__(self, rng: Rng) -> None:
        kinds = rng.choice(len(_KINDS), size=int(rng.integers(3, 6)), replace=False)
        lean = rng.normal(0, 0.12)
        angles = lean + rng.choice(8, size=int(rng.integers(3, 6)), replace=False) * math.pi / 4
        self.words = [
            _turned(_KINDS[kind](rng) * rng.uniform(0.5, 1.0), angle)
            for kind in kinds
            for angle in rng.choice(angles, size=2, replace=False)
        ]
        self.fewest = int(rng.integers(2, 4))
        self.joined = rng.uniform(0.55, 0.95)
        self.dotted = rng.choice([0.0, 0.0, 0.25])

    def character(self, rng: Rng) -> Strokes:
        """Put some of the strokes together, the later ones mostly onto the earlier."""
        strokes: Strokes = []
        for _ in range(self.fewest + int(rng.integers(0, 3))):
            word = self.words[rng.integers(len(self.words))]
            stroke = (word - word[0]) * rng.choice([0.6, 1.0])
            if strokes and rng.random() < self.joined:
                onto = strokes[rng.integers(len(strokes))]
                stroke = stroke + onto[rng.choice([0, _POINTS // 2, _POINTS - 1])]
            else:
                stroke = stroke + rng.choice([-0.4, 0.0, 0.4], size=2)
            strokes.append(stroke)
        if rng.random() < self.dotted:
            strokes.append(rng.uniform(-0.5, 0.5, 2) + np.zeros((_POINTS, 2)))
        return _boxed(strokes)


class Hand:
    """One who draws: how the characters lean and are stretched, the pen, and how it trembles."""

    def __init__(self, rng: Rng) -> None:
        self.angle = rng.normal(0, 0.18)
        self.shear = rng.normal(0, 0.22)
        self.stretch = np.exp(rng.normal(0, 0.16, 2))
        self.pen = rng.uniform(0.022, 0.045)
        self.tremble = rng.uniform(0.03, 0.08)

    def draw(self, rng: Rng, strokes: Strokes, size: tuple[int, int]) -> Bytes:
        """Draw a character.

        Args:
            rng: of this image alone.
            strokes: see `draw_alphabet`.
            size: (height, width) in pixels.

        Returns:
            uint8 [H, W], 0 ink on 255 paper.
        """
        angle, shear = self.angle + rng.normal(0, 0.07), self.shear + rng.normal(0, 0.08)
        stretch = _INK_BOX * self.stretch * np.exp(rng.normal(0, 0.06, 2))
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        to_paper = turn @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag(stretch)
        moved = rng.normal(0, 0.03, 2)
        drawn = [self._trembling(rng, stroke) @ to_paper.T + moved for stroke in strokes]
        return _ink(drawn, self.pen * math.exp(rng.normal(0, 0.08)), size)

    def _trembling(self, rng: Rng, stroke: Floats) -> Floats:
        """Move a stroke as a whole, its ends and its middle, smoothly along it."""
        along = _along()[:, None]
        knots = rng.normal(0, self.tremble, (3, 2)) + rng.normal(0, 0.6 * self.tremble, 2)
        start, middle, end = knots
        bend = start * (1 - along) ** 2 + 2 * middle * along * (1 - along) + end * along**2
        return np.asarray(stroke + bend)


def _ink(strokes: Strokes, pen: float, size: tuple[int, int]) -> Bytes:
    """Draw strokes, in shares of the smaller side from the middle, with a round pen."""
    height, width = (side * _SUPERSAMPLED for side in size)
    span = min(height, width)
    radius = max(pen * span / 2, _SUPERSAMPLED / 2)
    paper = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(paper)
    for stroke in strokes:
        points = [(x, y) for x, y in stroke * span + (width / 2, height / 2)]
        draw.line(points, fill=0, width=round(2 * radius), joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
    small = paper.resize((size[1], size[0]), Image.Resampling.BOX)
    return np.asarray(small, np.uint8)


def _boxed(strokes: Strokes) -> Strokes:
    """Move a character into the box of side 1 about the origin, its proportions half kept."""
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    sides = np.maximum(high - low, 1e-9)
    # One that is a mere line keeps being one.
    scale = 1 / np.maximum(sides, 0.35 * sides.max())
    return [(stroke - (low + high) / 2) * scale for stroke in strokes]


def _sketch(strokes: Strokes) -> NDArray[np.bool_]:
    """Return which cells of a coarse grid a character touches, bool [7, 7]."""
    cells = np.clip(((np.concatenate(strokes) + 0.5) * _SKETCH).astype(int), 0, _SKETCH - 1)
    grid = np.zeros((_SKETCH, _SKETCH), np.bool_)
    grid[cells[:, 1], cells[:, 0]] = True
    return grid


def _is_new(sketch: NDArray[np.bool_], known: list[NDArray[np.bool_]]) -> bool:
    """Say whether of the cells touched, enough are touched by one of two characters alone."""
    return all((sketch ^ other).sum() >= _UNLIKE * (sketch | other).sum() for other in known)


def _turned(points: Floats, angle: float) -> Floats:
    cos, sin = math.cos(angle), math.sin(angle)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]))


# Kinds of strokes: each gives float64 [24, 2] of about unit length that starts along x.


def _along() -> Floats:
    return np.linspace(0, 1, _POINTS)


def _line(rng: Rng) -> Floats:
    return np.stack([_along(), np.zeros(_POINTS)], axis=1)


def _bow(rng: Rng) -> Floats:
    t = (_along() - 0.5) * rng.uniform(1.2, 2.6)
    return np.stack([np.sin(t), 1 - np.cos(t)], axis=1) / (2 * math.sin(abs(t[0])) + 0.2)


def _ring(rng: Rng) -> Floats:
    t = _along() * rng.uniform(1.6, 2.0) * math.pi
    return np.stack([np.sin(t), (1 - np.cos(t)) * rng.uniform(0.6, 1.0)], axis=1) * 0.36


def _corner(rng: Rng) -> Floats:
    bend = rng.choice([0.35, 0.5, 0.75])
    angle = rng.choice([math.pi / 3, math.pi / 2, 2.2]) * rng.choice([-1, 1])
    t = _along()
    after = np.maximum(t - bend, 0)[:, None] * np.array([math.cos(angle), math.sin(angle)])
    return np.asarray(np.stack([np.minimum(t, bend), np.zeros(_POINTS)], axis=1) + after)


def _hook(rng: Rng) -> Floats:
    t, side = _along(), rng.choice([-1, 1])
    turn = np.maximum(t - 0.55, 0) / 0.45 * rng.uniform(2.0, 3.6)
    x = np.minimum(t, 0.55) + 0.17 * np.sin(turn)
    return np.stack([x, side * 0.17 * (1 - np.cos(turn))], axis=1)


def _wave(rng: Rng) -> Floats:
    t = _along()
    swing = np.sin(2 * math.pi * t * rng.choice([1.0, 1.5]))
    return np.stack([t, swing * rng.uniform(0.12, 0.2)], axis=1)


_KINDS = (_line, _bow, _ring, _corner, _hook, _wave)
