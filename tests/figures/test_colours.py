"""Colours for any colour vision: apart from each other and from black, however many."""

from __future__ import annotations

import numpy as np
import pytest

from dlcvcli.figures.colours import appearance, distances, recoloured, safe_colours
from dlcvcli.palette import PRESETS, encode_colours


@pytest.mark.parametrize("count", [2, 7, 11, 21])
def test_they_stay_apart_in_every_vision(count: int) -> None:
    seen = appearance(np.array([(0, 0, 0), *safe_colours(count)]))
    gaps = distances(seen, seen)
    np.fill_diagonal(gaps, np.inf)
    # About 2 is just noticeable side by side; VOC's own palette comes down to 1.
    assert gaps.min() > 15
    assert len(set(safe_colours(count))) == count


def test_lab_of_known_colours() -> None:
    # White, black and the red of sRGB, as every colour calculator gives them under D65.
    lab = appearance(np.array([(255, 255, 255), (0, 0, 0), (255, 0, 0)]))[0]
    np.testing.assert_allclose(lab, [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]], atol=0.05)


def test_a_class_set_keeps_its_names_and_its_order() -> None:
    classes = PRESETS["camvid11"]
    safe = recoloured(classes)
    assert safe.names == classes.names
    assert safe.colours == safe_colours(11)
    painted = encode_colours(np.array([[0, 11]], dtype=np.uint8), safe)
    assert painted.tolist() == [[list(safe.colours[0]), [0, 0, 0]]]
