"""What a user gives beside the data reaches the runs that need it, and cannot change later."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dlcvcli.errors import ConfigError, DataError, DlcvError, UsageError
from dlcvcli.studies.given import left_out, missing, parse_given
from dlcvcli.studies.study_folder import StudyFolder
from dlcvcli.studies.study_report import report_study
from tests.studies.prepared_seg import tiny_study
from tests.studies.prepared_transfer import TEXT, run_transfer

STUDY = tiny_study(TEXT)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def byol(tmp_path: Path) -> Path:
    file = tmp_path / "byol.ckpt"
    file.write_bytes(b"weights")
    return file


@pytest.fixture
def second(tmp_path: Path, glyphs: Path) -> Path:
    return Path(shutil.copytree(glyphs, tmp_path / "second"))


def _trained(calls: list[list[str]]) -> list[str]:
    return [Path(call[call.index("--out") + 1]).parent.name for call in calls]


def _after(call: list[str], flag: str) -> str | None:
    return call[call.index(flag) + 1] if flag in call else None


def test_runs_use_two_sets_an_earlier_run_and_a_checkpoint(
    out: Path, glyphs: Path, second: Path, byol: Path
) -> None:
    given = {"second": second, "byol": byol}
    _, calls = run_transfer(out, glyphs, given, seeds=2)
    assert _trained(calls) == ["supervised", "a", "b", "c"] * 2
    assert [_after(call, "--data") for call in calls[:4]] == [str(second), *[str(glyphs)] * 3]
    starts = [_after(call, "--init") for call in calls]
    runs = [str(out / "runs" / "supervised" / f"seed-{seed}") for seed in range(2)]
    assert starts == [None, None, runs[0], str(byol), None, None, runs[1], str(byol)]
    # Both are remembered.
    lines, calls = run_transfer(out, None, seeds=3)
    assert _trained(calls) == ["supervised", "a", "b", "c"]
    assert _after(calls[0], "--data") == str(second)
    assert sum("done before" in line for line in lines) == 8


def test_runs_without_what_is_optional_are_left_out_until_it_is_given(
    out: Path, glyphs: Path, second: Path, byol: Path
) -> None:
    lines, calls = run_transfer(out, glyphs, {"second": second})
    assert _trained(calls) == ["supervised", "a", "b"]
    why = "left out, as it needs byol (a BYOL checkpoint): add --given byol=PATH"
    assert f"c: {why}" in lines
    outcome = report_study(StudyFolder(out))
    assert not outcome.unfinished
    assert outcome.as_dict()["finished"]
    assert f"C, BYOL: {why}." in outcome.as_dict()["remarks"]
    # What was reported of it is shown all the same.
    assert "| C, BYOL | conv4 |" in (text := outcome.folder.markdown.read_text("utf-8"))
    assert "0.4828" in text
    _, calls = run_transfer(out, None, {"byol": byol})
    assert _trained(calls) == ["c"]
    assert not report_study(StudyFolder(out)).as_dict()["remarks"]


def test_pre_training_has_a_table_of_its_own(
    out: Path, glyphs: Path, second: Path, byol: Path
) -> None:
    run_transfer(out, glyphs, {"second": second, "byol": byol})
    # The second set has other files, which does not matter for the comparison.
    file = StudyFolder(out).run("supervised", 0).environment
    file.write_text(file.read_text().replace('"train": "a"', '"train": "c"'))
    outcome = report_study(StudyFolder(out))
    assert [[run.name for run in group.comparison.runs] for group in outcome.groups] == [
        ["a", "b", "c"],
        ["supervised"],
    ]
    results = outcome.as_dict()
    assert results["remarks"] == []
    assert (results["best"], list(results["tasks"])) == ("a", ["fewshot", "fewshot-pretraining"])
    assert [one["run"] for one in results["ranking"]] == ["a", "b", "c"]
    rows = [row.split(",")[:2] for row in outcome.folder.csv.read_text("utf-8").splitlines()]
    assert rows[1:] == [["fewshot", name] for name in "abc"] + [
        ["fewshot-pretraining", "supervised"]
    ]
    assert "# Where to start from, pre-training" in outcome.folder.markdown.read_text("utf-8")
    page = outcome.folder.page.read_text("utf-8")
    assert f"--data {second}" in page
    assert f"--init {byol}" in page


def test_weights_may_be_given_in_place_of_a_run(out: Path, glyphs: Path, byol: Path) -> None:
    lines, calls = run_transfer(out, glyphs, {"supervised": byol})
    assert _trained(calls) == ["a", "b"]
    assert _after(calls[1], "--init") == str(byol)
    assert f"supervised: not trained, as {byol} was given in its place" in lines
    with pytest.raises(UsageError, match="was given in its place"):
        run_transfer(out, None, only=("supervised",))


def test_what_is_not_optional_is_asked_for_before_anything_is_written(
    out: Path, glyphs: Path
) -> None:
    with pytest.raises(UsageError, match="run 'supervised' needs second: a second set") as caught:
        run_transfer(out, glyphs)
    assert caught.value.hint == (
        "give it with --given second=PATH, or its weights with --given supervised=CHECKPOINT"
    )
    with pytest.raises(UsageError, match="run 'b' needs second"):
        run_transfer(out, glyphs, only=("b",))
    # A run that is asked for by its name is not left out in silence.
    with pytest.raises(UsageError, match="run 'c' needs byol"):
        run_transfer(out, glyphs, only=("c",))
    assert not out.exists()
    assert _trained(run_transfer(out, glyphs, only=("a",))[1]) == ["a"]


def test_other_weights_and_other_data_are_refused_once_a_run_was_started(
    out: Path, glyphs: Path, second: Path, byol: Path, tmp_path: Path
) -> None:
    run_transfer(out, glyphs, {"second": second, "byol": byol})
    same = tmp_path / "moved.ckpt"
    shutil.copy(byol, same)
    run_transfer(out, None, {"byol": same})
    byol.write_bytes(b"other")
    with pytest.raises(ConfigError, match=r"run 'c' was started from other weights \(.*moved"):
        run_transfer(out, None, {"byol": byol})
    with pytest.raises(ConfigError, match="run 'b' was started from run 'supervised', not"):
        run_transfer(out, None, {"supervised": byol})
    third = Path(shutil.copytree(glyphs, tmp_path / "third"))
    # The fingerprints of the prepared runs are those of no real set.
    with pytest.raises(ConfigError, match=f"the data in {third} is not what .* with .*{second}"):
        run_transfer(out, None, {"second": third})
    # A run that was started needs its weights no longer.
    same.unlink()
    run_transfer(out, None)


def test_folders_without_a_run_or_images_are_refused_before_anything_is_written(
    out: Path, glyphs: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is not a run folder"):
        run_transfer(out, glyphs, {"supervised": tmp_path / "empty"})
    with pytest.raises(DataError, match="no images"):
        run_transfer(out, glyphs, {"second": tmp_path / "empty"})
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("byol", "--given byol: expected NAME=PATH", "second, byol, supervised"),
        ("byol=", "expected NAME=PATH", ""),
        ("byl=.", "takes nothing called 'byl'", "'byol'"),
        ("a=.", "takes nothing called 'a'", ""),
        ("byol=absent", "absent does not exist", ""),
    ],
)
def test_an_invalid_given_is_one_line(text: str, message: str, hint: str) -> None:
    with pytest.raises(DlcvError) as caught:
        parse_given([text], STUDY)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_run_needs_what_its_start_needs() -> None:
    assert missing(STUDY, ()) == {"supervised": "second", "b": "second", "c": "byol"}
    assert missing(STUDY, ("supervised",)) == {"c": "byol"}
    assert missing(STUDY, ("second", "byol")) == {}
    assert set(left_out(STUDY, {"supervised": Path("x")})) == {"supervised", "c"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("init: given:byol", "init: given:byl", "run 'c' needs byl, which is not in given"),
        ("init: given:byol", "init: supervised", "no run uses given:byol"),
        ("init: supervised", "init: a", "no run starts from run 'supervised'"),
        ("pretraining: true", "line: x", "is on a line"),
        ("  byol:", "  a: {what: x}\n  byol:", "no run uses given:a"),
        ("what: a BYOL checkpoint", "wat: a", "given.byol.wat"),
    ],
)
def test_a_definition_uses_what_it_asks_for(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError, match=message):
        tiny_study(TEXT.replace(old, new))
