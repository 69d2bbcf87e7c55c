"""A study trains what is not finished, continues runs, and refuses runs that do not compare."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from pathlib import Path

import pytest

from dlcvcli.errors import AlreadySaid, ConfigError, DataError, DlcvError, Interrupted, UsageError
from dlcvcli.outcomes.runs import state_of
from dlcvcli.studies import study
from dlcvcli.studies.plan import study_settings
from dlcvcli.studies.study import StudyRequest, run_study
from dlcvcli.studies.study_folder import StudyFolder, changed_settings
from dlcvcli.yaml_reader import MAX_BYTES
from tests.locked_folder import locked_by_another_process
from tests.studies.prepared_fewshot import TEXT as FEW
from tests.studies.prepared_fewshot import FewshotTrainer
from tests.studies.prepared_mixed import TEXT as MIXED
from tests.studies.prepared_mixed import MixedTrainer
from tests.studies.prepared_seg import TEXT, Trainer, tiny_study


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    trainer = Trainer()
    monkeypatch.setattr(study, "run_dlcv", trainer)
    return trainer


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path / "a study")


def _run(folder: StudyFolder, data: Path | None, text: str = TEXT, **more: object) -> list[str]:
    lines: list[str] = []
    request = StudyRequest(tiny_study(text), "tiny", folder, data, **more)  # type: ignore[arg-type]
    run_study(request, say=lines.append)
    return lines


def test_every_run_is_trained_once_with_every_seed(
    trainer: Trainer, folder: StudyFolder, landcover: Path
) -> None:
    lines = _run(folder, landcover, seeds=2)
    assert [call[call.index("--out") + 1] for call in trainer.calls] == [
        str(folder.path / "runs" / name)
        for name in ("small/seed-0", "large/seed-0", "small/seed-1", "large/seed-1")
    ]
    assert "2/4 large seed 0: lraspp_mobilenet_v3_large, showing 0001" in lines
    assert all(state_of(folder.run(name, 1)) == "finished" for name in ("small", "large"))
    # The set has only one of the two images, which is no error.
    assert all(call.count("--snapshot") == 1 and "0099" not in call for call in trainer.calls)
    again = _run(folder, landcover)
    assert len(trainer.calls) == 4
    assert sum("done before, mIoU" in line for line in again) == 4
    _run(folder, None, seeds=3)
    assert len(trainer.calls) == 6
    assert folder.read().seeds == 3
    _run(folder, None, seeds=1)
    assert folder.read().seeds == 3


def test_a_stopped_run_is_resumed_and_the_hint_has_the_complete_command(
    monkeypatch: pytest.MonkeyPatch, folder: StudyFolder, landcover: Path
) -> None:
    trainer = Trainer(stop_at=3)
    monkeypatch.setattr(study, "run_dlcv", trainer)
    sets = ("optim.weight_decay=0.1", "train.max_time=90s")
    with pytest.raises(Interrupted) as caught:
        _run(folder, landcover, seeds=2, sets=sets)
    assert caught.value.status == 130
    assert "3/4 small seed 1" in caught.value.message
    command = shlex.split(caught.value.hint.removeprefix("continue with: "))
    assert command == [
        *("dlcv", "study", "run", "tiny", "--data", str(landcover), "--out", str(folder.path)),
        *("--seeds", "2", "--set", sets[0], "--set", sets[1]),
    ]
    lines = _run(folder, landcover, seeds=2, sets=sets)
    assert "3/4 small seed 1: continuing" in lines
    assert len(trainer.calls) == 5
    resumed = trainer.calls[3]
    assert resumed[2:6] == ["--resume", str(folder.run("small", 1).path), "--data", str(landcover)]
    # The limit of a session, not of the run: it is passed on again. The decay is the run's.
    assert resumed[6:] == ["--set", "train.max_time=90s"]


def test_a_study_of_many_runs_can_be_continued(
    trainer: Trainer, folder: StudyFolder, landcover: Path
) -> None:
    head, _, tail = TEXT.partition("figures:")
    more = "".join(
        f"  - {{name: more{n}, label: more {n}, settings: {{<<: *own}}}}\n" for n in range(120)
    )
    text = f"{head}{more}figures:{tail}"
    _run(folder, landcover, text, only=("small",))
    assert folder.record.stat().st_size > MAX_BYTES
    _run(folder, landcover, text, only=("large",))
    assert len(trainer.calls) == 2


def test_a_study_that_another_process_runs_is_refused(
    trainer: Trainer, folder: StudyFolder, landcover: Path
) -> None:
    _run(folder, landcover, only=("small",))
    with (
        locked_by_another_process(folder.path) as other,
        pytest.raises(DlcvError, match=f"in use by process {other.pid}"),
    ):
        _run(folder, landcover)
    assert len(trainer.calls) == 1


def test_a_run_killed_before_its_first_checkpoint_is_restarted(
    trainer: Trainer, folder: StudyFolder, landcover: Path
) -> None:
    _run(folder, landcover, only=("small",))
    run = folder.run("small", 0)
    run.results.unlink()
    shutil.rmtree(run.checkpoints)
    _run(folder, landcover, only=("small",))
    assert [("--resume" in call) for call in trainer.calls] == [False, False]
    assert state_of(run) == "finished"


def test_ctrl_c_and_a_failing_run_end_the_study_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, folder: StudyFolder, landcover: Path
) -> None:
    def interrupted(arguments: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "run_dlcv", interrupted)
    with pytest.raises(Interrupted) as caught:
        _run(folder, landcover)
    assert caught.value.status == 130

    def failing(arguments: list[str]) -> None:
        raise AlreadySaid(7)

    monkeypatch.setattr(study, "run_dlcv", failing)
    lines: list[str] = []
    with pytest.raises(AlreadySaid) as failed:
        run_study(StudyRequest(tiny_study(), "tiny", folder, landcover), say=lines.append)
    assert failed.value.status == 7
    message = "1/2 small seed 0 failed; fix the cause, then continue with: dlcv study run"
    assert lines[-1].startswith(message)


def test_other_settings_are_refused_with_the_keys(
    trainer: Trainer, folder: StudyFolder, landcover: Path
) -> None:
    _run(folder, landcover)
    with pytest.raises(ConfigError) as caught:
        _run(folder, landcover, sets=("optim.lr=0.5", "train.epochs=3"))
    for part in (
        "small: optim.lr: 0.0001 -> 0.5",
        "large: optim.lr: 0.01 -> 0.5",
        "train.steps: 4 -> None",
        "train.epochs: None -> 3",
    ):
        assert part in caught.value.message
    with pytest.raises(ConfigError, match=r"large: optim\.lr: 0\.01 -> 0\.02"):
        _run(folder, landcover, TEXT.replace("1.0e-2", "2.0e-2"))
    with pytest.raises(ConfigError, match="run large: removed; run huge: new"):
        _run(folder, landcover, TEXT.replace("name: large", "name: huge"))
    with pytest.raises(ConfigError, match="holds the study 'tiny', not 'other'"):
        _run(folder, landcover, TEXT.replace("name: tiny", "name: other"))
    assert len(trainer.calls) == 2


def test_texts_reported_values_and_settings_without_effect_may_change(
    trainer: Trainer, folder: StudyFolder, landcover: Path
) -> None:
    _run(folder, landcover)
    text = TEXT.replace("Two learning rates", "Rates").replace("miou: 0.4", "miou: 0.5")
    _run(folder, landcover, text, sets=("train.workers=1", "snapshot.epochs=[1]"))
    assert len(trainer.calls) == 2
    assert folder.read().definition.title == "Rates"
    before, after = (study_settings(tiny_study(), sets) for sets in ((), ("data.audit=false",)))
    assert changed_settings(before, after) == []


def test_another_data_folder_has_to_hold_the_same_files(
    trainer: Trainer, folder: StudyFolder, landcover: Path, tmp_path: Path
) -> None:
    _run(folder, landcover)
    moved = tmp_path / "moved"
    shutil.copytree(landcover, moved)
    with pytest.raises(ConfigError, match="is not what the study"):
        _run(folder, moved)  # the fingerprints of the prepared runs are not real
    for name in ("small", "large"):
        folder.run(name, 0).environment.unlink()
    _run(folder, moved)
    assert folder.read().data == str(moved)


def test_a_folder_of_other_files_and_wrong_data_are_refused_first(
    trainer: Trainer, tmp_path: Path, landcover: Path
) -> None:
    notes = tmp_path / "mine" / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("mine")
    with pytest.raises(UsageError, match="is not empty and no study was started in it"):
        _run(StudyFolder(notes.parent), landcover)
    with pytest.raises(UsageError, match="is a file"):
        _run(StudyFolder(notes), landcover)
    with pytest.raises(UsageError, match="needs data"):
        _run(StudyFolder(tmp_path / "new"), None)
    with pytest.raises(DataError, match="does not exist"):
        _run(StudyFolder(tmp_path / "new"), tmp_path / "absent")
    with pytest.raises(UsageError, match="no such run"):
        _run(StudyFolder(tmp_path / "new"), landcover, only=("smal",))
    assert sorted(tmp_path.rglob("*")) == [notes.parent, notes]
    assert not trainer.calls


def test_a_study_writes_its_synthetic_set_once_and_completely(
    trainer: Trainer, tmp_path: Path
) -> None:
    text = TEXT + "data: {train: 5, validation: 2, size: 64x64, seed: 3}\n"
    folder = StudyFolder(tmp_path / "study")
    # Files of a process that was killed while it wrote the set.
    folder.begin()
    left = folder.path / ".data.999999999.partial"
    (left / "train").mkdir(parents=True)
    (left / "train" / "0000_sat.jpg").touch()
    _run(folder, None, text)
    assert len(list(folder.data.rglob("*_sat.jpg"))) == 7
    assert not left.exists()
    first = (folder.data / "train" / "0000_sat.jpg").stat().st_mtime_ns
    _run(folder, None, text)
    assert (folder.data / "train" / "0000_sat.jpg").stat().st_mtime_ns == first
    assert len(trainer.calls) == 2


def test_without_any_of_the_named_images_the_first_are_shown(
    trainer: Trainer, folder: StudyFolder, landcover: Path
) -> None:
    _run(folder, landcover, TEXT.replace('["0001", "0099"]', '["0099"], first: 2'))
    shown = [word for word in trainer.calls[0] if word.startswith("00")]
    assert shown == ["0000", "0001"]


def _few(
    folder: StudyFolder, data: Path | None, text: str = FEW, **more: object
) -> tuple[list[str], FewshotTrainer]:
    lines: list[str] = []
    trainer = FewshotTrainer(more.pop("stop_at", None))  # type: ignore[arg-type]
    request = StudyRequest(tiny_study(text), "few", folder, data, **more)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "run_dlcv", trainer)
        with contextlib.suppress(Interrupted):
            run_study(request, say=lines.append)
    return lines, trainer


def test_a_few_shot_study_trains_few_shot_learners(folder: StudyFolder, glyphs: Path) -> None:
    lines, trainer = _few(folder, glyphs, seeds=2)
    assert len(trainer.calls) == 8
    assert any(line.startswith("1/8 euclid seed 0: accuracy 0.") for line in lines)
    assert not any("--snapshot" in call for call in trainer.calls)
    started = [call for call in trainer.calls if "--init" in call]
    assert [call[call.index("--init") + 1] for call in started] == [
        str(folder.run("euclid", seed).path) for seed in range(2)
    ]
    again, after = _few(folder, glyphs)
    assert after.calls == []
    assert sum("done before, accuracy" in line for line in again) == 8


def test_a_resumed_run_loads_no_initial_weights(folder: StudyFolder, glyphs: Path) -> None:
    _few(folder, glyphs, stop_at=4)
    assert state_of(folder.run("learned", 0)) == "unfinished"
    # The run that it started from is no longer needed.
    shutil.rmtree(folder.run("euclid", 0).path)
    _, trainer = _few(folder, None, only=("learned",))
    (call,) = trainer.calls
    assert "--resume" in call
    assert "--init" not in call


def test_a_run_waits_for_the_one_it_starts_from(folder: StudyFolder, glyphs: Path) -> None:
    with pytest.raises(UsageError, match="learned seed 0 starts from run 'euclid'") as caught:
        _few(folder, glyphs, only=("learned",))
    assert "--only euclid --only learned" in caught.value.hint
    assert not folder.path.exists()
    # Both are planned, and the first does not finish, as with --max-time.
    lines: list[str] = []
    request = StudyRequest(tiny_study(FEW), "few", folder, glyphs, only=("euclid", "learned"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "run_dlcv", lambda arguments: None)
        run_study(request, say=lines.append)
    assert lines[-2] == "1/2 euclid seed 0: not finished, and left as it is"
    assert lines[-1].startswith("2/2 learned seed 0: left out, as run 'euclid'")


def test_another_initial_run_makes_another_study(folder: StudyFolder, glyphs: Path) -> None:
    _few(folder, glyphs)
    with pytest.raises(ConfigError, match="learned: init: euclid -> cosine"):
        _few(folder, glyphs, FEW.replace("init: euclid", "init: cosine"))


def test_data_too_small_for_a_later_run_is_reported_before_the_first(
    folder: StudyFolder, glyphs: Path
) -> None:
    with pytest.raises(DataError, match="fewer than 9 images"):
        _few(folder, glyphs, FEW.replace("k_shot: 3", "k_shot: 7"))
    _few(folder, glyphs, FEW.replace("k_shot: 3", "k_shot: 7"), only=("euclid", "cosine"))


def test_a_few_shot_study_writes_its_synthetic_characters(folder: StudyFolder) -> None:
    synthetic = "data: {alphabets: 5, characters: 4, drawers: 6, size: 16x16}\n"
    lines, _ = _few(folder, None, FEW + synthetic)
    assert lines[0].startswith("making 5 alphabets of 4 characters by 6 drawers, 16x16 in ")
    assert len(list(folder.data.rglob("*.png"))) == 120


def test_other_images_by_class_are_refused(
    folder: StudyFolder, glyphs: Path, tmp_path: Path
) -> None:
    _few(folder, glyphs)
    with pytest.raises(ConfigError, match="is not what the study"):
        _few(folder, Path(shutil.copytree(glyphs, tmp_path / "moved")))


def _mixed(
    folder: StudyFolder, data: Path | None, text: str = MIXED, **more: object
) -> tuple[list[str], MixedTrainer]:
    lines: list[str] = []
    trainer = MixedTrainer()
    request = StudyRequest(tiny_study(text), "mixed", folder, data, **more)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "run_dlcv", trainer)
        run_study(request, say=lines.append)
    return lines, trainer


def test_runs_of_two_tasks_are_trained_on_their_own_data(
    folder: StudyFolder, landcover: Path
) -> None:
    lines, trainer = _mixed(folder, landcover)
    own = folder.run_data("euclid")
    assert lines[0] == f"making 5 alphabets of 4 characters by 6 drawers, 16x16 in {own}"
    assert len(list(own.rglob("*.png"))) == 120
    assert [(call[1], call[call.index("--data") + 1]) for call in trainer.calls] == [
        *(("seg", str(landcover)), ("fewshot", str(own))),
        *(("seg", str(landcover)), ("fewshot", str(own))),
    ]
    # Only the task that shows images saves them.
    assert ["--snapshot" in call for call in trainer.calls] == [True, False, True, False]
    assert any(": mIoU 0." in line for line in lines)
    assert any(": accuracy 0." in line for line in lines)
    again, after = _mixed(folder, None)
    assert after.calls == []
    assert sum("done before" in line for line in again) == 4
    with pytest.raises(ConfigError, match=r"euclid: data: alphabets=5 .* -> alphabets=6"):
        _mixed(folder, None, MIXED.replace("alphabets: 5", "alphabets: 6"))


def test_a_run_may_name_its_own_data_folder(
    folder: StudyFolder, landcover: Path, glyphs: Path
) -> None:
    synthetic = "{alphabets: 5, characters: 4, drawers: 6, size: 16x16}"
    text = MIXED.replace(synthetic, str(glyphs))
    _, trainer = _mixed(folder, landcover, text, only=("euclid",))
    (call,) = trainer.calls
    assert call[call.index("--data") + 1] == str(glyphs)
    with pytest.raises(DataError, match="does not exist"):
        _mixed(StudyFolder(folder.path.with_name("b")), landcover, MIXED.replace(synthetic, "none"))


def test_a_study_whose_runs_all_have_data_needs_none(folder: StudyFolder) -> None:
    own = "data: {train: 5, validation: 2, size: 64x64}"
    text = TEXT.replace("label: small lr", f"label: small lr\n    {own}")
    text = text.replace("label: large lr", f"label: large lr\n    {own.replace('5', '6')}")
    _, trainer = _mixed(folder, None, text)
    assert [call[call.index("--data") + 1] for call in trainer.calls] == [
        str(folder.run_data(name)) for name in ("small", "large")
    ]
    counts = [len(list(folder.run_data(n).rglob("*_sat.jpg"))) for n in ("small", "large")]
    assert counts == [7, 8]
    assert not folder.data.exists()
