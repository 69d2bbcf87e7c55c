"""Grids of images and annotations."""

from __future__ import annotations

import numpy as np

from dlcvcli.data.segmentation import Sample
from dlcvcli.figures.grids import annotation_grid
from dlcvcli.palette import PRESETS, encode_colours

CLASSES = PRESETS["voc21"]


def test_each_image_has_its_annotation_to_the_right() -> None:
    rng = np.random.default_rng(0)
    samples = [
        Sample(
            f"n{i}",
            rng.integers(0, 256, (8, 10, 3)).astype(np.uint8),
            rng.integers(0, 21, (8, 10)).astype(np.uint8),
            b"",
            b"",
        )
        for i in range(7)
    ]
    figure = annotation_grid(samples, CLASSES, columns=4)
    # Four rows of two pairs; the last pair is empty.
    assert len(figure.axes) == 16
    pictures = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(pictures) == 14
    for sample, image, mask in zip(samples, pictures[::2], pictures[1::2], strict=True):
        assert np.array_equal(image, sample.image)
        assert np.array_equal(mask, encode_colours(sample.mask, CLASSES))
    names = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    assert names == [sample.name for sample in samples]


def test_single_image_has_no_empty_cells() -> None:
    sample = Sample("a", np.zeros((8, 10, 3), np.uint8), np.zeros((8, 10), np.uint8), b"", b"")
    assert len(annotation_grid([sample], CLASSES).axes) == 2
