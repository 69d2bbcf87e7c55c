"""Tiles and test-time augmentation wrap a predictor as the options request."""

from __future__ import annotations

from dlcvcli.tasks.segmentation.tiles import Tiled
from dlcvcli.tasks.segmentation.tta import Augmented
from dlcvcli.tasks.segmentation.views import Views
from tests.tasks.segmentation.pointwise import Pointwise


def test_without_options_the_predictor_is_unchanged() -> None:
    inner = Pointwise()
    assert Views().around(inner) is inner
    assert not Views().need_logits


def test_tta_is_applied_to_each_tile() -> None:
    views = Views(tile=(64, 48), scales=(1.0, 1.5))
    assert views.need_logits
    tiled = views.around(Pointwise())
    assert isinstance(tiled, Tiled)
    assert isinstance(tiled.inner, Augmented)
    assert (tiled.tile, tiled.overlap) == ((64, 48), 6)
    assert tiled.notes["tta"] == {"scales": [1.0, 1.5], "flip": True}
    assert Views(tile=(64, 64), overlap=20).around(Pointwise()).notes["overlap"] == 20
