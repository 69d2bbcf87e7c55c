"""An exported few-shot model says what it is, gives PyTorch's numbers, and fails loudly."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from dlcvcli.data.few_shot import FewShotSet
from dlcvcli.data.few_shot_split import open_few_shot
from dlcvcli.errors import CheckFailed, UsageError
from dlcvcli.exporting.certify import Certificate
from dlcvcli.exporting.export import Exported, certificate_path, export
from dlcvcli.files import sha256_of
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.runtime.metadata import read_card
from dlcvcli.runtime.session import read_metadata
from dlcvcli.tasks.fewshot import export as module
from dlcvcli.tasks.fewshot.card import EPISODE, EncoderCard
from dlcvcli.tasks.fewshot.export import (
    EmbeddingCase,
    EpisodeCase,
    compare_episode,
    parity_episodes,
    parity_sizes,
)
from dlcvcli.tasks.fewshot.load import load_encoder


def val_split(run: Path, data: Path) -> FewShotSet:
    """Open the classes that a run held out."""
    card = load_encoder(find_model(run), provider="cpu").card
    assert card.size is not None
    return open_few_shot(data, "val", size=card.size, known=card.classes).data


def certificate_of(done: Exported) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(certificate_path(done.path).read_text())
    return found


def test_the_encoder_says_what_it_is(exported_fewshot: Path) -> None:
    run = RunFolder(exported_fewshot)
    said = {entry.key: entry.value for entry in onnx.load(run.onnx).metadata_props}
    assert (said["task"], said["model"], said["graph"]) == ("fewshot", "conv4", "encoder")
    assert json.loads(said["dimension"]) == 8
    assert json.loads(said["distance"]) == {"name": "euclidean"}
    assert json.loads(said["episode"]) == [3, 1, 3]
    assert json.loads(said["size"]) == [16, 16]
    assert json.loads(said["class_splits"]).keys() == {"train", "val"}
    assert said["checkpoint_sha256"] == sha256_of(run.best)
    assert "export.onnx" in json.loads(said["versions"])
    torch_card = load_encoder(find_model(exported_fewshot), provider="cpu").card
    onnx_card = load_encoder(find_model(run.onnx), provider="cpu").card
    assert onnx_card.mean == torch_card.mean
    assert onnx_card.classes == torch_card.classes


def test_the_certificate_has_its_figures(exported_fewshot: Path) -> None:
    run = RunFolder(exported_fewshot)
    certificate = json.loads(run.certificate.read_text())
    assert certificate["passed"] is True
    assert certificate["sha256"] == sha256_of(run.onnx)
    assert certificate["parity"]["max_embedding_error"] <= 1e-4
    cases = certificate["parity"]["cases"]
    assert [case["images"] for case in cases] == [[n, 16, 16] for n in (1, 2, 7)]
    assert all(check["passed"] for check in certificate["structure"].values())
    assert certificate["dataset"] is None


def test_an_episode_is_certified_and_scored_as_a_whole(
    tmp_path: Path, fewshot_run: Path, characters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EPISODES", 40)
    done = export(
        find_model(fewshot_run),
        tmp_path / "episode.onnx",
        episode=True,
        verify_data=val_split(fewshot_run, characters),
    )
    card = read_card(read_metadata(done.path), done.path)
    assert isinstance(card, EncoderCard)
    assert card.graph == EPISODE
    certificate = certificate_of(done)
    assert certificate["file"] == "episode.onnx"
    assert certificate["parity"]["max_logits_error"] <= 1e-4
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
    data = val_split(fewshot_run, characters)
    with pytest.raises(CheckFailed, match="accuracy over 600 episodes: torch 0") as caught:
        export(find_model(fewshot_run), tmp_path / "model.onnx", verify_data=data)
    assert caught.value.status == 3
    scored = json.loads((tmp_path / "model.failed.certificate.json").read_text())["dataset"]
    assert scored["passed"] is False
    assert scored["torch_accuracy"] > scored["onnx_accuracy"]


@pytest.mark.parametrize(("episode", "says"), [(False, "embeddings differ"), (True, "logits diff")])
def test_a_file_that_misses_the_tolerance_is_kept_under_a_name_that_says_so(
    tmp_path: Path,
    fewshot_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    episode: bool,
    says: str,
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
    with pytest.raises(CheckFailed, match=says):
        export(find_model(fewshot_run), tmp_path / "model.onnx", episode=episode)
    assert not (tmp_path / "model.onnx").exists()
    assert (tmp_path / "model.failed.onnx").is_file()
    certificate = json.loads((tmp_path / "model.failed.certificate.json").read_text())
    assert certificate["passed"] is False


def test_options_of_another_task_are_refused(
    tmp_path: Path, fewshot_run: Path, trained_run: Path
) -> None:
    with pytest.raises(UsageError, match="--logits is for segmenters"):
        export(find_model(fewshot_run), tmp_path / "x.onnx", with_logits=True)
    with pytest.raises(UsageError, match="--episode is for few-shot models"):
        export(find_model(trained_run), tmp_path / "x.onnx", episode=True)
    assert not list(tmp_path.iterdir())


CARD = EncoderCard("fewshot", "resnet12", 640, {"name": "euclidean"}, size=(84, 84))


def test_an_embedding_is_judged_by_its_error_alone() -> None:
    good, bad = EmbeddingCase((7, 84, 84), 9e-5), EmbeddingCase((1, 84, 84), 2e-4)
    assert good.passed
    assert not bad.passed
    certificate = Certificate({"onnx_checker": None}, (good, bad))
    assert certificate.failures == [
        "images [1, 84, 84]: embeddings differ by 0.0002 of the largest value (at most 0.0001)"
    ]
    said = certificate.as_dict()
    assert said["tolerances"] == {"embedding_error": 1e-4}
    assert said["parity"]["max_embedding_error"] == 2e-4
    assert [case["passed"] for case in said["parity"]["cases"]] == [True, False]


@pytest.mark.parametrize(
    ("error", "agreement", "gap", "passed"),
    [
        (1e-5, 1.0, 0.0, True),
        (1e-5, 0.96, 1e-4, True),
        (1e-5, 0.96, 3e-4, False),
        (1e-5, 0.99995, 0.1, True),
        (1e-3, 1.0, 0.0, False),
        (math.inf, 1.0, 0.0, False),
    ],
)
def test_a_query_may_differ_where_it_nearly_ties(
    error: float, agreement: float, gap: float, passed: bool
) -> None:
    case = EpisodeCase((5, 1, 84, 84), 25, error, agreement, 1, gap)
    assert case.passed == passed
    assert "support [5, 1, 84, 84], 25 queries: logits differ by" in case.describe()


def test_a_network_that_tells_nothing_apart_is_no_failed_export() -> None:
    # Logits alike but for rounding, as those of a cosine after two steps: their range is as small.
    reference = np.full((3, 5), 9.99, np.float32)
    found = reference.copy()
    reference[:, 1] = np.nextafter(reference[:, 1], np.float32(10))
    found[:, 2] = np.nextafter(found[:, 2], np.float32(10))
    case = compare_episode((5, 1, 84, 84), reference, found)
    assert (case.differing, case.agreement) == (3, 0)
    assert case.passed
    reference[:, 1] += 0.01
    assert not compare_episode((5, 1, 84, 84), reference, found).passed


def test_what_is_no_number_can_be_written() -> None:
    for case in (
        EmbeddingCase((1, 84, 84), math.inf),
        EpisodeCase((5, 1, 84, 84), 25, math.inf, 0.0, 25, math.inf),
    ):
        certificate = Certificate({}, (case,))
        assert not certificate.passed
        text = json.dumps(certificate.as_dict(), allow_nan=False)
        assert json.loads(text)["parity"]["cases"][0]["passed"] is False


def test_another_size_is_compared_where_any_will_do() -> None:
    assert parity_sizes(CARD, any_size=False) == [(84, 84)]
    own, other = parity_sizes(CARD, any_size=True)
    assert own == (84, 84)
    assert other[0] != other[1]
    assert other[0] % 2


def test_episodes_are_those_of_the_card_and_two_others() -> None:
    assert parity_episodes(CARD) == [(5, 1, 25), (2, 1, 1), (7, 2, 3)]
