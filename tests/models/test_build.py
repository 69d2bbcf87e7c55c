"""Networks built by name: options are checked, and errors name them."""

from __future__ import annotations

import inspect

import pytest

from dlcvcli.config.names import RESERVED_OPTIONS
from dlcvcli.errors import UsageError
from dlcvcli.models.build import build_encoder, build_network, builder_options, import_builder
from dlcvcli.models.registry import model_entry, model_names


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="deeplabv3plus_resnet5'") as caught:
        build_network("deeplabv3plus_resnet5", num_classes=3)
    assert "deeplabv3plus_resnet50" in caught.value.hint


def test_network_with_another_output_is_refused() -> None:
    with pytest.raises(UsageError, match="not logits of every pixel"):
        build_network("conv4", num_classes=3)
    with pytest.raises(UsageError, match="not one embedding per image"):
        build_encoder("fcn8s_vgg16")


def test_unknown_option_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="no option 'output_strid'") as caught:
        build_network("deeplabv3plus_mobilenet_v2", num_classes=3, output_strid=8)
    assert "output_stride" in caught.value.hint


@pytest.mark.parametrize(
    ("option", "value", "message"),
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
def test_wrong_value_of_an_option_is_refused(option: str, value: object, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        build_network("deeplabv3_resnet50", num_classes=3, **{option: value})
    assert caught.value.hint


def test_options_have_their_defaults() -> None:
    plus, fcn = {"output_stride": 16, "dropout": 0.1}, {"learn_upsampling": False}
    expected = {
        "deeplabv3plus_resnet50": plus,
        "deeplabv3plus_resnet101": plus,
        "deeplabv3plus_mobilenet_v2": plus,
        "deeplabv3plus_mobilenet_v3_large": plus,
        "deeplabv3_resnet50": {"output_stride": 16, "auxiliary": False, "dropout": 0.1},
        "deeplabv3_resnet101": {"output_stride": 16, "auxiliary": False, "dropout": 0.1},
        "fcn32s_vgg16": fcn,
        "fcn16s_vgg16": fcn,
        "fcn8s_vgg16": fcn,
        "lraspp_mobilenet_v3_large": {},
        "conv4": {"channels": 64},
        "resnet12": {"dropout": 0.1},
        "resnet18": {"stem": "7x7"},
        "resnet9": {"channels": 64},
        "vgg16": {},
    }
    assert {name: builder_options(name) for name in expected} == expected


def test_option_of_a_network_without_options_is_refused() -> None:
    with pytest.raises(UsageError, match="no option 'dropout'") as caught:
        build_encoder("convnext_tiny", dropout=0.1)
    assert caught.value.hint == "it has no options at all"


@pytest.mark.parametrize("name", model_names())
def test_arguments_that_dlcv_sets_are_no_options(name: str) -> None:
    parameters = inspect.signature(import_builder(model_entry(name).builder)).parameters
    options = builder_options(name)
    assert parameters.keys() - options.keys() <= RESERVED_OPTIONS
    assert not options.keys() & RESERVED_OPTIONS
    assert inspect.Parameter.empty not in options.values()


def test_network_too_large_for_memory_is_refused() -> None:
    for channels in (2**62, 2**40):
        with pytest.raises(UsageError, match="model 'conv4' cannot be built: ") as caught:
            build_encoder("conv4", channels=channels)
        assert caught.value.hint == f"options given: channels={channels}"


def test_no_weights_are_loaded_by_default() -> None:
    assert build_network("lraspp_mobilenet_v3_large", num_classes=3).load_report is None
    assert build_encoder("conv4").load_report is None


def test_encoder_takes_its_options() -> None:
    assert build_encoder("conv4", channels=8).dimension((32, 32)) == 8 * 2 * 2
    for option, value, message in (
        ("chanels", 8, "no option 'chanels'"),
        ("channels", 8.0, "a whole number, not 8.0"),
    ):
        with pytest.raises(UsageError, match=message):
            build_encoder("conv4", **{option: value})
    with pytest.raises(UsageError, match="between 0 and 1"):
        build_encoder("resnet12", dropout=2)
    with pytest.raises(UsageError, match="stem is 7x7 or 3x3, not 5x5"):
        build_encoder("resnet18", stem="5x5")
