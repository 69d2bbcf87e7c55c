"""What a few-shot run came to: its best weights scored on episodes, and its figures."""

from __future__ import annotations

from typing import Any

from dlcvcli.config.fewshot import TrainFewshotSettings
from dlcvcli.data.episode_file import drawn_episodes
from dlcvcli.engine.launch import Launcher
from dlcvcli.figures.curves import curves
from dlcvcli.figures.style import save
from dlcvcli.inference.evaluate_episodes import evaluate_episodes, write_scores
from dlcvcli.inference.torch_embedder import TorchEmbedder
from dlcvcli.runs import ModelRef, RunFolder
from dlcvcli.runtime.session import Provider
from dlcvcli.training.fewshot_data import FewshotData, evaluation_shape

# What `dlcv eval` draws unless told otherwise; other episodes than those of validation, by which
# the best weights were chosen.
TEST_SEED = 0


def score_best_episodes(
    run: RunFolder, settings: TrainFewshotSettings, data: FewshotData, launcher: Launcher
) -> dict[str, Any]:
    """Score a run's best checkpoint, its last where the best is gone, in float32.

    On the split `test` where there is one, else on the validation split; on episodes that are the
    same for every run on the same classes and of the same shape. The accuracy of each goes into the
    run's `episodes.csv`, so that runs can be compared episode by episode.
    """
    path = run.best if run.best.is_file() else run.last
    provider: Provider = "cuda" if launcher.device.type == "cuda" else "cpu"
    predictor = TorchEmbedder.load(ModelRef("checkpoint", path, run), provider)
    # Of a test split each image is decoded when it is embedded, which is once.
    scored = data.val if data.test is None else data.test
    shape = evaluation_shape(settings.episode)
    episodes = drawn_episodes(scored, shape, TEST_SEED, settings.episode.test_episodes)
    found = evaluate_episodes(predictor, scored, episodes)
    write_scores(run.episodes, episodes, found.score)
    return {
        "checkpoint": path.name,
        "precision": predictor.precision,
        "split": scored.split,
        "sha256": scored.sha256,
        **found.metrics,
    }


def draw_fewshot(run: RunFolder) -> None:
    """Draw what the run folder holds: its curves."""
    if any(run.read_metrics()):
        save(curves({run.path.name: run}, metric="accuracy"), run.figures / "curves.png")
