"""The table of networks: light to import, honest about names and options."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

from dlcvcli.config.names import RESERVED_OPTIONS
from dlcvcli.errors import UsageError
from dlcvcli.models.registry import (
    MODELS,
    USUAL_SIZES,
    build_encoder,
    build_network,
    builder_options,
    fits_size,
    model_entry,
    model_names,
    require_size,
    require_task,
)

NAMES = (
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


def test_importing_the_table_imports_no_torch() -> None:
    code = (
        "import sys, dlcvcli.models.registry as r; assert r.model_names('seg');"
        "heavy = {'torch', 'torchvision', 'numpy'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_names() -> None:
    assert set(NAMES) <= set(model_names("seg")) <= set(model_names())
    assert set(ENCODERS) <= set(model_names("fewshot"))
    assert set(model_names()) == {name for task in USUAL_SIZES for name in model_names(task)}
    assert model_names() == tuple(MODELS)
    assert model_names("no such task") == ()


@pytest.mark.parametrize("name", NAMES + ENCODERS)
def test_an_entry_is_complete(name: str) -> None:
    entry = model_entry(name)
    assert entry.name == name
    assert entry.task == ("seg" if name in NAMES else "fewshot")
    assert entry.summary
    assert entry.source
    assert bool(entry.weights) == (name not in {"conv4", "resnet12"})
    assert entry.builder.startswith("dlcvcli.models.")
    assert entry.builder.endswith(f":{name}")


def test_torchvision_knows_every_weight() -> None:
    from torchvision.models import get_weight

    for entry in MODELS.values():
        for name in entry.weights:
            assert get_weight(name).url


def test_an_unknown_name_brings_up_the_nearest() -> None:
    with pytest.raises(UsageError, match="deeplabv3plus_resnet5'") as caught:
        build_network("deeplabv3plus_resnet5", num_classes=3)
    assert "deeplabv3plus_resnet50" in caught.value.hint


def test_each_task_has_models_of_its_own() -> None:
    with pytest.raises(UsageError, match="'conv4' is for task fewshot, not seg") as caught:
        build_network("conv4", num_classes=3)
    assert "fcn8s_vgg16" in caught.value.hint
    assert "conv4" not in caught.value.hint
    with pytest.raises(UsageError, match="'fcn8s_vgg16' is for task seg, not fewshot") as caught:
        build_encoder("fcn8s_vgg16")
    assert "conv4" in caught.value.hint
    assert require_task("conv4", "fewshot") is MODELS["conv4"]
    with pytest.raises(UsageError, match="'conv5'") as caught:
        require_task("conv5", "fewshot")
    assert "conv4" in caught.value.hint


@pytest.mark.parametrize("name", NAMES + ENCODERS)
def test_only_encoders_refuse_small_images(name: str) -> None:
    entry = model_entry(name)
    require_size(entry, (entry.stride, entry.stride))
    assert fits_size(entry, USUAL_SIZES[entry.task])
    for small in ((entry.stride - 1, 100), (100, entry.stride - 1)):
        assert fits_size(entry, small) == (entry.task == "seg")
        if entry.task == "fewshot":
            with pytest.raises(UsageError, match=f"gets {small[0]}x{small[1]}") as caught:
                require_size(entry, small)
            assert "--size" in caught.value.hint


def test_an_unknown_option_brings_up_the_nearest() -> None:
    with pytest.raises(UsageError, match="no option 'output_strid'") as caught:
        build_network("deeplabv3plus_mobilenet_v2", num_classes=3, output_strid=8)
    assert "output_stride" in caught.value.hint


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("auxiliary", "no", "true or false, not 'no'"),
        ("output_stride", 8.0, "a whole number, not 8.0"),
        ("output_stride", True, "a whole number, not True"),
        ("output_stride", 0, "at least 1, not 0"),
        ("dropout", "half", "a number, not 'half'"),
        ("dropout", 2, "between 0 and 1"),
        ("dropout", None, "a number, not None"),
    ],
)
def test_a_value_that_an_option_does_not_take_is_refused(
    option: str, value: object, says: str
) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        build_network("deeplabv3_resnet50", num_classes=3, **{option: value})
    assert caught.value.hint


def test_options_come_with_their_defaults() -> None:
    defaults = {"output_stride": 16, "auxiliary": False, "dropout": 0.1}
    assert builder_options("deeplabv3_resnet50") == defaults
    assert builder_options("lraspp_mobilenet_v3_large") == {}
    assert builder_options("conv4") == {"channels": 64}
    assert builder_options("resnet12") == {"dropout": 0.1}
    assert builder_options("resnet18") == {}


def test_a_network_without_options_says_so() -> None:
    with pytest.raises(UsageError, match="no option 'dropout'") as caught:
        build_encoder("resnet18", dropout=0.1)
    assert caught.value.hint == "it has no options at all"


@pytest.mark.parametrize("name", NAMES + ENCODERS)
def test_what_dlcv_passes_to_a_builder_is_no_option(name: str) -> None:
    module, _, function = model_entry(name).builder.partition(":")
    parameters = inspect.signature(getattr(importlib.import_module(module), function)).parameters
    options = builder_options(name)
    assert parameters.keys() - options.keys() <= RESERVED_OPTIONS
    assert not options.keys() & RESERVED_OPTIONS
    assert inspect.Parameter.empty not in options.values()


def test_a_network_that_no_memory_holds_is_refused() -> None:
    for channels in (2**62, 2**40):
        with pytest.raises(UsageError, match="model 'conv4' cannot be built: ") as caught:
            build_encoder("conv4", channels=channels)
        assert caught.value.hint == f"options given: channels={channels}"


def test_nothing_is_loaded_unless_asked_for() -> None:
    network = build_network("lraspp_mobilenet_v3_large", num_classes=3)
    assert network.load_report is None
    assert build_encoder("conv4").load_report is None


def test_an_encoder_takes_its_options() -> None:
    assert build_encoder("conv4", channels=8).dimension((32, 32)) == 8 * 2 * 2
    for option, value, says in (
        ("chanels", 8, "no option 'chanels'"),
        ("channels", 8.0, "a whole number, not 8.0"),
    ):
        with pytest.raises(UsageError, match=says):
            build_encoder("conv4", **{option: value})
    with pytest.raises(UsageError, match="between 0 and 1"):
        build_encoder("resnet12", dropout=2)
