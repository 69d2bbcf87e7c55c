"""Pre-trained weights: which tensors are loaded, which files are refused, no code is run."""

from __future__ import annotations

import os
import pickle
import re
import warnings
from pathlib import Path
from typing import NoReturn
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large, resnet18, resnet50
from torchvision.models.segmentation import deeplabv3_resnet50, lraspp_mobilenet_v3_large

from dlcvcli.errors import CheckpointError
from dlcvcli.models.backbones import MobileNetV3Large
from dlcvcli.models.build import build_network
from dlcvcli.models.weights import LoadReport, load_backbone

V3_NAME = MobileNetV3Large.torchvision_weights


@pytest.fixture
def backbone() -> MobileNetV3Large:
    torch.manual_seed(1)
    return MobileNetV3Large()


@pytest.fixture(scope="module")
def classifier() -> dict[str, Tensor]:
    torch.manual_seed(2)
    return dict(mobilenet_v3_large(weights=None).state_dict())


def save(payload: object, folder: Path, name: str = "weights.pth") -> str:
    torch.save(payload, folder / name)
    return str(folder / name)


def load(module: nn.Module, path: str, **options: str) -> LoadReport:
    return load_backbone(module, path, torchvision_name=V3_NAME, **options)


def assert_filled(module: nn.Module, source: dict[str, Tensor], before: str = "") -> None:
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, source[before + name]), name


def test_classifier_weights_fill_the_backbone(
    backbone: MobileNetV3Large, classifier: dict[str, Tensor], tmp_path: Path
) -> None:
    path = save(classifier, tmp_path)
    report = load(backbone, path)
    assert_filled(backbone, classifier)
    tensors = [name for name in backbone.state_dict() if "num_batches" not in name]
    assert report.loaded == tuple(tensors)
    assert report.missing == ()
    assert report.left_over == tuple(name for name in classifier if name.startswith("classifier."))
    assert f"{len(tensors)} of {len(tensors)} backbone tensors loaded from {path}" in str(report)
    assert "4 not used" in str(report)


@pytest.mark.parametrize("key", ["task", "state_dict", "model", None])
@pytest.mark.parametrize(
    "before", ["segmenter.network.backbone.", "network.network.backbone.", "module.", "backbone."]
)
def test_prefix_of_the_names_is_detected(
    backbone: MobileNetV3Large,
    classifier: dict[str, Tensor],
    tmp_path: Path,
    before: str,
    key: str | None,
) -> None:
    state = {before + name: tensor for name, tensor in classifier.items()}
    report = load(backbone, save({key: state, "step": 3} if key else state, tmp_path))
    assert_filled(backbone, classifier)
    assert not report.missing


def test_first_of_two_that_fit_is_loaded_unless_a_prefix_is_given(
    backbone: MobileNetV3Large, classifier: dict[str, Tensor], tmp_path: Path
) -> None:
    zeros = {name: torch.zeros_like(tensor) for name, tensor in classifier.items()}
    state = {f"online.{name}": tensor for name, tensor in classifier.items()}
    state |= {f"teacher.{name}": tensor for name, tensor in zeros.items()}
    path = save(state, tmp_path)
    load(backbone, path)
    assert_filled(backbone, classifier)
    load(backbone, path, prefix="teacher.")
    assert_filled(backbone, zeros)


def test_torchvision_segmentation_weights_fill_the_backbone(
    backbone: MobileNetV3Large, tmp_path: Path
) -> None:
    theirs = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3)
    report = load(backbone, save(theirs.state_dict(), tmp_path))
    assert not report.missing
    state = theirs.backbone.state_dict()
    for name, tensor in backbone.features.state_dict().items():
        assert torch.equal(tensor, state[name])


def test_network_of_dlcv_fills_the_backbone_of_another(tmp_path: Path) -> None:
    source = build_network("lraspp_mobilenet_v3_large", num_classes=3)
    path = save(source.state_dict(), tmp_path)
    network = build_network("deeplabv3plus_mobilenet_v3_large", num_classes=5, weights=path)
    assert isinstance(network.backbone, nn.Module)
    assert_filled(network.backbone, source.state_dict(), "backbone.")
    assert isinstance(network.load_report, LoadReport)
    assert all(not name.startswith("backbone.") for name in network.load_report.left_over)


