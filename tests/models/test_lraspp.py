"""LR-ASPP: the contract."""

from __future__ import annotations

from tests.model_contract import SegmentationContract


class TestMobileNetV3Large(SegmentationContract):
    model_name = "lraspp_mobilenet_v3_large"
