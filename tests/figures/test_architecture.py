"""The drawing of a network is complete, fits on a page and has text of print size."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dlcvcli.figures.architecture import KINDS, architecture, lines_of
from dlcvcli.figures.placement import FONT_SIZE
from dlcvcli.figures.style import save
from dlcvcli.models.diagram import measure
from dlcvcli.models.profile import build_on_meta
from tests.models.test_diagram import CASES, built

# Inches between the margins of both A4 and letter paper.
PAGE = (7.1, 9.0)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_every_network_is_drawn_completely_inside_the_page(
    name: str, options: dict[str, object]
) -> None:
    network, diagram = built(name, options)
    figure = architecture(name, network)
    assert tuple(figure.get_size_inches()) <= PAGE
    assert figure.get_figwidth() <= PAGE[0]
    assert figure.get_figheight() <= PAGE[1]
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (axes,), (legend,) = figure.axes, figure.legends
    texts = [*axes.texts, *legend.get_texts()]
    assert min(text.get_fontsize() for text in texts) >= FONT_SIZE >= 7
    renderer = canvas.get_renderer()
    extents = [text.get_window_extent(renderer) for text in texts]
    assert min(min(box.x0, box.y0) for box in extents) >= 0
    assert max(box.x1 for box in extents) <= figure.bbox.x1
    assert max(box.y1 for box in extents) <= figure.bbox.y1
    for index, box in enumerate(extents):
        assert not any(box.overlaps(other) for other in extents[index + 1 :]), texts[index]
    kinds = {KINDS[block.kind][0] for block in diagram.blocks}
    assert {text.get_text() for text in legend.get_texts()} == kinds


def test_drawing_has_the_measurements() -> None:
    options = {"auxiliary": True, "output_stride": 8}
    figure = architecture("a name", *built("deeplabv3_resnet50", options)[:1], (256, 384))
    texts = [text.get_text() for text in figure.axes[0].texts]
    for text in ("a name", "3×256×384", "21×256×384", "3×3 dilation 36", "stride 8, dilation 4"):
        assert text in texts
    assert "auxiliary logits" in texts
    assert any("ResNet50 to stride 8 · 42.0 M parameters" in text for text in texts)
    assert any("GFLOPs at 256×384 · 21 classes" in text for text in texts)


def test_drawing_of_an_encoder_ends_in_its_embedding() -> None:
    for name, words, values in (
        ("conv4", "flattened map", "64"),
        ("resnet12", "mean over the map", "640"),
    ):
        figure = architecture(name, build_on_meta(name), (28, 28))
        *blocks, title, about = (text.get_text() for text in figure.axes[0].texts)
        assert title == name
        assert blocks[-3:] == ["embedding", words, values]
        assert about.startswith(f"{'Conv4' if name == 'conv4' else 'ResNet12'} to stride 16 · ")
        assert about.endswith(f"GFLOPs at 28×28 · {values} values")


def test_upsampling_blocks_have_their_factor() -> None:
    network, diagram = built("fcn16s_vgg16", {})
    facts = measure(network, diagram, (500, 375))
    lines = {block.name: lines_of(block, facts[block.name]) for block in diagram.blocks}
    assert lines["upscore2"][1] == "deconvolution ×2"
    assert lines["upscore"] == ["upscore", "deconvolution ×16", "21×512×384"]
    assert lines["logits"] == ["logits", "21×500×375"]


@pytest.mark.parametrize("name", ["a.png", "a.pdf"])
def test_drawing_is_saved_as_png_and_pdf(tmp_path: Path, name: str) -> None:
    save(architecture("x", build_on_meta("fcn32s_vgg16")), tmp_path / name)
    head = (tmp_path / name).read_bytes()[:5]
    assert head.startswith((b"\x89PNG", b"%PDF"))


def test_kinds_of_blocks_have_different_colours() -> None:
    colours = [colour for _, colour in KINDS.values()]
    assert len(set(colours)) == len(colours)
