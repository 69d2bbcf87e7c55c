"""The contract of segmentation networks: tests that a model inherits by naming itself."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from dlcvcli.models.build import build_network
from dlcvcli.models.registry import ModelEntry, model_entry

CLASSES = 7


def images(batch: int, height: int, width: int, *, seed: int = 0) -> Tensor:
    """Return normalised images, float32 ``[batch, 3, height, width]``, the same for a seed.

    They are patches of colour under noise: a deep network gives noise alone the same logits
    everywhere.
    """
    generator = torch.Generator().manual_seed(seed)
    patches = torch.randn(batch, 3, 4, 4, generator=generator)
    noise = torch.randn(batch, 3, height, width, generator=generator)
    return F.interpolate(patches, size=(height, width), mode="nearest") + 0.3 * noise


def randomise_heads(model: nn.Module, *, seed: int = 0) -> None:
    """Make the predictions of an untrained network differ from pixel to pixel, in place.

    With zeros as scores every pixel is a tie, and with initial BatchNorm statistics an error in
    their export has no effect. So every convolution outside the backbone gets random weights, every
    BatchNorm a random scale and shift and the statistics of random images, and the classifier a
    bias with which every class has the same mean logit.

    The shifts are around 1, because random networks whose ReLUs are zero for half of their inputs
    amplify rounding errors from layer to layer (measured: 30 times as much in ResNet-50).
    """
    torch.manual_seed(seed)
    for name, part in model.named_modules():
        if isinstance(part, nn.Conv2d) and not name.startswith("backbone."):
            nn.init.kaiming_normal_(part.weight, mode="fan_in", nonlinearity="linear")
            if part.bias is not None:
                nn.init.normal_(part.bias, std=0.1)
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, mean=1.0, std=0.2)
    training = model.training
    calibration = images(4, 64, 64, seed=seed)
    with torch.no_grad():
        _take_statistics(model, calibration)
        _balance_classes(model, calibration)
    model.train(training)


def _take_statistics(model: nn.Module, x: Tensor) -> None:
    """Set the running statistics of every BatchNorm to those of one batch."""
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _balance_classes(model: nn.Module, x: Tensor) -> None:
    """Shift the classifier's bias until the mean logit of every class is about zero."""
    model.eval()
    for _ in range(4):  # more than once, as the upsampling of an FCN weakens a bias
        means = model(x)["out"].mean(dim=(0, 2, 3))
        *_, bias = (
            parameter
            for name, parameter in model.named_parameters()
            if name.endswith("bias") and parameter.shape == means.shape
        )
        bias.sub_(means)


class OnlyLogits(nn.Module):
    """A network that returns only its logits, like an exported graph."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Return ``network(x)["out"]``."""
        logits: Tensor = self.network(x)["out"]
        return logits


