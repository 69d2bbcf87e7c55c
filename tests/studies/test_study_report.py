"""The page of a study says what its folder holds, finished or not, and needs no other file."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import pytest

from dlcvcli.studies import study, study_figures
from dlcvcli.studies.plan import command_line
from dlcvcli.studies.study import StudyRequest, run_study
from dlcvcli.studies.study_folder import StudyFolder
from dlcvcli.studies.study_report import report_study
from tests.studies.made_fewshot import TEXT as FEW
from tests.studies.made_fewshot import made_outcome
from tests.studies.made_study import TEXT, Trainer, tiny_study


class _Blank:
    """A predictor that calls every pixel the first class."""

    class card:
        size = None

    def __call__(self, images: object, size: tuple[int, int], clock: object) -> object:
        import numpy as np

        return np.zeros((1, *size), np.uint8)


@pytest.fixture
def blank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_figures, "load_predictor", lambda ref: _Blank())


def _study(
    folder: Path, data: Path, seeds: int, stop_at: int | None = None, text: str = TEXT
) -> tuple[StudyFolder, Trainer]:
    trainer = Trainer(stop_at)
    request = StudyRequest(tiny_study(text), "tiny", StudyFolder(folder), data, seeds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "run_dlcv", trainer)
        try:
            run_study(request, say=lambda line: None)
        except Exception:
            assert stop_at is not None
    return StudyFolder(folder), trainer


def _text(page: Path) -> str:
    plain = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page.read_text("utf-8"), flags=re.S)
    return " ".join(html.unescape(plain).split())


@pytest.mark.usefixtures("blank")
def test_all_of_a_study_is_on_its_page(tmp_path: Path, landcover: Path) -> None:
    folder, trainer = _study(tmp_path / "study", landcover, 2)
    outcome = report_study(folder)
    assert sorted(path.name for path in folder.figures.iterdir()) == [
        *("classes.png", "curves.png", "side-by-side.png"),
        *("snapshots-large.png", "snapshots-small.png"),
    ]  # fmt: skip
    text = _text(folder.page)
    found = json.loads(folder.results.read_text())
    assert found == outcome.as_dict()
    for run in found["runs"]:
        measured = run["measured"]["miou"]
        assert f"{measured['mean']:.4f} ± {measured['sd']:.4f}" in text
    for part in (
        *("Which rate learns more?", "0.4000", "Four steps teach nothing."),
        *("optim.lr 0.0001 0.01", "mIoU less that of small rate, paired by seed", "torch 2"),
        "The rarest class is water",
    ):
        assert part in text
    assert "Not finished yet" not in text
    # The commands are those that were called.
    for call in trainer.calls:
        assert command_line(call) in text
    page = folder.page.read_text("utf-8")
    assert page.count('src="data:image/png;base64,') == 5
    assert not re.search(r'(src|href)="(https?:)?//', page)
    for link in re.findall(r'href="([^"]+)"', page):
        assert (folder.path / link).exists(), link
    assert folder.markdown.read_text("utf-8").startswith("# Two rates\n")
    assert folder.csv.read_text("utf-8").count("\n") == 3


@pytest.mark.usefixtures("blank")
def test_an_unfinished_study_says_so_and_shows_what_it_has(tmp_path: Path, landcover: Path) -> None:
    folder, _ = _study(tmp_path / "study", landcover, 2, stop_at=2)
    report_study(folder)
    text = _text(folder.page)
    assert "Not finished yet: runs/small/seed-1 (not begun)" in text
    assert "runs/large/seed-0 (unfinished, step 2)" in text
    assert "1 of 4 trainings finished" in text
    assert (folder.figures / "side-by-side.png").is_file()
    # The next report replaces the figures, also those that are no longer drawn.
    shutil.rmtree(folder.path / "runs")
    report_study(folder)
    assert list(folder.figures.iterdir()) == []
    assert "0 of 4 trainings finished" in _text(folder.page)


def test_without_the_weights_the_rest_is_drawn(tmp_path: Path, landcover: Path) -> None:
    folder, _ = _study(tmp_path / "study", landcover, 1)
    for run in ("small", "large"):
        shutil.rmtree(folder.run(run, 0).checkpoints)
    report_study(folder)
    assert not (folder.figures / "side-by-side.png").exists()
    assert (folder.figures / "curves.png").is_file()


def test_only_what_the_definition_wants_is_drawn(tmp_path: Path, landcover: Path) -> None:
    wanted = "figures: {snapshots: false, side_by_side: false, classes: false}"
    text = re.sub(r"figures: .*", wanted, TEXT)
    folder, trainer = _study(tmp_path / "study", landcover, 1, text=text)
    report_study(folder)
    assert [path.name for path in folder.figures.iterdir()] == ["curves.png"]
    assert not any("--snapshot" in call for call in trainer.calls)


def test_the_page_of_a_few_shot_study(tmp_path: Path, glyphs: Path) -> None:
    outcome, trainer = made_outcome(tmp_path / "study", glyphs, 2)
    folder = report_study(outcome.folder).folder
    assert sorted(path.name for path in folder.figures.iterdir()) == ["accuracy.png", "curves.png"]
    text = _text(folder.page)
    for part in (
        *("Which distance learns more?", "0.5000 ± 0.0100", "Four episodes teach nothing."),
        *("not paired: other episodes", "begins from – – – euclid", "validation accuracy"),
        *("Accuracy less that of Euclidean", "distance.name euclidean cosine", "torch 2"),
    ):
        assert part in text
    for alien in ("mIoU", "IoU of every class", "masks", "pixel"):
        assert alien not in text
    for call in trainer.calls:
        assert command_line(call) in text
    page = folder.page.read_text("utf-8")
    assert page.count('src="data:image/png;base64,') == 2
    for link in re.findall(r'href="([^"]+)"', page):
        assert (folder.path / link).exists(), link


def test_a_few_shot_study_half_done_shows_what_it_has(tmp_path: Path, glyphs: Path) -> None:
    outcome, _ = made_outcome(tmp_path / "study", glyphs, 1, stop_at=2)
    report_study(outcome.folder)
    text = _text(outcome.folder.page)
    assert "runs/cosine/seed-0 (unfinished, step 2)" in text
    assert (outcome.folder.figures / "accuracy.png").is_file()
    wanted = "figures: {points: false, curves: false}\n"
    other, _ = made_outcome(tmp_path / "bare", glyphs, 1, text=FEW + wanted)
    report_study(other.folder)
    assert not list(other.folder.figures.glob("*"))
