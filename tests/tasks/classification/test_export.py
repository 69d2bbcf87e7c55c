"""The exported classifier: equal to PyTorch, self-describing, usable without torch."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from dlcvcli.data.labelled_images import LabelledImages
from dlcvcli.errors import ModelFileError
from dlcvcli.reporter import Silent
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.runtime.clock import StageClock
from dlcvcli.runtime.session import open_session
from dlcvcli.tasks.classification.card import ClassifierCard
from dlcvcli.tasks.classification.labelled import open_labelled
from dlcvcli.tasks.classification.load import load_predictor
from tests.cli.command import dlcv, dlcv_without_torch
from tests.json_reference import undocumented, undocumented_in_run


def validation(run: Path, shapes: Path) -> LabelledImages:
    card = load_predictor(find_model(RunFolder(run).onnx), provider="cpu").card
    return open_labelled(card, shapes, "val", Silent())


def test_logits_and_features_are_those_of_pytorch(exported_cls: Path, shapes: Path) -> None:
    data = validation(exported_cls, shapes)
    images = next(data.batches(20)).images
    torch_model = load_predictor(find_model(exported_cls), provider="cpu")
    onnx_model = load_predictor(find_model(RunFolder(exported_cls).onnx), provider="cpu")
    for name in ("__call__", "features"):
        one = getattr(torch_model, name)(images, StageClock())
        other = getattr(onnx_model, name)(images, StageClock())
        np.testing.assert_allclose(one, other, atol=1e-4 * np.abs(one).max())
    certificate = json.loads(RunFolder(exported_cls).certificate.read_text())
    assert certificate["passed"]


def test_a_card_describes_its_graph(exported_cls: Path) -> None:
    session = open_session(RunFolder(exported_cls).onnx, "cpu")
    card = ClassifierCard.read(session.metadata, "model.onnx")
    card.require_graph(session, "model.onnx")
    for key, value in (("dimension", "33"), ("classes", json.dumps(["a", "b"]))):
        other = ClassifierCard.read({**session.metadata, key: value}, "x.onnx")
        with pytest.raises(ModelFileError, match="not the model that its dlcv metadata"):
            other.require_graph(session, "x.onnx")
    with pytest.raises(ModelFileError, match="damaged"):
        ClassifierCard.read({**session.metadata, "classes": json.dumps(["a", "a"])}, "x.onnx")


@pytest.mark.usefixtures("children_here")
def test_eval_compares_both_backends_image_by_image(exported_cls: Path, shapes: Path) -> None:
    done = dlcv("eval", exported_cls, "--data", shapes, "--onnx", "--compare", "--json", "-")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["task"] == "cls"
    assert undocumented("dlcv eval --json", result) == []
    assert undocumented_in_run(exported_cls) == []
    assert result["compare"]["argmax_agreement"] == 1.0
    assert result["compare"]["torch"]["top1"] == result["metrics"]["top1"]
    assert result["data"]["images"] == 20
    assert len(result["metrics"]["confusion"]["counts"]) == 10


def test_eval_runs_without_torch_and_writes_its_files(
    exported_cls: Path, shapes: Path, tmp_path: Path
) -> None:
    model = RunFolder(exported_cls).onnx
    done = dlcv_without_torch(
        *("eval", model, "--data", shapes, "--predictions", tmp_path / "p.csv"),
        *("--confusion", tmp_path / "c.csv", "--reliability", tmp_path / "r.png"),
    )
    assert done.returncode == 0, done.stderr
    assert "top-1 accuracy" in done.stdout
    assert "accuracy arrow" in done.stdout
    assert (tmp_path / "p.csv").read_text() == (exported_cls / "predictions.csv").read_text()
    assert (tmp_path / "c.csv").read_text().startswith("true \\ predicted,arrow")
    assert (tmp_path / "r.png").stat().st_size > 1000


def test_a_limit_on_the_accuracy_is_checked(exported_cls: Path, shapes: Path) -> None:
    model = RunFolder(exported_cls).onnx
    done = dlcv("eval", model, "--data", shapes, "--min-accuracy", 0.99)
    assert done.returncode == 3
    assert "is below --min-accuracy 0.99" in done.stderr


def test_predict_writes_the_most_probable_classes(
    exported_cls: Path, shapes: Path, tmp_path: Path
) -> None:
    folder = shapes / "val" / "arrow"
    (tmp_path / "bad.png").write_bytes(b"no image")
    done = dlcv_without_torch(
        *("predict", RunFolder(exported_cls).onnx, folder, tmp_path / "bad.png"),
        *("--out", tmp_path / "out.csv", "--top", 3),
    )
    assert done.returncode == 1
    assert "skipped: " in done.stderr
    with (tmp_path / "out.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [Path(row["filename"]).name for row in rows] == sorted(p.name for p in folder.iterdir())
    for row in rows:
        probabilities = [float(row[f"probability{n}"]) for n in ("", 2, 3)]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) <= 1


def test_predict_of_a_csv_keeps_its_ids_and_its_order(
    exported_cls: Path, shapes: Path, tmp_path: Path
) -> None:
    names = [f"val/star/{path.name}" for path in (shapes / "val" / "star").iterdir()]
    names += [f"val/ring/{path.name}" for path in (shapes / "val" / "ring").iterdir()]
    lines = ["id,filename,label", *(f"{7 - i},{name}," for i, name in enumerate(names))]
    (tmp_path / "test.csv").write_text("\n".join(lines))
    done = dlcv(
        *("predict", exported_cls, shapes, "--data", tmp_path / "test.csv"),
        *("--out", tmp_path / "pred.csv"),
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "pred.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["id", "filename", "label"]
    assert [row[:2] for row in rows[1:]] == [[str(7 - i), n] for i, n in enumerate(names)]
    with (exported_cls / "predictions.csv").open(newline="") as file:
        expected = {row["filename"]: row["predicted"] for row in csv.DictReader(file)}
    assert [row[2] for row in rows[1:]] == [expected[name] for name in names]


def test_features_of_a_set_are_drawn_under_both_backends(
    exported_cls: Path, shapes: Path, tmp_path: Path
) -> None:
    lines = []
    for name, model in (("torch", exported_cls), ("onnx", RunFolder(exported_cls).onnx)):
        out = tmp_path / f"{name}.png"
        done = dlcv("figure", "tsne", model, "--data", shapes, "--out", out)
        assert done.returncode == 0, done.stderr
        assert out.with_suffix(".npz").is_file()
        lines.append(done.stdout.splitlines()[0])
    assert lines[0] == lines[1]
    assert "5-NN" in lines[0]
