"""Colours that differ from each other and from black in any colour vision."""

from __future__ import annotations

import numpy as np
import pytest

from dlcvcli.figures.colours import appearance, distances, recoloured, safe_colours
from dlcvcli.palette import PRESETS, encode_colours


@pytest.mark.parametrize("count", [2, 7, 11, 21])
def test_colours_differ_in_every_vision(count: int) -> None:
    seen = appearance(np.array([(0, 0, 0), *safe_colours(count)]))
    gaps = distances(seen, seen)
    np.fill_diagonal(gaps, np.inf)
    # A difference of about 2 is just noticeable; the smallest one in VOC's palette is 1.
    assert gaps.min() > 15
    assert len(set(safe_colours(count))) == count


def test_cielab_of_known_colours() -> None:
    # Published values of white, black and the red of sRGB under D65.
    lab = appearance(np.array([(255, 255, 255), (0, 0, 0), (255, 0, 0)]))[0]
    np.testing.assert_allclose(lab, [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]], atol=0.05)


def test_recoloured_class_set_keeps_names_and_order() -> None:
    classes = PRESETS["camvid11"]
    safe = recoloured(classes)
    assert safe.names == classes.names
    assert safe.colours == safe_colours(11)
    painted = encode_colours(np.array([[0, 11]], dtype=np.uint8), safe)
    assert painted.tolist() == [[list(safe.colours[0]), [0, 0, 0]]]
