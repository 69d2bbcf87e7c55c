"""Evaluation: exact scores, times of its stages, and bounded memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dlcvcli.data.batches import EvalBatches
from dlcvcli.data.segmentation import open_split
from dlcvcli.errors import DataError
from dlcvcli.metrics import SegmentationScore
from dlcvcli.palette import PRESETS, Mask
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.segmentation.card import SegmenterCard
from dlcvcli.tasks.segmentation.scoring import evaluate, score
from tests.conftest import write_camvid


class PixelPredictor:
    """Predicts a function of the pixels, at any size, and records its calls."""

    backend, provider, precision = "fake", "cpu", "fp32"
    tile: tuple[int, int] | None = None

    def __init__(self) -> None:
        self.card = SegmenterCard("seg", "fake", PRESETS["camvid11"], 16)
        self.notes: dict[str, Any] = {}
        self.batches: list[int] = []

    def __call__(self, images: Mask, size: tuple[int, int], clock: StageClock) -> Mask:
        self.batches.append(len(images))
        with clock.stage("run"):
            return (images[:, : size[0], : size[1], 0] % 11).astype(np.uint8)


MIXED = {"val": [(20, 30), (30, 20), (20, 30), (17, 9), (20, 30), (30, 20)]}


def test_mixed_sizes_score_exactly_whatever_the_batch(tmp_path: Path) -> None:
    data = open_split(write_camvid(tmp_path, MIXED), "val")
    expected = SegmentationScore(data.classes)
    for index in range(len(data)):
        sample = data.read(index)
        expected.update(sample.mask, (sample.image[..., 0] % 11).astype(np.uint8))
    for batch_size in (1, 2, 5):
        result = evaluate(PixelPredictor(), EvalBatches(data, batch_size), conventions=["voc"])
        assert np.array_equal(result.counts, expected.counts)
        assert result.data["images"] == 6
    ranks = [
        score(
            lambda i, s: PixelPredictor()(i, s, StageClock()),
            EvalBatches(data, 2, rank=r, world_size=3),
        )
        for r in range(3)
    ]
    assert np.array_equal(sum(ranks), expected.counts)


def test_the_speed_of_an_evaluation_has_latencies_and_stage_fractions(tmp_path: Path) -> None:
    data = open_split(write_camvid(tmp_path, MIXED), "val")
    seen: list[tuple[int, int]] = []
    result = evaluate(
        PixelPredictor(),
        EvalBatches(data, 2),
        conventions=["voc"],
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (6, 6)
    speed = result.speed
    assert speed["images_per_s"] == pytest.approx(6 / speed["wall_s"])
    assert set(speed["share"]) == {"read", "copy", "run", "score"}
    assert 0 < sum(speed["share"].values()) <= 1.0001
    assert speed["latency_ms"]["p50"] <= speed["latency_ms"]["p95"]
    assert speed["peak_memory_mb"] > 0


def test_predicted_masks_can_be_saved(tmp_path: Path) -> None:
    data = open_split(write_camvid(tmp_path / "set", MIXED), "val")
    kept = tmp_path / "kept"
    kept.mkdir()
    evaluate(PixelPredictor(), EvalBatches(data, 2), conventions=["voc"], masks_to=kept)
    assert sorted(path.stem for path in kept.iterdir()) == sorted(p.name for p in data.pairs)
    for index, pair in enumerate(data.pairs):
        with Image.open(kept / f"{pair.name}.png") as image:
            assert image.mode == "P"
            assert np.array_equal(np.asarray(image), data.read(index).image[..., 0] % 11)


def test_a_damaged_image_ends_the_evaluation_with_its_name(tmp_path: Path) -> None:
    folder = write_camvid(tmp_path, {"val": [(20, 30)] * 3})
    path = folder / "val" / "002.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"002\.png"):
        evaluate(PixelPredictor(), EvalBatches(open_split(folder, "val"), 1), conventions=["voc"])


def test_at_most_a_few_batches_are_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dlcvcli.data.segmentation import SegmentationSet

    data = open_split(write_camvid(tmp_path, {"val": [(8, 8)] * 60}), "val")
    state = {"read": 0, "scored": 0, "most": 0}
    read = SegmentationSet.read

    def counting(self: SegmentationSet, index: int) -> Any:
        state["read"] += 1
        state["most"] = max(state["most"], state["read"] - state["scored"])
        return read(self, index)

    monkeypatch.setattr(SegmentationSet, "read", counting)

    def scored(done: int, total: int) -> None:
        state["scored"] = done

    evaluate(
        PixelPredictor(), EvalBatches(data, 2), conventions=["voc"], threads=2, progress=scored
    )
    assert state["most"] <= 12


def test_scoring_stops_when_requested(tmp_path: Path) -> None:
    batches = EvalBatches(open_split(write_camvid(tmp_path, MIXED), "val"), 1)
    answers = iter([False, False, True])
    calls = 0

    def forward(images: Any, size: tuple[int, int]) -> Any:
        nonlocal calls
        calls += 1
        return PixelPredictor()(images, size, StageClock())

    assert score(forward, batches, stop=lambda: next(answers)) is None
    assert calls == 2
