"""The table of networks is fast to import, complete, and names the valid choices."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dlcvcli.errors import MissingExtra, UsageError
from dlcvcli.models.entry import OUTPUTS, USUAL_SIZES
from dlcvcli.models.registry import (
    MODELS,
    OTHERS,
    all_names,
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
ENCODERS = (
    "conv4",
    "resnet9",
    "resnet12",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "vgg16",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "convnext_tiny",
)


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
    assert all_names("vectors") == (*model_names("vectors"), *OTHERS)
    assert all_names("masks") == model_names("masks")
    assert OUTPUTS.keys() == USUAL_SIZES.keys()


@pytest.mark.parametrize("name", SEGMENTATION_NETWORKS + ENCODERS)
def test_entry_is_complete(name: str) -> None:
    entry = model_entry(name)
    assert entry.name == name
    assert entry.gives == ("masks" if name in SEGMENTATION_NETWORKS else "vectors")
    assert entry.summary
    assert entry.source
    assert bool(entry.weights) == (name not in {"conv4", "resnet9", "resnet12"})
    assert entry.builder.startswith("dlcvcli.models.")
    assert entry.builder.endswith(f":{name}")


def test_torchvision_has_every_weight() -> None:
    from torchvision.models import get_weight

    for entry in (*MODELS.values(), *OTHERS.values()):
        for name in entry.weights:
            assert get_weight(name).url


def test_every_classifier_of_torchvision_has_an_entry() -> None:
    from torchvision import models

    names = models.list_models(module=models)
    assert OTHERS.keys() == set(names) - MODELS.keys()
    assert not [name for name in names if require_network(name, "vectors").name != name]


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


def test_network_of_one_size_refuses_others() -> None:
    entry = model_entry("vit_b_16")
    require_size(entry, (224, 224))
    assert entry.usual_size == (224, 224)
    for other in ((256, 256), (224, 448), (84, 84)):
        with pytest.raises(UsageError, match=f"exactly 224x224, and gets {other[0]}x") as caught:
            require_size(entry, other)
        assert caught.value.hint == "add --size 224x224"


def test_stem_for_small_images_changes_stride_and_least_side() -> None:
    for name in ("resnet18", "resnet34", "resnet50", "resnet101"):
        small, usual = model_entry(name, {"stem": "3x3"}), model_entry(name, {"stem": "7x7"})
        assert (small.stride, small.least_side) == (8, 8)
        assert usual == model_entry(name) == MODELS[name]


def test_network_of_timm_needs_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlcvcli.models.registry.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="timm/no_such_name") as caught:
        require_network("timm/no_such_name", "vectors")
    assert "pip install '.[train,timm]'" in caught.value.hint


def test_networks_of_timm_are_found_by_name() -> None:
    timm = pytest.importorskip("timm")
    entry = require_network("timm/resnet18.a1_in1k", "vectors")
    assert (entry.name, entry.gives, entry.only_size) == (
        "timm/resnet18.a1_in1k",
        "vectors",
        None,
    )
    assert model_entry("timm/vit_tiny_patch16_224").only_size == (224, 224)
    with pytest.raises(UsageError, match="no model is called 'timm/resnet188'") as caught:
        require_network("timm/resnet188", "vectors")
    assert caught.value.hint == "did you mean 'timm/resnet18'?"
    with pytest.raises(UsageError, match="not logits of every pixel"):
        require_network(f"timm/{timm.list_models()[0]}", "masks")
    with pytest.raises(UsageError, match="no model is called"):
        require_network("timm/hf-hub:someone/network", "vectors")
