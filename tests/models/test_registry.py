"""The table of networks is fast to import, complete, and names the valid choices."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dlcvcli.errors import UsageError
from dlcvcli.models.registry import (
    MODELS,
    OUTPUTS,
    USUAL_SIZES,
    fits_size,
    model_entry,
    model_names,
    require_network,
    require_size,
)

SEGMENTATION_NETWORKS = (
    "deeplabv3plus_resnet50",
    "deeplabv3plus_resnet101",
    "deeplabv3_resnet50",
    "deeplabv3_resnet101",
    "fcn16s_vgg16",
    "fcn8s_vgg16",
    "deeplabv3plus_mobilenet_v2",
    "deeplabv3plus_mobilenet_v3_large",
    "fcn32s_vgg16",
    "lraspp_mobilenet_v3_large",
)
ENCODERS = ("conv4", "resnet12", "resnet18", "resnet34", "resnet50", "mobilenet_v3_large")


def test_registry_imports_no_torch() -> None:
    code = (
        "import sys, dlcvcli.models.registry as r; assert r.model_names('masks');"
        "heavy = {'torch', 'torchvision', 'numpy'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_names_are_listed_by_output_of_the_network() -> None:
    assert set(SEGMENTATION_NETWORKS) <= set(model_names("masks")) <= set(model_names())
    assert set(ENCODERS) <= set(model_names("vectors"))
    assert set(model_names()) == {name for gives in OUTPUTS for name in model_names(gives)}
    assert model_names() == tuple(MODELS)
    assert OUTPUTS.keys() == USUAL_SIZES.keys()


@pytest.mark.parametrize("name", SEGMENTATION_NETWORKS + ENCODERS)
def test_entry_is_complete(name: str) -> None:
    entry = model_entry(name)
    assert entry.name == name
    assert entry.gives == ("masks" if name in SEGMENTATION_NETWORKS else "vectors")
    assert entry.summary
    assert entry.source
    assert bool(entry.weights) == (name not in {"conv4", "resnet12"})
    assert entry.builder.startswith("dlcvcli.models.")
    assert entry.builder.endswith(f":{name}")


def test_torchvision_has_every_weight() -> None:
    from torchvision.models import get_weight

    for entry in MODELS.values():
        for name in entry.weights:
            assert get_weight(name).url


def test_network_with_another_output_is_refused() -> None:
    message = "'conv4' gives one embedding per image, not logits of every pixel"
    with pytest.raises(UsageError, match=message) as caught:
        require_network("conv4", "masks")
    assert "fcn8s_vgg16" in caught.value.hint
    assert "conv4" not in caught.value.hint
    message = "'fcn8s_vgg16' gives logits of every pixel, not one embedding per image"
    with pytest.raises(UsageError, match=message) as caught:
        require_network("fcn8s_vgg16", "vectors")
    assert "conv4" in caught.value.hint
    assert require_network("conv4", "vectors") is MODELS["conv4"]


def test_unknown_name_suggests_the_nearest() -> None:
    for look_up in (model_entry, lambda name: require_network(name, "vectors")):
        with pytest.raises(UsageError, match="no model is called 'conv5'") as caught:
            look_up("conv5")
        assert "conv4" in caught.value.hint


@pytest.mark.parametrize("name", SEGMENTATION_NETWORKS + ENCODERS)
def test_only_encoders_refuse_small_images(name: str) -> None:
    entry = model_entry(name)
    require_size(entry, (entry.least_side, entry.least_side))
    assert fits_size(entry, USUAL_SIZES[entry.gives])
    assert (entry.least_side == 1) == (name in SEGMENTATION_NETWORKS)
    if name in ENCODERS:
        for small in ((entry.least_side - 1, 100), (100, entry.least_side - 1)):
            assert not fits_size(entry, small)
            with pytest.raises(UsageError, match=f"gets {small[0]}x{small[1]}") as caught:
                require_size(entry, small)
            assert "--size" in caught.value.hint