def test_missing_tensors_are_listed_and_keep_their_values(
    backbone: MobileNetV3Large, classifier: dict[str, Tensor], tmp_path: Path
) -> None:
    gone, reshaped = "features.16.0.weight", "features.15.block.0.0.weight"
    state = {name: tensor for name, tensor in classifier.items() if name != gone}
    state[reshaped] = torch.zeros(3, 3)
    before = backbone.state_dict()[gone].clone()
    report = load(backbone, save(state, tmp_path))
    assert set(report.missing) == {gone, reshaped}
    assert reshaped in report.left_over
    assert torch.equal(backbone.state_dict()[gone], before)
    assert "2 missing" in str(report)


def small_features() -> nn.Sequential:
    return nn.Sequential(*(nn.Conv2d(3 if i == 0 else 4, 4, 3, padding=1) for i in range(5)))


class FullyConvolutional(nn.Module):
    """A small network with the layers of VGG-16: features, fc6 and fc7."""

    def __init__(self) -> None:
        super().__init__()
        self.features = small_features()
        self.fc6 = nn.Conv2d(4, 6, 7)
        self.fc7 = nn.Conv2d(6, 6, 1)


def small_vgg() -> dict[str, Tensor]:
    net = nn.ModuleDict(
        {
            "features": small_features(),
            "classifier": nn.Sequential(
                nn.Linear(4 * 49, 6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 6), nn.Linear(6, 10)
            ),
        }
    )
    return dict(net.state_dict())


def test_linear_layers_of_vgg_become_convolutions(tmp_path: Path) -> None:
    module, state = FullyConvolutional(), small_vgg()
    report = load(module, save(state, tmp_path))
    assert not report.missing
    assert report.left_over == ("classifier.4.weight", "classifier.4.bias")
    x = torch.randn(1, 4, 7, 7)
    hidden = x.flatten(1) @ state["classifier.0.weight"].T + state["classifier.0.bias"]
    torch.testing.assert_close(module.fc6(x).flatten(1), hidden)
    torch.testing.assert_close(
        module.fc7(hidden[:, :, None, None]).flatten(1),
        hidden @ state["classifier.3.weight"].T + state["classifier.3.bias"],
    )


def test_vgg_without_a_finite_classifier_fills_the_features(tmp_path: Path) -> None:
    state = small_vgg()
    state["classifier.0.weight"].fill_(torch.nan)
    state = {name: tensor for name, tensor in state.items() if "classifier.3" not in name}
    report = load(FullyConvolutional(), save(state, tmp_path))
    assert report.missing == ("fc6.weight", "fc7.weight", "fc7.bias")


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    path = save(resnet18(weights=None).state_dict(), tmp_path)
    with pytest.raises(CheckpointError, match="fits 0 of the") as caught:
        build_network("lraspp_mobilenet_v3_large", num_classes=3, weights=path)
    assert "conv1.weight" in caught.value.hint
    with pytest.raises(CheckpointError, match=r"fits \d\d of the 267"):
        load(resnet50(weights=None, num_classes=10), path)


def test_values_that_are_not_finite_are_refused(
    backbone: MobileNetV3Large, classifier: dict[str, Tensor], tmp_path: Path
) -> None:
    state = classifier | {"features.0.0.weight": torch.full((16, 3, 3, 3), torch.nan)}
    with pytest.raises(CheckpointError, match=r"features\.0\.0\.weight"):
        load(backbone, save(state, tmp_path))


