"""An exported few-shot model: its metadata, its certificate, and its scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from dlcvcli.errors import CheckFailed
from dlcvcli.exporting.export import Exported, certificate_path, export
from dlcvcli.exporting.subject import Subject
from dlcvcli.files import sha256_of
from dlcvcli.reporter import Silent
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.runtime.session import read_metadata
from dlcvcli.tasks.fewshot import export as module
from dlcvcli.tasks.fewshot.card import EPISODE, EncoderCard
from dlcvcli.tasks.fewshot.export import parity_episodes, parity_sizes
from dlcvcli.tasks.fewshot.flags import ExportFewshotFlags
from dlcvcli.tasks.fewshot.load import load_encoder
from dlcvcli.tasks.fewshot.spec import SPEC
from dlcvcli.tasks.registry import open_subject


def subject_of(run: Path, *, episode: bool | None = None) -> Subject:
    return open_subject(SPEC, find_model(run), ExportFewshotFlags(episode=episode))


def certificate_of(done: Exported) -> dict[str, Any]:
    certificate: dict[str, Any] = json.loads(certificate_path(done.out).read_text())
    return certificate


def test_the_metadata_describes_the_encoder(exported_fewshot: Path) -> None:
    run = RunFolder(exported_fewshot)
    entries = {entry.key: entry.value for entry in onnx.load(run.onnx).metadata_props}
    assert (entries["task"], entries["model"], entries["graph"]) == ("fewshot", "conv4", "encoder")
    assert json.loads(entries["dimension"]) == 8
    assert json.loads(entries["distance"]) == {"name": "euclidean"}
    assert json.loads(entries["episode"]) == [3, 1, 3]
    assert json.loads(entries["size"]) == [16, 16]
    assert json.loads(entries["class_splits"]).keys() == {"train", "val"}
    assert entries["checkpoint_sha256"] == sha256_of(run.best)
    assert "export.onnx" in json.loads(entries["versions"])
    torch_card = load_encoder(find_model(exported_fewshot), provider="cpu").card
    onnx_card = load_encoder(find_model(run.onnx), provider="cpu").card
    assert onnx_card.mean == torch_card.mean
    assert onnx_card.classes == torch_card.classes


def test_the_certificate_has_errors_and_limits(exported_fewshot: Path) -> None:
    run = RunFolder(exported_fewshot)
    certificate = json.loads(run.certificate.read_text())
    assert certificate["passed"] is True
    assert certificate["sha256"] == sha256_of(run.onnx)
    assert certificate["parity"]["max_embedding_error"] <= 1e-4
    cases = certificate["parity"]["cases"]
    assert [case["images"] for case in cases] == [[n, 16, 16] for n in (1, 2, 7)]
    assert all(check["passed"] for check in certificate["structure"].values())
    assert certificate["dataset"] is None


def test_an_episode_graph_is_certified_and_scored(
    tmp_path: Path, fewshot_run: Path, characters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EPISODES", 40)
    subject = subject_of(fewshot_run, episode=True)
    data = subject.open_data(characters, "val", Silent())
    done = export(subject, tmp_path / "episode.onnx", verify_data=data)
    assert EncoderCard.read(read_metadata(done.out), done.out).graph == EPISODE
    certificate = certificate_of(done)
    assert certificate["file"] == "episode.onnx"
    assert certificate["tolerances"] == {
        "logits_error": 1e-4, "argmax_agreement": 0.9999, "near_tie": 2e-4
    }  # fmt: skip
    assert certificate["parity"]["max_logits_error"] <= 1e-4
    assert certificate["parity"]["cases"][0].keys() == {
        *("support", "queries", "logits_error", "agreement", "differing", "widest_gap", "passed")
    }
    assert [case["support"][:2] for case in certificate["parity"]["cases"]] == [
        [3, 1], [2, 1], [7, 2]
    ]  # fmt: skip
    scored = certificate["dataset"]
    assert (scored["episodes"], scored["split"], scored["n_way"]) == (40, "val", 3)
    assert scored["onnx_accuracy"] == pytest.approx(scored["torch_accuracy"], abs=1e-4)
    assert scored["torch_accuracy"] > 0.4


def test_an_encoder_that_scores_less_fails(
    tmp_path: Path, fewshot_run: Path, characters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Blind(module.OnnxEncoder):
        def __call__(self, images: Any, clock: Any) -> Any:
            return super().__call__(np.zeros_like(images), clock)

    monkeypatch.setattr(module, "OnnxEncoder", Blind)
    subject = subject_of(fewshot_run)
    data = subject.open_data(characters, "val", Silent())
    with pytest.raises(CheckFailed, match="accuracy over 600 episodes: torch 0") as caught:
        export(subject, tmp_path / "model.onnx", verify_data=data)
    assert caught.value.status == 3
    scored = json.loads((tmp_path / "model.failed.certificate.json").read_text())["dataset"]
    assert scored["passed"] is False
    assert scored["torch_accuracy"] > scored["onnx_accuracy"]


@pytest.mark.parametrize(
    ("episode", "message"), [(False, "'embedding' differs"), (True, "logits diff")]
)
def test_a_graph_with_other_weights_fails_its_certificate(
    tmp_path: Path,
    fewshot_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    episode: bool,
    message: str,
) -> None:
    name = "trace_episode" if episode else "trace_encoder"
    original = getattr(module, name)

    def skewed(network: torch.nn.Module, *args: object) -> object:
        weight = next(network.parameters())
        kept = weight.detach().clone()
        with torch.no_grad():
            weight.mul_(1.05)
        traced = original(network, *args)
        with torch.no_grad():
            weight.copy_(kept)
        return traced

    monkeypatch.setattr(module, name, skewed)
    with pytest.raises(CheckFailed, match=message):
        export(subject_of(fewshot_run, episode=episode), tmp_path / "model.onnx")
    certificate = json.loads((tmp_path / "model.failed.certificate.json").read_text())
    assert certificate["passed"] is False


CARD = EncoderCard("fewshot", "resnet12", 640, {"name": "euclidean"}, size=(84, 84))


def test_an_encoder_of_any_size_is_also_compared_at_an_odd_size() -> None:
    assert parity_sizes(CARD, any_size=False) == [(84, 84)]
    own, other = parity_sizes(CARD, any_size=True)
    assert own == (84, 84)
    assert other[0] != other[1]
    assert other[0] % 2


def test_compared_episodes_are_that_of_the_card_and_two_others() -> None:
    assert parity_episodes(CARD) == [(5, 1, 25), (2, 1, 1), (7, 2, 3)]
