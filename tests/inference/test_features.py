"""Features: files of them, and the embeddings of a few-shot model under both backends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlcvcli.errors import DataError
from dlcvcli.inference.features import FeatureRequest, Features, save_epoch, saved_epochs
from dlcvcli.reporter import Silent
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.tasks.registry import task_of

FEATURES = Features(
    np.array([[3, 4], [0, 0.5]], np.float32),
    np.array([1, 0]),
    ("cat", "dög"),
    ("a.png", "b.png"),
    "resnet18 (val)",
    "cosine",
)


def test_features_are_saved_with_everything_that_belongs_to_them(tmp_path: Path) -> None:
    FEATURES.save(tmp_path / "new" / "f.npz")
    loaded = Features.load(tmp_path / "new" / "f.npz")
    np.testing.assert_array_equal(loaded.values, FEATURES.values)
    assert loaded.labels.tolist() == [1, 0]
    assert (loaded.classes, loaded.names) == (("cat", "dög"), ("a.png", "b.png"))
    assert (loaded.title, loaded.metric) == ("resnet18 (val)", "cosine")
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["f.npz"]


def test_files_without_features_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    with pytest.raises(DataError, match=r"cannot read .*f\.npz"):
        Features.load(path)
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DataError, match="is no file of features"):
        Features.load(path)
    np.savez(path, values=np.zeros((2, 3)), labels=np.array([object()]))
    with pytest.raises(DataError, match="is no file of features"):
        Features.load(path)


def test_label_without_a_class_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    Features(FEATURES.values, np.array([0, 2]), ("cat", "dog"), ("a", "b")).save(path)
    with pytest.raises(DataError, match="is no file of features"):
        Features.load(path)


def test_features_of_a_cosine_model_are_compared_at_length_1() -> None:
    np.testing.assert_allclose(FEATURES.comparable(), [[0.6, 0.8], [0.0, 1.0]], rtol=1e-6)


def test_epochs_are_listed_in_order(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert saved_epochs(run) == {}
    for epoch in (10000, 75, 0):
        save_epoch(run, epoch, FEATURES)
    assert list(saved_epochs(run)) == [0, 75, 10000]


def test_embeddings_of_a_split_are_equal_under_both_backends(
    exported_fewshot: Path, characters: Path
) -> None:
    results = []
    for path in (exported_fewshot, exported_fewshot / "model.onnx"):
        ref = find_model(path)
        compute = task_of(ref).features
        assert compute is not None
        results.append(compute(FeatureRequest(ref, characters, "val", "cpu"), Silent()))
    torch, onnx = results
    np.testing.assert_allclose(torch.values, onnx.values, atol=1e-4)
    assert torch.names == onnx.names
    for place, name in zip(torch.labels, torch.names, strict=True):
        assert name.startswith(torch.classes[place])


def test_segmentation_has_no_features(trained_run: Path) -> None:
    assert task_of(find_model(trained_run)).features is None
