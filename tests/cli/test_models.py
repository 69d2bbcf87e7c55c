"""`dlcv models`: the listing, one network, JSON and errors."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import pytest

from dlcvcli.models.registry import MODELS
from tests.cli.command import dlcv, dlcv_without_torch, refused

SMALL = "lraspp_mobilenet_v3_large"


def test_networks_are_listed_with_their_cost(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    done = dlcv("models", "--json", file, "--size", "24x512", "--classes", 3)
    assert done.returncode == 0, done.stderr
    for name in MODELS:
        assert name in done.stdout
    for words in (
        "M parameters",
        "GFLOPs",
        "MiB/image",
        "24x512 with 3 classes",
        "is 2",
        "values",
    ):
        assert words in done.stdout
    assert "encoders (one embedding per image), at 24x512\n" in plain(done.stdout)
    result = json.loads(file.read_text())
    assert (result["size"], result["classes"]) == ([24, 512], 3)
    assert [model["name"] for model in result["models"]] == list(MODELS)
    counts = ("parameters", "flops", "training_bytes_per_image")
    # The size is too small for some encoders; the others are still profiled.
    small = {
        *("resnet18", "resnet34", "resnet50", "resnet101", "vgg16", "efficientnet_b0"),
        *("mobilenet_v3_large", "mobilenet_v3_small", "convnext_tiny"),
    }
    for model in result["models"]:
        assert all(model[count] is None for count in counts) == (model["name"] in small)
        assert model["name"] in small or all(model[count] > 0 for count in counts)
    assert "–" in next(line for line in done.stdout.splitlines() if "resnet18" in line)
    assert result["models"][list(MODELS).index("conv4")]["embedding"] == 64 * 1 * 32


def plain(text: str) -> str:
    """Return a text without trailing spaces."""
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def test_networks_are_profiled_at_the_usual_size_of_their_kind(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    few = {name: MODELS[name] for name in (SMALL, "fcn8s_vgg16", "conv4", "resnet12")}
    # It puts all of them back in their order, which the reference has too.
    with mock.patch.dict(MODELS, few, clear=True):
        listing = plain(dlcv("models", "--json", file).stdout)
    assert "segmentation networks (logits of every pixel), at 512x512 with 21 classes\n" in listing
    assert "encoders (one embedding per image), at 84x84\n" in listing
    rows = {row["name"]: row for row in json.loads(file.read_text())["models"]}
    assert {name: row["size"] for name, row in rows.items()} == {
        name: [512, 512] if entry.gives == "masks" else [84, 84] for name, entry in few.items()
    }
    assert rows["conv4"]["embedding"] == 1600
    assert (rows["conv4"]["gives"], rows[SMALL]["gives"]) == ("vectors", "masks")
    assert "embedding" not in rows[SMALL]


def test_encoder_is_described_with_its_embedding(tmp_path: Path) -> None:
    file = tmp_path / "conv4.json"
    done = dlcv("models", "conv4", "--size", "28x28", "--json", file)
    assert done.returncode == 0, done.stderr
    for words in ("64 values", "112,832", "at least 16x16", "none exist", "at 28x28", "blocks.3"):
        assert words in done.stdout
    assert "classes" not in done.stdout
    assert "backbone" not in done.stdout
    result = json.loads(file.read_text())
    assert (result["size"], result["embedding"], result["parameters"]) == ([28, 28], 64, 112_832)
    assert "classes" not in result
    assert sum(layer["parameters"] for layer in result["layers"]) == 112_832
    narrow = json.loads(dlcv("models", "conv4", "--set", "channels=32", "--json", "-").stdout)
    assert (narrow["size"], narrow["embedding"]) == ([84, 84], 800)


def test_network_is_described_layer_by_layer() -> None:
    one = dlcv("models", SMALL).stdout
    for words in (MODELS[SMALL].source, "parameters", "memory in training", "narrow.0", "total"):
        assert words in one
    assert "backbone.features.4.block.1" not in one
    deeper = dlcv("models", SMALL, "--depth", 9).stdout
    assert "backbone.features.4.block.1" in deeper
    numbers = [text.split("total")[1].replace("│", " ").split() for text in (one, deeper)]
    assert numbers[0][:3] == numbers[1][:3] == ["3,221,538", "3.933", "100.0%"]


def test_the_layers_in_the_json_of_a_network_sum_to_its_totals() -> None:
    options = ("--set", "output_stride=8", "--set", "model.options.auxiliary=true")
    done = dlcv("models", "deeplabv3_resnet50", *options, "--json", "-")
    result = json.loads(done.stdout)
    assert result["options"] == {"output_stride": 8, "auxiliary": True}
    assert sum(layer["parameters"] for layer in result["layers"]) == result["parameters"]
    assert sum(layer["flops"] for layer in result["layers"]) == result["flops"]
    shapes = {layer["name"]: layer["shape"] for layer in result["layers"]}
    assert shapes["backbone.layer4"] == [2048, 64, 64]
    assert shapes["auxiliary"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("unet",), "unet"),
        (("--depth", "3"), "--depth needs the name of a network"),
        (("--set", "output_stride=8"), "--set needs the name of a network"),
        (("--size", "0x8"), "0x8"),
        (("--size", "8x8x8"), "8x8x8"),
        ((SMALL, "--set", "output_stride=8"), "no option 'output_stride'"),
        (("deeplabv3_resnet50", "--set", "auxiliary=perhaps"), "true or false, not 'perhaps'"),
        (("deeplabv3_resnet50", "--set", "dropout=2"), "between 0 and 1"),
        (("conv4", "--classes", "5"), "which has no classes"),
        (("resnet18", "--size", "16x84"), "at least 32x32, and gets 16x84"),
        (("conv4", "--set", "weights=imagenet"), "'weights' is not an option of a model"),
        (("conv4", "--set", "dropout=0.5"), "no option 'dropout'"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[str, ...], message: str) -> None:
    refused(2, "models", *arguments, message=message)


@pytest.mark.parametrize("name", [(), (SMALL,), ("conv4",)])
def test_networks_are_described_without_torch(name: tuple[str, ...]) -> None:
    done = dlcv_without_torch("models", *name)
    assert done.returncode == 0, done.stderr
    assert (*name, SMALL)[0] in done.stdout
    assert "GFLOPs" not in done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert "torch" in done.stderr
    result = json.loads(dlcv_without_torch("models", SMALL, "--json", "-").stdout)
    assert result["parameters"] is None
