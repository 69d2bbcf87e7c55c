"""`dlcv figure` as users meet it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import dlcv, dlcv_without_torch, refused


def test_an_architecture_is_drawn_and_its_path_printed(tmp_path: Path) -> None:
    out = tmp_path / "new" / "net.pdf"
    settings = ("--set", "auxiliary=true", "--set", "model.options.output_stride=8")
    done = dlcv("figure", "architecture", "deeplabv3_resnet50", "--out", out, *settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}\n"
    assert done.stderr == ""
    assert out.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("unet",), "unet"),
        (("fcn8s_vgg16", "--out", "a.jpg"), "a.jpg"),
        (("fcn8s_vgg16", "--out", "folder"), ".png or .pdf"),
        (("fcn8s_vgg16", "--size", "12"), ""),
        (("fcn8s_vgg16", "--size", "big"), "big"),
        (("fcn8s_vgg16", "--set", "rate=2"), "no option 'rate'"),
        (("fcn8s_vgg16", "--set", "rate"), "KEY=VALUE"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    arguments: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    if says:
        refused(2, "figure", "architecture", *arguments, says=says)
    else:  # one number is a square
        done = dlcv("figure", "architecture", *arguments, "--out", tmp_path / "a.png")
        assert done.returncode == 0, done.stderr


def test_without_torch_one_line_says_what_is_missing() -> None:
    done = dlcv_without_torch("figure", "architecture", "fcn8s_vgg16")
    assert done.returncode == 1
    assert "needs torch" in done.stderr
    assert "Traceback" not in done.stderr