class Trap:
    """An object whose pickle makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [False, True])
def test_file_with_code_is_refused_and_not_run(
    backbone: MobileNetV3Large, tmp_path: Path, legacy: bool
) -> None:
    sprung, path = tmp_path / "sprung", tmp_path / "weights.pth"
    payload = {"features.0.0.weight": torch.zeros(1), "trap": Trap(sprung)}
    if legacy:
        path.write_bytes(pickle.dumps({"trap": Trap(sprung)}, protocol=2))
    else:
        torch.save(payload, path)
    with pytest.raises(CheckpointError, match="could run code"):
        load(backbone, str(path))
    assert not sprung.exists()


@pytest.mark.parametrize("keep", [0, 3, 100, 5000])
def test_incomplete_file_is_refused(
    backbone: MobileNetV3Large, classifier: dict[str, Tensor], tmp_path: Path, keep: int
) -> None:
    path = Path(save(classifier, tmp_path))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="not a readable PyTorch file"):
        load(backbone, str(path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.onnx", b"\x08\x08\x12\x07pytorch" * 50, "it is an ONNX model"),
        ("plain.pkl", pickle.dumps({"a": 1}, protocol=4), "not a readable PyTorch file"),
        ("text.pth", b"hello world\n", "not a readable PyTorch file"),
        ("cut.pth", b"PK\x03\x04" + bytes(100), "it is damaged or incomplete"),
    ],
)
def test_errors_never_advise_unsafe_loading(
    backbone: MobileNetV3Large, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{re.escape(str(path))}: .*{message}") as caught:
        load(backbone, str(path))
    assert "weights_only" not in caught.value.message + caught.value.hint


def test_torchscript_program_is_refused_as_such(backbone: MobileNetV3Large, tmp_path: Path) -> None:
    path = tmp_path / "program.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        torch.jit.script(torch.nn.Linear(2, 2)).save(path)
    with pytest.raises(CheckpointError, match="it is a TorchScript program") as caught:
        load(backbone, str(path))
    assert "weights_only" not in caught.value.message + caught.value.hint


def test_error_of_a_damaged_download_has_no_unsafe_advice(
    backbone: MobileNetV3Large, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*args: object, **options: object) -> NoReturn:
        raise pickle.UnpicklingError("Weights only load failed. ... set `weights_only` to `False`")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"cannot download .* \(UnpicklingError\)"):
        load(backbone, "imagenet")


def test_sparse_and_meta_tensors_are_skipped(
    backbone: MobileNetV3Large, classifier: dict[str, Tensor], tmp_path: Path
) -> None:
    odd = {
        name: value.to_sparse() if value.ndim == 4 else value for name, value in classifier.items()
    }
    assert "features.0.0.weight" in load(backbone, save(odd, tmp_path)).missing
    odd = {name: torch.empty_like(value, device="meta") for name, value in classifier.items()}
    with pytest.raises(CheckpointError, match="no state dict in the file"):
        load(backbone, save(odd, tmp_path))


def test_recursive_file_is_refused(backbone: MobileNetV3Large, tmp_path: Path) -> None:
    endless: dict[str, object] = {}
    endless["model"] = endless
    with pytest.raises(CheckpointError, match="no state dict in the file"):
        load(backbone, save(endless, tmp_path))


@pytest.mark.parametrize("payload", [{}, [1, 2], {"step": 3}, {"task": {"a": 1}}])
def test_file_without_tensors_is_refused(
    backbone: MobileNetV3Large, tmp_path: Path, payload: object
) -> None:
    with pytest.raises(CheckpointError, match="no state dict in the file"):
        load(backbone, save(payload, tmp_path))


def test_missing_file_is_refused(backbone: MobileNetV3Large, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere.pth"):
        with pytest.raises(CheckpointError, match="no such weights file"):
            load(backbone, str(path))


def test_imagenet_is_torchvisions_weights(
    backbone: MobileNetV3Large, classifier: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, object]] = []

    def fetch(url: str, **options: object) -> dict[str, Tensor]:
        asked.append((url, options["check_hash"]))
        return classifier

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    report = load(backbone, "imagenet")
    assert report.source == V3_NAME
    assert_filled(backbone, classifier)
    ((url, checked),) = asked
    assert url.endswith(".pth")
    assert checked is True


@pytest.mark.parametrize(
    "error", [URLError("no route"), ConnectionResetError("reset"), RuntimeError("invalid hash")]
)
def test_error_without_a_connection_names_the_file_and_its_folder(
    backbone: MobileNetV3Large,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: Exception,
) -> None:
    def fail(*args: object, **options: object) -> NoReturn:
        raise error

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(CheckpointError, match=V3_NAME) as caught:
        load(backbone, "imagenet")
    name = "mobilenet_v3_large-5c1a4163.pth"
    assert name in caught.value.message
    assert f"put {name} into {tmp_path / 'hub' / 'checkpoints'}" in caught.value.hint
    assert "--weights PATH" in caught.value.hint


def test_damaged_download_is_to_be_deleted(
    backbone: MobileNetV3Large, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "mobilenet_v3_large-5c1a4163.pth").write_bytes(b"cut short")
    with pytest.raises(CheckpointError, match=r"mobilenet_v3_large-5c1a4163\.pth") as caught:
        load(backbone, "imagenet")
    assert "delete it" in caught.value.hint


def test_weights_of_torchvision_deeplab_give_the_same_logits(
    tmp_path: Path,
) -> None:
    torch.manual_seed(4)
    theirs = deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=5, aux_loss=True
    ).eval()
    network = build_network(
        "deeplabv3_resnet50",
        num_classes=5,
        weights=save(theirs.state_dict(), tmp_path),
        output_stride=8,
        auxiliary=True,
    ).eval()
    report = network.load_report
    assert isinstance(report, LoadReport)
    assert (report.what, report.missing, report.left_over) == ("network", (), ())
    images = torch.rand(1, 3, 65, 97)
    with torch.inference_mode():
        torch.testing.assert_close(network(images)["out"], theirs(images)["out"])


def test_torchvision_lraspp_fills_the_network(tmp_path: Path) -> None:
    theirs = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3).eval()
    path = save(theirs.state_dict(), tmp_path)
    network = build_network("lraspp_mobilenet_v3_large", num_classes=3, weights=path).eval()
    assert isinstance(network.load_report, LoadReport)
    assert not network.load_report.missing
    assert not network.load_report.left_over
    assert "other logits" in str(network.load_report)
    state = theirs.state_dict()
    for name, key in (
        ("narrow.0", "cbr.0"),
        ("gate.1", "scale.1"),
        ("classify_low", "low_classifier"),
    ):
        assert torch.equal(
            network.state_dict()[f"{name}.weight"], state[f"classifier.{key}.weight"]
        )


@pytest.mark.parametrize("before", ["", "segmenter.network.", "network.network.", "module."])
def test_network_of_dlcv_is_loaded_except_for_a_classifier_of_other_classes(
    tmp_path: Path, before: str
) -> None:
    torch.manual_seed(5)
    name = "lraspp_mobilenet_v3_large"
    source = build_network(name, num_classes=3).state_dict()
    path = save({before + key: value for key, value in source.items()}, tmp_path)
    same = build_network(name, num_classes=3, weights=path)
    assert_filled(same, source)
    assert "missing" not in str(same.load_report)
    assert "logits" not in str(same.load_report)
    other = build_network(name, num_classes=4, weights=path)
    assert isinstance(other.load_report, LoadReport)
    assert other.load_report.what == "network"
    classifiers = {
        f"classify_{kind}.{part}" for kind in ("low", "high") for part in ("weight", "bias")
    }
    assert set(other.load_report.missing) == classifiers
    assert {key.removeprefix(before) for key in other.load_report.left_over} == classifiers


def test_moving_average_is_loaded_instead_of_the_weights(tmp_path: Path) -> None:
    name = "lraspp_mobilenet_v3_large"
    trained, average = (build_network(name, num_classes=3).state_dict() for _ in range(2))
    task = {f"network.network.{key}": value for key, value in trained.items()}
    task |= {f"average.network.{key}": value for key, value in average.items()}
    network = build_network(name, num_classes=3, weights=save({"task": task}, tmp_path))
    assert_filled(network, average)
