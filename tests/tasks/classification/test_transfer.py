"""The transfer settings: which backbone is needed, and what it becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dlcvcli.config.load import resolve
from dlcvcli.errors import CheckpointError, UsageError
from dlcvcli.tasks.classification.settings import TrainClsSettings
from dlcvcli.tasks.classification.transfer import resolve_transfer


def resolved(**transfer: Any) -> TrainClsSettings:
    flags = {f"transfer.{key}": value for key, value in transfer.items()}
    return resolve_transfer(resolve(TrainClsSettings, flags=flags))


@pytest.mark.parametrize(
    ("setting", "kind", "frozen"),
    [
        ("A", None, None),
        ("B", "supervised_backbone", None),
        ("C", "backbone", None),
        ("D", "supervised_backbone", "all"),
        ("E", "backbone", "all"),
    ],
)
def test_each_setting_starts_from_its_backbone(
    tmp_path: Path, setting: str, kind: str | None, frozen: str | None
) -> None:
    files = {name: tmp_path / f"{name}.pt" for name in ("backbone", "supervised_backbone")}
    for file in files.values():
        file.touch()
    # Both are given, as a study gives them to all five.
    settings = resolved(setting=setting, **{name: str(file) for name, file in files.items()})
    assert settings.model.weights == ("none" if kind is None else str(files[kind].resolve()))
    assert settings.transfer.freeze == frozen


def test_a_named_block_replaces_the_complete_backbone(tmp_path: Path) -> None:
    (tmp_path / "b.pt").touch()
    settings = resolved(setting="E", backbone=str(tmp_path / "b.pt"), freeze="layer4")
    assert settings.transfer.freeze == "layer4"


def test_imagenet_is_a_supervised_backbone() -> None:
    assert resolved(setting="B", supervised_backbone="imagenet").model.weights == "imagenet"


@pytest.mark.parametrize(
    ("transfer", "message"),
    [
        ({"setting": "C"}, "--setting C starts .* --backbone is missing"),
        ({"setting": "D"}, "--setting D starts .* --supervised-backbone is missing"),
        ({"backbone": "a", "supervised_backbone": "b"}, "two backbones"),
    ],
)
def test_a_missing_or_doubtful_backbone_is_refused(transfer: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolved(**transfer)


def test_a_backbone_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"--backbone .*none\.ckpt does not exist"):
        resolved(setting="C", backbone=str(tmp_path / "none.ckpt"))


def test_two_kinds_of_initial_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b.pt").touch()
    flags = {"transfer.backbone": str(tmp_path / "b.pt"), "model.weights": "imagenet"}
    with pytest.raises(UsageError, match="both initial weights"):
        resolve_transfer(resolve(TrainClsSettings, flags=flags))
