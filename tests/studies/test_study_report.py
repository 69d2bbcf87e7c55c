"""The page of a study shows its folder, finished or not, and needs no other file."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import pytest

from dlcvcli.studies import study
from dlcvcli.studies.plan import command_line
from dlcvcli.studies.study import StudyRequest, run_study
from dlcvcli.studies.study_folder import StudyFolder
from dlcvcli.studies.study_report import report_study
from dlcvcli.tasks.segmentation import study_figures
from tests.studies.prepared_fewshot import TEXT as FEW
from tests.studies.prepared_fewshot import prepared_outcome
from tests.studies.prepared_mixed import TEXT as MIXED
from tests.studies.prepared_mixed import MixedTrainer
from tests.studies.prepared_seg import TEXT, Trainer, tiny_study


class _Blank:
    """A predictor that predicts the first class for every pixel."""

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
def test_a_complete_study_is_on_its_page(tmp_path: Path, landcover: Path) -> None:
    folder, trainer = _study(tmp_path / "study", landcover, 2)
    outcome = report_study(folder)
    assert sorted(path.name for path in folder.figures.iterdir()) == [
        *("classes.png", "curves.png", "side-by-side.png"),
        *("snapshots-large.png", "snapshots-small.png"),
    ]  # fmt: skip
    text = _text(folder.page)
    results = json.loads(folder.results.read_text())
    assert results == outcome.as_dict()
    for run in results["runs"]:
        measured = run["measured"]["miou"]
        assert f"{measured['mean']:.4f} ± {measured['sd']:.4f}" in text
    for part in (
        *(
            "Which learning rate learns more?",
            "0.4000",
            "Four steps are too few to learn anything.",
        ),
        *("optim.lr 0.0001 0.01", "mIoU minus that of small lr, paired by seed", "torch 2"),
        "The rarest class is water",
    ):
        assert part in text
    assert "Not finished yet" not in text
    # The commands equal those that were run.
    for call in trainer.calls:
        assert command_line(call) in text
    page = folder.page.read_text("utf-8")
    assert page.count('src="data:image/png;base64,') == 5
    assert not re.search(r'(src|href)="(https?:)?//', page)
    for link in re.findall(r'href="([^"]+)"', page):
        assert (folder.path / link).exists(), link
    assert folder.markdown.read_text("utf-8").startswith("# Two learning rates\n")
    assert folder.csv.read_text("utf-8").count("\n") == 3


@pytest.mark.usefixtures("blank")
def test_an_unfinished_study_shows_its_finished_runs(tmp_path: Path, landcover: Path) -> None:
    folder, _ = _study(tmp_path / "study", landcover, 2, stop_at=2)
    report_study(folder)
    text = _text(folder.page)
    assert "Not finished yet: runs/small/seed-1 (not started)" in text
    assert "runs/large/seed-0 (unfinished, step 2)" in text
    assert "1 of 4 trainings finished" in text
    assert (folder.figures / "side-by-side.png").is_file()
    # The next report replaces the figures, also those that are no longer drawn.
    shutil.rmtree(folder.path / "runs")
    report_study(folder)
    assert list(folder.figures.iterdir()) == []
    assert "0 of 4 trainings finished" in _text(folder.page)


def test_without_checkpoints_the_other_figures_are_drawn(tmp_path: Path, landcover: Path) -> None:
    folder, _ = _study(tmp_path / "study", landcover, 1)
    for run in ("small", "large"):
        shutil.rmtree(folder.run(run, 0).checkpoints)
    report_study(folder)
    assert not (folder.figures / "side-by-side.png").exists()
    assert (folder.figures / "curves.png").is_file()


def test_figures_are_switched_off_by_the_definition(tmp_path: Path, landcover: Path) -> None:
    wanted = "figures: {snapshots: false, side_by_side: false, classes: false}"
    text = re.sub(r"figures: .*", wanted, TEXT)
    folder, trainer = _study(tmp_path / "study", landcover, 1, text=text)
    report_study(folder)
    assert [path.name for path in folder.figures.iterdir()] == ["curves.png"]
    assert not any("--snapshot" in call for call in trainer.calls)


def test_the_page_of_a_few_shot_study(tmp_path: Path, glyphs: Path) -> None:
    outcome, trainer = prepared_outcome(tmp_path / "study", glyphs, 2)
    folder = report_study(outcome.folder).folder
    assert sorted(path.name for path in folder.figures.iterdir()) == ["accuracy.png", "curves.png"]
    text = _text(folder.page)
    for part in (
        *(
            "Which distance learns more?",
            "0.5000 ± 0.0100",
            "Four episodes are too few to learn anything.",
        ),
        *("not paired: other episodes", "starts from – – – euclid", "validation accuracy"),
        *("Accuracy minus that of Euclidean", "distance.name euclidean cosine", "torch 2"),
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


def test_an_unfinished_few_shot_study_shows_its_finished_runs(tmp_path: Path, glyphs: Path) -> None:
    outcome, _ = prepared_outcome(tmp_path / "study", glyphs, 1, stop_at=2)
    report_study(outcome.folder)
    text = _text(outcome.folder.page)
    assert "runs/cosine/seed-0 (unfinished, step 2)" in text
    assert (outcome.folder.figures / "accuracy.png").is_file()
    wanted = "figures: {points: false, curves: false}\n"
    other, _ = prepared_outcome(tmp_path / "bare", glyphs, 1, text=FEW + wanted)
    report_study(other.folder)
    assert not list(other.folder.figures.glob("*"))


@pytest.mark.usefixtures("blank")
def test_a_study_of_two_tasks_has_a_group_for_each(tmp_path: Path, landcover: Path) -> None:
    folder, trainer = StudyFolder(tmp_path / "study"), MixedTrainer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "run_dlcv", trainer)
        run_study(
            StudyRequest(tiny_study(MIXED), "mixed", folder, landcover), say=lambda line: None
        )
    results = report_study(folder).as_dict()
    assert [run["name"] for run in results["runs"]] == ["small", "large", "euclid", "cosine"]
    assert results["best"] == "large"
    assert {task: one["best"] for task, one in results["tasks"].items()} == {
        "seg": "large", "fewshot": "euclid"
    }  # fmt: skip
    assert "1.96" in results["tasks"]["fewshot"]["rule"]
    assert [next(iter(run["measured"])) for run in results["runs"]] == [
        *("miou", "miou", "accuracy", "accuracy"),
    ]  # fmt: skip
    assert [run["to_first"] is None for run in results["runs"]] == [True, False, True, False]
    assert results["remarks"] == []
    rows = folder.csv.read_text("utf-8").splitlines()
    assert len(rows) == 5
    assert len({row.count(",") for row in rows}) == 1
    assert [row.split(",")[0] for row in rows] == ["task", "seg", "seg", "fewshot", "fewshot"]
    markdown = folder.markdown.read_text("utf-8")
    titles = [line for line in markdown.splitlines() if line.startswith("# ")]
    assert titles == ["# Masks and characters: seg", "# Masks and characters: fewshot"]
    figures = folder.figures.rglob("*.png")
    assert sorted(path.relative_to(folder.figures).as_posix() for path in figures) == [
        *("fewshot/accuracy.png", "fewshot/curves.png", "seg/classes.png", "seg/curves.png"),
        *("seg/side-by-side.png", "seg/snapshots-large.png", "seg/snapshots-small.png"),
    ]  # fmt: skip
    text = _text(folder.page)
    for part in (
        *("Reported and measured: seg", "Reported and measured: fewshot", "Learning curves: seg"),
        *("What differs between the runs: fewshot", "mIoU minus that of small lr"),
        *("setting Euclidean cosine", "Accuracy minus that of Euclidean", "Every class: seg"),
    ):
        assert part in text, part
    for call in trainer.calls:
        assert command_line(call) in text
    page = folder.page.read_text("utf-8")
    assert page.count('src="data:image/png;base64,') == 7
    for link in re.findall(r'href="([^"]+)"', page):
        assert (folder.path / link).exists(), link


def test_runs_on_different_data_are_remarked(tmp_path: Path, landcover: Path) -> None:
    own = "data: {train: 5, validation: 2, size: 64x64}"
    text = TEXT.replace("label: large lr", f"label: large lr\n    {own}")
    folder, _ = _study(tmp_path / "study", landcover, 1, text=text)
    file = folder.run("large", 0).environment
    file.write_text(file.read_text().replace('"train": "a"', '"train": "c"'))
    shutil.rmtree(folder.run("large", 0).checkpoints)
    outcome = report_study(folder)
    assert "not trained on the same data" in " ".join(outcome.as_dict()["remarks"])
    assert "data – 5 + 2 tiles of 64x64" in _text(folder.page)


@pytest.mark.usefixtures("blank")
def test_a_study_has_latex_tables_and_a_ranking(tmp_path: Path, landcover: Path) -> None:
    folder, _ = _study(tmp_path / "study", landcover, 2)
    results = report_study(folder).as_dict()
    latex = folder.latex.read_text("utf-8")
    head, first, ranking, *_ = latex.split(r"\begin{table}")
    assert "% Needs \\usepackage{booktabs}" in head
    assert "% Best mean mIoU: large lr." in head
    mean, sd = (results["runs"][1]["measured"]["miou"][key] for key in ("mean", "sd"))
    assert rf"\textbf{{{mean:.4f} $\pm$ {sd:.4f}}}" in first
    assert r"\caption{Two learning rates. The best run is bold.}" in first
    assert r"small lr & 0.4000 & " in first
    assert r"\label{tab:tiny-seg-2}" in ranking
    assert [one["run"] for one in results["ranking"]] == ["large", "small"]
    interval = results["ranking"][1]["to_best"]
    assert interval["over"] == "seeds"
    assert interval["interval"][0] < interval["mean"] < interval["interval"][1]
    assert "Student's t over the seeds" in _text(folder.page)
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{table}") == 6
