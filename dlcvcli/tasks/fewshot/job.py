"""The training of a prototypical network, as a job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dlcvcli.config.names import Provider
from dlcvcli.data.episode_batches import EpisodeBatches
from dlcvcli.data.episode_file import drawn_episodes
from dlcvcli.data.episodes import EpisodeList
from dlcvcli.data.few_shot import FewShotSet
from dlcvcli.data.reading import Pixels
from dlcvcli.engine.checkpoint import Checkpoint, load_checkpoint
from dlcvcli.engine.fit import Validate
from dlcvcli.engine.launch import Launcher
from dlcvcli.engine.task import Task
from dlcvcli.errors import CheckpointError, UsageError
from dlcvcli.figures.episode import episode_figure
from dlcvcli.figures.style import save
from dlcvcli.models.averaging import evaluated_weights
from dlcvcli.prototypes import Cosine, Floats, read_distance
from dlcvcli.runs import ModelRef, RunFolder, find_model
from dlcvcli.tasks.fewshot.data import EPOCH, FewshotData, evaluation_shape, training_shape
from dlcvcli.tasks.fewshot.episodes import compact, embed_images, score_episodes
from dlcvcli.tasks.fewshot.figures import picture_of
from dlcvcli.tasks.fewshot.load import load_encoder
from dlcvcli.tasks.fewshot.scores import SCORES
from dlcvcli.tasks.fewshot.scoring import evaluate_episodes, scores_file, write_scores
from dlcvcli.tasks.fewshot.settings import TrainFewshotSettings
from dlcvcli.tasks.fewshot.task import ProtoNetTask
from dlcvcli.tasks.fewshot.torch import TorchEncoder, build_protonet, class_splits_of
from dlcvcli.training.finished import final_metrics
from dlcvcli.training.job import Job

# Validation has the same episodes in every run on the same classes, whatever its seed.
VALIDATION_SEED = 1
# Episodes other than those of validation, by which the best weights were chosen; `dlcv eval` draws
# the same by default.
TEST_SEED = 0


class FewshotJob(Job):
    """Trains an encoder and a distance on episodes.

    Args:
        settings: resolved (see `tasks.fewshot.data.resolve_fewshot`).
        data: its splits.
    """

    scores = SCORES
    steps_per_epoch = EPOCH
    smaller = "fewer with --n-way or --n-query, or a smaller --size"
    larger = "more with --n-way or --n-query, or a larger --size"

    def __init__(self, settings: TrainFewshotSettings, data: FewshotData) -> None:
        self.settings: TrainFewshotSettings = settings
        self.data: FewshotData = data
        self.seen = data.seen
        self.model_name = settings.model.name
        self.weights = settings.model.weights
        self.shape = training_shape(settings.episode)
        height, width = data.train.size
        count = settings.train.batch_size
        self.batch = (
            f"{count} episode{'' if count == 1 else 's'}, {self.shape} with {self.shape.n_query} "
            f"queries of each way, at {height}x{width}"
        )

    def build_task(self, *, fresh: bool) -> ProtoNetTask:
        optim = self.settings.optim
        return ProtoNetTask(
            build_protonet(self.settings, weights=self.settings.model.weights if fresh else "none"),
            backbone_lr_scale=1.0 if optim.backbone_lr_scale is None else optim.backbone_lr_scale,
            ema=optim.ema,
        )

    def take_weights(self, task: ProtoNetTask, path: Path) -> str:
        """Start from another run's encoder, and its distance where that is of the same kind."""
        given = evaluated_weights(load_checkpoint(path)["task"])
        own = task.network.state_dict()
        fitting = {k: v for k, v in given.items() if k in own and own[k].shape == v.shape}
        encoder = [name for name in own if name.startswith("encoder.")]
        missing = [name for name in encoder if name not in fitting]
        if missing:
            raise CheckpointError(
                f"--init {path} does not fit the encoder {self.model_name}: "
                f"{len(encoder) - len(missing)} of {len(encoder)} tensors match",
                "choose the --model, its options and the --size that it was trained with",
            )
        learned = {name for name in own if not name.startswith("encoder.")}
        if not learned <= fitting.keys():
            # Of another kind or shape: a part of it would be no distance.
            fitting = {name: value for name, value in fitting.items() if name not in learned}
        task.load_network({**own, **fitting})
        note = "; the distance starts from random values" if own.keys() - fitting.keys() else ""
        return f"took {len(fitting)} of {len(own)} tensors from {path}{note}"

    def accept_weights(self, checkpoint: Checkpoint, source: str, *, allow_seen: bool) -> None:
        """Refuse weights that were trained on classes that this run is validated or tested on.

        Raises:
            UsageError: they were, and `allow_seen` is off.
        """
        if checkpoint["config"].get("task") == self.settings.task and not allow_seen:
            trained = set(class_splits_of(checkpoint)["train"])
            held_out = {*self.data.splits["val"], *self.data.splits.get("test", ())}
            if trained & held_out:
                raise UsageError(
                    f"{source} was trained on {len(trained & held_out)} of the {len(held_out)} "
                    "classes that this run is validated or tested on",
                    "split the classes as that run did (the same --seed, data.holdout and "
                    "data.test_holdout, or --splits FILE), or add --allow-seen to train all the "
                    "same",
                )
        super().accept_weights(checkpoint, source, allow_seen=allow_seen)

    def batches(self, launcher: Launcher) -> EpisodeBatches:
        """Return the training episodes."""
        return EpisodeBatches(
            self.data.train,
            self.shape,
            self.settings.train.seed,
            jitter=self.settings.data.jitter,
            episodes=self.settings.train.batch_size,
            steps_per_epoch=EPOCH,
            pin_memory=launcher.on_gpu,
        )

    def lines(self, task: ProtoNetTask, launcher: Launcher) -> list[str]:
        """Return which tensors pre-trained weights filled, and the shape of episodes."""
        report, episode = task.network.encoder.encoder.load_report, self.settings.episode
        shape = evaluation_shape(episode)
        last = "val" if self.data.test is None else "test"
        return [
            *([] if report is None else [str(report)]),
            f"training: {self.batch}; validation: {episode.val_episodes} episodes, "
            f"{shape} with {shape.n_query} queries of each way; at the end: "
            f"{episode.test_episodes} other episodes of the split {last}",
        ]

    def validation(self, launcher: Launcher) -> Validate:
        """Return the accuracy of fixed episodes, in the training precision; ranks share it."""
        val, episode = self.data.val, self.settings.episode
        drawn = drawn_episodes(
            val, evaluation_shape(episode), VALIDATION_SEED, episode.val_episodes
        )
        used, support, query = compact(drawn)
        mine = np.array_split(used, launcher.world_size)[launcher.rank]
        at_once = self.settings.train.val_batch_size

        def validation(task: Task, stop: Callable[[], bool]) -> dict[str, Any] | None:
            assert isinstance(task, ProtoNetTask)
            network = task.evaluated

            def embed(images: Pixels) -> Floats:
                batch = torch.from_numpy(images).to(launcher.device)
                embeddings: Floats = network.encoder(batch).float().cpu().numpy()
                return embeddings

            own = embed_images(embed, val, mine, batch_size=at_once, stop=stop)
            broken = launcher.max(torch.tensor(int(own is None), device=launcher.device))
            if own is None or bool(broken):
                return None
            features = own
            if launcher.world_size > 1:
                padded = np.zeros((len(used), own.shape[1]), np.float32)
                padded[np.searchsorted(used, mine)] = own
                features = launcher.sum(torch.from_numpy(padded).to(launcher.device)).cpu().numpy()
            if not launcher.is_main:
                # All ranks go by rank 0's numbers: another processor may round in another way.
                return launcher.broadcast({})
            distance = read_distance(network.distance.spec())
            score = score_episodes(features, support, query, drawn.answers, distance).interval
            extra = {"scale": distance.scale} if isinstance(distance, Cosine) else {}
            metrics = {"accuracy": score.mean, "ci95": score.ci95, "episodes": score.count}
            return launcher.broadcast({**metrics, **extra})

        return validation

    def describe_final(self, metrics: dict[str, Any]) -> str:
        shape = f"{metrics['n_way']}-way {metrics['k_shot']}-shot"
        return f"{shape} on {metrics['episodes']} other episodes ({metrics['split']})"

    def score_best(self, run: RunFolder, launcher: Launcher) -> dict[str, Any]:
        """Score the best checkpoint, or the last where the best is gone, in float32.

        On the split `test` where there is one, else on the validation split; on episodes that are
        the same for every run on the same classes and of the same shape, and that no validation has
        used. The accuracy of each goes into the run's `episodes.csv`, so that runs can be compared
        episode by episode.
        """
        path = run.best if run.best.is_file() else run.last
        provider: Provider = "cuda" if launcher.on_gpu else "cpu"
        predictor = TorchEncoder.load(ModelRef("checkpoint", path, run), provider)
        scored, drawn = self._test_episodes()
        evaluation = evaluate_episodes(predictor, scored, drawn)
        write_scores(scores_file(run), drawn, evaluation.score)
        return {
            "checkpoint": path.name,
            "precision": predictor.precision,
            "split": scored.split,
            "sha256": scored.sha256,
            **evaluation.metrics,
        }

    def draw(self, run: RunFolder, steps_per_epoch: int) -> None:
        """Draw curves and, of a finished run, the first of the episodes that it was scored on."""
        super().draw(run, steps_per_epoch)
        if final_metrics(run) is not None:
            scored, drawn = self._test_episodes()
            picture = picture_of(load_encoder(find_model(run.path)), scored, drawn, 0)
            save(episode_figure(picture), run.figures / "predictions.png")

    def _test_episodes(self) -> tuple[FewShotSet, EpisodeList]:
        """Return the images and the episodes that the best checkpoint is scored on."""
        # Images of a test split are not kept: each is decoded when it is embedded, which is once.
        scored = self.data.val if self.data.test is None else self.data.test
        episode = self.settings.episode
        count = episode.test_episodes
        return scored, drawn_episodes(scored, evaluation_shape(episode), TEST_SEED, count)
