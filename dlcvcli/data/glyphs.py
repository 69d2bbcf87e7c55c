"""Draw a synthetic set for few-shot learning: characters of alphabets, each by several drawers.

It stands in for Omniglot (Lake, Salakhutdinov and Tenenbaum 2015, Science 350, 1332), has the same
tree of folders, and is drawn from a seed alone.
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

_POINTS = 24  # points of a stroke
_INK_BOX = 0.58  # side of a character before a drawer distorts it, as a fraction of the image's
_SUPERSAMPLED = 3
# Make the generators of one seed different.
_OF_ALPHABET, _OF_DRAWER, _OF_IMAGE = range(3)
# Two characters of an alphabet differ in at least this fraction of the grid cells that they touch.
_MIN_DIFFERENCE, _GRID, _TRIES = 0.35, 7, 40


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
    """Write a synthetic set of `alphabets` x `characters` x `drawers` images into `folder`.

    The layout is Omniglot's: `ALPHABET/characterNN/NNNN_DD.png`, grey, black on white, a file for
    each drawer. An image depends on `seed`, its numbers and `size` alone. So more alphabets,
    characters or drawers do not change the first ones, and the same seed gives the same bytes
    (under the same versions of numpy and Pillow). Alphabets differ in the strokes that their
    characters share, drawers in slant, proportions and pen, and images in random deviations. The
    folder appears when the set is complete.

    Args:
        folder: a new or an empty folder.
        alphabets: number of alphabets, at least 1.
        characters: number of characters in each alphabet, at least 1.
        drawers: number of images of each character, at least 1.
        size: (height, width) in pixels, each at least 16.
        seed: at least 0.
        progress: called with (images done, images in all).

    Raises:
        UsageError: a size or a number is out of range.
        DataError: the folder is not empty.
    """
    if min(size) < SMALLEST_SIDE:
        raise UsageError(
            f"a size of {size[0]}x{size[1]} pixels is too small for synthetic characters",
            f"choose a --size of {SMALLEST_SIDE}x{SMALLEST_SIDE} or more",
        )
    if min(alphabets, characters, drawers) < 1 or seed < 0:
        raise UsageError(
            f"cannot draw a set of {alphabets} alphabets, {characters} characters and {drawers} "
            f"drawers from seed {seed}",
            "give numbers of at least 1, and a seed of at least 0",
        )
    total, done = alphabets * characters * drawers, 0
    with new_folder(folder) as partial:
        for number in range(alphabets):
            known = draw_alphabet(np.random.default_rng([seed, _OF_ALPHABET, number]), characters)
            people = [
                Drawer(np.random.default_rng([seed, _OF_DRAWER, number, person]))
                for person in range(drawers)
            ]
            for index, strokes in enumerate(known, 1):
                place = partial / f"Alphabet_{number + 1:02d}" / f"character{index:02d}"
                place.mkdir(parents=True)
                for person, drawer in enumerate(people, 1):
                    rng = np.random.default_rng([seed, _OF_IMAGE, number, index, person])
                    Image.fromarray(drawer.draw(rng, strokes, size)).save(
                        place / f"{number * 100 + index:04d}_{person:02d}.png"
                    )
                    done += 1
                    if progress is not None:
                        progress(done, total)


def draw_alphabet(rng: Rng, characters: int) -> list[Strokes]:
    """Return a random alphabet.

    Args:
        rng: the generator of this alphabet alone.
        characters: number of characters.

    Returns:
        The strokes of each character, float64 [24, 2] of (x, y) each, in a box of side 1 about
        the origin, y downwards.
    """
    style = _Style(rng)
    known: list[Strokes] = []
    known_cells: list[NDArray[np.bool_]] = []
    for _ in range(characters):
        strokes, tries = style.character(rng), 1
        # A large alphabet may have no new character left: the last try is then accepted.
        while tries < _TRIES and not _is_new(_touched_cells(strokes), known_cells):
            strokes, tries = style.character(rng), tries + 1
        known.append(strokes)
        known_cells.append(_touched_cells(strokes))
    return known


class _Style:
    """The style of an alphabet: the strokes, directions and numbers of strokes of its characters.

    It makes characters of the same alphabet more alike than characters of two alphabets.
    """

    def __init__(self, rng: Rng) -> None:
        kinds = rng.choice(len(_KINDS), size=int(rng.integers(3, 6)), replace=False)
        lean = rng.normal(0, 0.12)
        angles = lean + rng.choice(8, size=int(rng.integers(3, 6)), replace=False) * math.pi / 4
        self.vocabulary = [
            _rotated(_KINDS[kind](rng) * rng.uniform(0.5, 1.0), angle)
            for kind in kinds
            for angle in rng.choice(angles, size=2, replace=False)
        ]
        self.fewest = int(rng.integers(2, 4))
        self.joined = rng.uniform(0.55, 0.95)
        self.dotted = rng.choice([0.0, 0.0, 0.25])

    def character(self, rng: Rng) -> Strokes:
        """Return a random character: some of the strokes, most of them attached to one another."""
        strokes: Strokes = []
        for _ in range(self.fewest + int(rng.integers(0, 3))):
            template = self.vocabulary[rng.integers(len(self.vocabulary))]
            stroke = (template - template[0]) * rng.choice([0.6, 1.0])
            if strokes and rng.random() < self.joined:
                onto = strokes[rng.integers(len(strokes))]
                stroke = stroke + onto[rng.choice([0, _POINTS // 2, _POINTS - 1])]
            else:
                stroke = stroke + rng.choice([-0.4, 0.0, 0.4], size=2)
            strokes.append(stroke)
        if rng.random() < self.dotted:
            strokes.append(rng.uniform(-0.5, 0.5, 2) + np.zeros((_POINTS, 2)))
        return _scaled_to_box(strokes)


class Drawer:
    """A drawer: the slant and proportions of the characters, the pen, and its random deviations."""

    def __init__(self, rng: Rng) -> None:
        self.angle = rng.normal(0, 0.18)
        self.shear = rng.normal(0, 0.22)
        self.stretch = np.exp(rng.normal(0, 0.16, 2))
        self.pen = rng.uniform(0.022, 0.045)
        self.deviation = rng.uniform(0.03, 0.08)

    def draw(self, rng: Rng, strokes: Strokes, size: tuple[int, int]) -> Bytes:
        """Return an image of a character.

        Args:
            rng: the generator of this image alone.
            strokes: the character, as in `draw_alphabet`.
            size: (height, width) in pixels.

        Returns:
            uint8 [H, W], ink 0 on paper 255.
        """
        angle, shear = self.angle + rng.normal(0, 0.07), self.shear + rng.normal(0, 0.08)
        stretch = _INK_BOX * self.stretch * np.exp(rng.normal(0, 0.06, 2))
        rotation = np.array(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        )
        to_paper = rotation @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag(stretch)
        moved = rng.normal(0, 0.03, 2)
        drawn = [self._deviating(rng, stroke) @ to_paper.T + moved for stroke in strokes]
        return _ink(drawn, self.pen * math.exp(rng.normal(0, 0.08)), size)

    def _deviating(self, rng: Rng, stroke: Floats) -> Floats:
        """Return a stroke shifted, and bent smoothly by random moves of its ends and middle."""
        along = _along()[:, None]
        knots = rng.normal(0, self.deviation, (3, 2)) + rng.normal(0, 0.6 * self.deviation, 2)
        start, middle, end = knots
        bend = start * (1 - along) ** 2 + 2 * middle * along * (1 - along) + end * along**2
        return np.asarray(stroke + bend)


def _ink(strokes: Strokes, pen: float, size: tuple[int, int]) -> Bytes:
    """Return the image of strokes, uint8 [H, W], drawn with a round pen.

    Coordinates and `pen` are fractions of the smaller side, from the middle of the image.
    """
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


def _scaled_to_box(strokes: Strokes) -> Strokes:
    """Return a character scaled into the box of side 1 about the origin."""
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    sides = np.maximum(high - low, 1e-9)
    # The limit keeps a character that is a mere line from being stretched to a box.
    scale = 1 / np.maximum(sides, 0.35 * sides.max())
    return [(stroke - (low + high) / 2) * scale for stroke in strokes]


def _touched_cells(strokes: Strokes) -> NDArray[np.bool_]:
    """Return the cells of a coarse grid that a character touches, bool [7, 7]."""
    cells = np.clip(((np.concatenate(strokes) + 0.5) * _GRID).astype(int), 0, _GRID - 1)
    grid = np.zeros((_GRID, _GRID), np.bool_)
    grid[cells[:, 1], cells[:, 0]] = True
    return grid


def _is_new(cells: NDArray[np.bool_], known: list[NDArray[np.bool_]]) -> bool:
    """Return whether a character differs enough from each known one, by their grid cells."""
    return all((cells ^ other).sum() >= _MIN_DIFFERENCE * (cells | other).sum() for other in known)


def _rotated(points: Floats, angle: float) -> Floats:
    cos, sin = math.cos(angle), math.sin(angle)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]))


# Kinds of strokes: each function returns float64 [24, 2] of about unit length that starts along x.


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