def export_to_onnx(network: nn.Module, path: Path) -> onnxruntime.InferenceSession:
    """Export a network with any batch, height and width, and open it on the CPU."""
    dim = torch.export.Dim
    for part in network.modules():
        # In place, these two take the exporter twice as long and give the same graph.
        if isinstance(part, nn.ReLU6 | nn.Hardswish):
            part.inplace = False
    torch.onnx.export(
        OnlyLogits(network).eval(),
        (images(2, 64, 96),),
        path,
        dynamo=True,
        dynamic_shapes=({0: dim("batch"), 2: dim("height"), 3: dim("width")},),
        input_names=["image"],
        output_names=["logits"],
        external_data=False,
        verbose=False,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def assert_same_logits(got: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Check that logits ``[N, C, H, W]`` are close to PyTorch's and predict the same classes.

    They may differ by 1e-4 of the largest logit, and in class at near ties, where the gap between
    the two best is at most 1e-3 of the range of the logits.
    """
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()
    best = expected.argmax(axis=1)
    assert len(np.unique(best)) > 1, "a single class does not test the argmax"
    ranked = np.sort(expected, axis=1)
    differs = got.argmax(axis=1) != best
    gaps = (ranked[:, -1] - ranked[:, -2])[differs]
    assert (gaps <= 1e-3 * (expected.max() - expected.min())).all()
    assert differs.mean() <= 1e-4


class NetworkContract:
    """Tests of a model whose graph has no kind of part that another tested graph lacks.

    Attributes:
        model_name: a name of the registry.
    """

    model_name: str

    @pytest.fixture(scope="class")
    @classmethod
    def network(cls) -> nn.Module:
        """The model, built once without a download, with random heads, in evaluation mode."""
        torch.manual_seed(0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("torch.hub.load_state_dict_from_url", _no_download)
            patch.setattr("torch.hub.download_url_to_file", _no_download)
            patch.setattr("torchvision.models._api.load_state_dict_from_url", _no_download)
            model = build_network(cls.model_name, num_classes=CLASSES)
        randomise_heads(model)
        return model.eval()

    @pytest.fixture
    def entry(self) -> ModelEntry:
        """The entry of the model in the registry."""
        return model_entry(self.model_name)

    @pytest.mark.parametrize(("height", "width"), [(64, 64), (97, 131), (33, 65), (1, 1)])
    def test_logits_have_the_size_of_the_input(
        self, network: nn.Module, height: int, width: int
    ) -> None:
        with torch.no_grad():
            result = network(images(1, height, width))
        assert set(result) == {"out"}
        assert result["out"].shape == (1, CLASSES, height, width)
        assert result["out"].dtype == torch.float32
        assert result["out"].isfinite().all()

    def test_every_trainable_parameter_gets_a_finite_gradient(self, network: nn.Module) -> None:
        network.train()
        network(images(2, 64, 64))["out"].square().mean().backward()
        gradients = {
            name: parameter.grad
            for name, parameter in network.named_parameters()
            if parameter.requires_grad
        }
        network.zero_grad(set_to_none=True)
        network.eval()
        present = {name: grad for name, grad in gradients.items() if grad is not None}
        assert set(present) == set(gradients)
        assert not [name for name, grad in present.items() if not grad.isfinite().all()]
        assert any(grad.any() for name, grad in present.items() if name.startswith("backbone."))

    def test_saved_state_dict_gives_the_same_logits(
        self, network: nn.Module, tmp_path: Path
    ) -> None:
        torch.save(network.state_dict(), tmp_path / "state.pt")
        with torch.device("meta"):  # without values, so that all of them come from the file
            other = build_network(self.model_name, num_classes=CLASSES).eval()
        other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True), assign=True)
        (tmp_path / "state.pt").unlink()
        with torch.no_grad():
            assert torch.equal(network(images(1, 64, 64))["out"], other(images(1, 64, 64))["out"])

    def test_logits_do_not_depend_on_the_rest_of_the_batch(self, network: nn.Module) -> None:
        batch = images(3, 64, 64)
        with torch.no_grad():
            together, alone = network(batch)["out"][1:2], network(batch[1:2])["out"]
        torch.testing.assert_close(together, alone, rtol=0, atol=1e-4 * float(alone.abs().max()))

    def test_registry_entry_agrees_with_the_network(
        self, network: nn.Module, entry: ModelEntry
    ) -> None:
        assert network.gives == entry.gives
        backbone: Any = network.backbone
        assert sum(parameter.numel() for parameter in backbone.parameters()) > 0
        assert backbone.torchvision_weights == entry.weights[0]
        assert backbone.output_stride == entry.stride
        with torch.no_grad():
            deepest = backbone(images(1, 2 * entry.stride, 4 * entry.stride))[-1]
        assert deepest.shape[2:] == (2, 4)

    def test_smallest_training_batch(self, network: nn.Module, entry: ModelEntry) -> None:
        trained = copy.deepcopy(network).train()
        with torch.no_grad():
            trained(images(entry.min_train_batch, 64, 64))
            if entry.min_train_batch > 1:
                with pytest.raises(ValueError, match="more than 1 value per channel"):
                    trained(images(entry.min_train_batch - 1, 64, 64))


class SegmentationContract(NetworkContract):
    """Tests that a model inherits. Subclass, and say which model.

    It adds the exported graph to `NetworkContract`, the dearest part: 5 to 20 seconds.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def session(
        cls, network: nn.Module, tmp_path_factory: pytest.TempPathFactory
    ) -> onnxruntime.InferenceSession:
        """The model as an ONNX graph, exported once."""
        path = tmp_path_factory.mktemp("onnx") / "model.onnx"
        session = export_to_onnx(network, path)
        path.unlink()  # VGG's is half a gigabyte
        return session

    @pytest.mark.parametrize(("batch", "height", "width"), [(1, 64, 64), (2, 97, 131)])
    def test_onnx_runtime_gives_the_same_logits(
        self,
        network: nn.Module,
        session: onnxruntime.InferenceSession,
        batch: int,
        height: int,
        width: int,
    ) -> None:
        x = images(batch, height, width, seed=1)
        with torch.no_grad():
            expected = network(x)["out"].numpy()
        (got,) = session.run(None, {"image": x.numpy()})
        assert_same_logits(got, expected)


def _no_download(*args: object, **kwargs: object) -> NoReturn:
    raise AssertionError("building a model without weights started a download")
