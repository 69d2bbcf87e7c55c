"""The demo's page has the numbers of its files, and needs no other file."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dlcvcli.inference.compare import compare
from dlcvcli.inference.evaluation import EvalRequest
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.studies.demo import demo_task
from dlcvcli.studies.demo_folder import DemoFolder
from dlcvcli.studies.demo_report import Step, draw, write_demo_page
from tests.cli.command import run_children_here


class Reader(HTMLParser):
    """Collects text, links and pictures, and checks that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.sources: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "img":
            assert attributes["alt"]
            self.sources.append(attributes["src"] or "")
        elif tag == "a":
            self.links.append(attributes["href"] or "")
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def reported(
    tmp_path_factory: pytest.TempPathFactory, exported_run: Path, landcover: Path
) -> tuple[DemoFolder, dict[str, Any]]:
    """The folder of a demo with the small run of these tests, and its evaluation."""
    folder = DemoFolder(tmp_path_factory.mktemp("demo") / "demo")
    folder.begin()
    shutil.copytree(exported_run, folder.run.path)
    shutil.copytree(landcover, folder.data)
    spec = demo_task()
    assert spec.evaluator is not None
    assert spec.flags.eval is not None
    ref = find_model(folder.run.path)
    request = EvalRequest(ref, folder.data, "val", "cpu", None, spec.flags.eval())
    with pytest.MonkeyPatch.context() as patch:
        run_children_here(patch)
        result = compare(folder.run.best, folder.run.onnx, request, spec.evaluator())
    draw(folder, spec, ("0001",))
    folder.commands.touch()
    folder.evaluation.touch()
    steps = [
        Step("make tiles", "dlcv data make landcover d", 1.2),
        Step("train", "dlcv train", 61.0),
    ]
    write_demo_page(folder, steps, result)
    return folder, result


def test_the_page_contains_its_pictures_and_its_links_exist(
    reported: tuple[DemoFolder, dict[str, Any]],
) -> None:
    folder, _ = reported
    page = folder.page.read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert len(reader.sources) == 3
    assert all(source.startswith("data:image/png;base64,") for source in reader.sources)
    assert not re.search(r'(src|href)="(https?:)?//', page)
    for link in reader.links:
        assert (folder.path / link).exists(), link
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_the_numbers_are_those_of_the_files(reported: tuple[DemoFolder, dict[str, Any]]) -> None:
    folder, result = reported
    reader = Reader()
    reader.feed(folder.page.read_text(encoding="utf-8"))
    text = " ".join(" ".join(reader.text).split())
    assert (
        f"{result['metrics']['miou']:.4f} mIoU on {result['data']['images']} validation images"
        in text
    )
    assert f"{result['compare']['argmax_agreement']:.6f} of all pixels have the same class" in text
    for name, value in result["metrics"]["iou_per_class"].items():
        assert f"{name} " + ("–" if value is None else "") in text
    results = json.loads(RunFolder(folder.run.path).results.read_text())
    assert f"{results['parameters']:,} parameters" in text
    assert "Passed." in text
    assert "make tiles (1 s)" in text
    assert "train (61 s)" in text
