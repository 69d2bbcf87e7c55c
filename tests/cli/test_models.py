"""`dlcv models` as users meet it."""

from __future__ import annotations

from tests.cli.command import dlcv, dlcv_without_torch, refused


def test_models_lists_and_describes() -> None:
    listed = dlcv("models").stdout
    for name in ("deeplabv3plus_resnet50", "fcn32s_vgg16", "lraspp_mobilenet_v3_large"):
        assert name in listed
    one = dlcv("models", "lraspp_mobilenet_v3_large").stdout
    assert "parameters" in one
    refused(2, "models", "unet", says="unet")


def test_without_torch_a_model_is_described_but_not_counted() -> None:
    done = dlcv_without_torch("models", "lraspp_mobilenet_v3_large")
    assert done.returncode == 0, done.stderr
    assert "any size" in done.stdout
    assert "parameters" not in done.stdout
