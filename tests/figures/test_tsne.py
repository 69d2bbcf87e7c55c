"""t-SNE as a strip of panels and as an animation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcvcli.figures.tsne import draw_tsne, save_gif, tsne_figure
from dlcvcli.figures.tsne_layout import Panel, Tsne
from dlcvcli.inference.features import save_epoch
from dlcvcli.runs import RunFolder
from tests.cli.command import dlcv, refused
from tests.figures.test_tsne_layout import clusters


def layouts(classes: int, panels: int = 2) -> Tsne:
    """Return random layouts of three images per class."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), 3)
    drawn = tuple(
        Panel(f"epoch {epoch}", rng.normal(size=(len(labels), 2)) * (epoch + 1), -0.001, 0.5, 5)
        for epoch in range(panels)
    )
    return Tsne(drawn, labels, tuple(f"class {i}" for i in range(classes)), "caption")


def test_panels_share_one_scale_and_have_their_scores() -> None:
    first, second = tsne_figure(layouts(4)).axes
    assert first.get_xlim() == second.get_xlim()
    assert np.ptp(first.get_xlim()) == pytest.approx(np.ptp(first.get_ylim()))
    assert first.get_title() == "epoch 0\n"
    assert [text.get_text() for text in first.texts] == ["silhouette 0.00 · 5-NN 0.50"]


def test_few_classes_are_named_and_all_look_different() -> None:
    figure = tsne_figure(layouts(20, 1))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][:2] == ["class 0", "class 1"]
    looks = {(line.get_color(), line.get_marker()) for line in legend.get_lines()}
    assert len(looks) == 20


def test_many_classes_have_their_numbers_at_their_centroids() -> None:
    tsne = layouts(21, 1)
    figure = tsne_figure(tsne)
    numbers = figure.axes[0].texts[1:]
    assert [text.get_text() for text in numbers] == [str(label) for label in range(21)]
    middle = np.median(tsne.panels[0].points[tsne.labels == 4], axis=0)
    assert numbers[4].get_position() == pytest.approx(tuple(middle))
    assert figure.legends[0].get_texts()[4].get_text() == "4 class 4"


def test_animation_pauses_at_each_layout(tmp_path: Path) -> None:
    save_gif(layouts(3), tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as image:
        assert getattr(image, "n_frames", 1) > 10
        assert image.info["loop"] == 0
        assert image.info["duration"] > 1000
    assert (tmp_path / "a.gif").stat().st_size < 300_000


def test_features_of_epochs_are_drawn_from_the_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert draw_tsne(run) is None
    run.create()
    run.config.write_text("task: toy\n")
    for epoch, apart in ((0, 0.0), (2, 20.0)):
        save_epoch(run, epoch, clusters(apart))
    out = tmp_path / "t.png"
    done = dlcv("figure", "tsne", run.path, "--out", out)
    assert [line.split(":")[0] for line in done.stdout.splitlines()][:2] == ["epoch 0", "epoch 2"]
    assert "5-NN 1.00" in done.stdout.splitlines()[1]
    assert out.is_file()
    assert out.with_suffix(".gif").is_file()


def test_embeddings_of_a_model_are_drawn_and_kept(
    fewshot_run: Path, characters: Path, tmp_path: Path
) -> None:
    out = tmp_path / "t.png"
    done = dlcv("figure", "tsne", fewshot_run, "--data", characters, "--k", "3", "--out", out)
    assert "3-NN" in done.stdout
    assert out.is_file()
    assert out.with_suffix(".npz").is_file()


def test_models_without_features_are_refused(
    trained_run: Path, landcover: Path, tmp_path: Path
) -> None:
    call = ("figure", "tsne", trained_run, "--out", tmp_path / "t.png")
    refused(2, *call, message="saved no features during its training")
    refused(2, *call, "--data", landcover, message="is a segmentation model, which has no features")
