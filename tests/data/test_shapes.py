"""The synthetic classification set: the same files from a seed, balanced, not too easy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dlcvcli.data.shapes import SHAPES, draw_shape, make_shapes


def test_a_set_is_balanced_and_follows_its_seed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_shapes(tmp_path / name, train=20, validation=10, size=(16, 20), seed=3)
    one, two = (
        {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*.png"))}
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two
    for split, each in (("train", 2), ("val", 1)):
        counts = {p.name: len(list(p.iterdir())) for p in (tmp_path / "one" / split).iterdir()}
        assert counts == dict.fromkeys(SHAPES, each)


def test_every_outline_is_drawn_and_fits_into_the_unit_circle() -> None:
    y, x = np.mgrid[-1.5:1.5:200j, -1.5:1.5:200j]
    areas = {}
    for name, inside in SHAPES.items():
        where = inside(x, y)
        assert not where[np.hypot(x, y) > 1.08].any(), name
        areas[name] = where.mean() * 9
    assert min(areas.values()) > 0.4
    assert len({round(area, 2) for area in areas.values()}) == len(SHAPES)


def test_images_of_a_class_differ() -> None:
    drawn = [draw_shape(np.random.default_rng(seed), "star", (16, 16)) for seed in range(4)]
    assert len({image.tobytes() for image in drawn}) == 4
