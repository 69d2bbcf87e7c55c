"""Features of chosen epochs during training, for figures of their t-SNE."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import torch

from dlcvcli.data.labelled_images import LabelledImages
from dlcvcli.engine.hooks import Hooks, Plan
from dlcvcli.engine.task import Task
from dlcvcli.figures.tsne_layout import stratified
from dlcvcli.inference.features import Features, save_epoch
from dlcvcli.runs import RunFolder
from dlcvcli.tasks.classification.settings import TsneSettings
from dlcvcli.tasks.classification.task import ClassificationTask


class FeatureHook(Hooks):
    """Saves the features of a split after chosen epochs, as `RUN/features/epoch-NNNN.npz`.

    Args:
        run: the run folder.
        data: the split.
        settings: which epochs, and of how many images.
        batch_size: images a call.
    """

    def __init__(
        self, run: RunFolder, data: LabelledImages, settings: TsneSettings, batch_size: int
    ) -> None:
        self.run = run
        self.settings = settings
        self.batch_size = batch_size
        self.data = data.part(stratified(data.labels, settings.max_points, seed=0))
        self.epochs: dict[int, int] = {}

    def on_start(self, plan: Plan) -> None:
        self.epochs = {
            min(epoch * plan.steps_per_epoch, plan.total_steps): epoch
            for epoch in self.settings.epochs
        }

    def wants_snapshot(self, step: int) -> bool:
        return step in self.epochs

    def on_snapshot(self, step: int, task: Task) -> None:
        assert isinstance(task, ClassificationTask)
        network, device = task.evaluated, task.network.head.weight.device
        parts = []
        with closing(self.data.batches(self.batch_size)) as batches:
            for batch in batches:
                images = torch.from_numpy(batch.images).to(device)
                parts.append(network.features(images).float().cpu().numpy())
        names = tuple(self.data.name_of(index) for index in range(len(self.data)))
        features = Features(
            np.concatenate(parts),
            self.data.labels,
            self.data.classes,
            names,
            f"{self.run.path.name} ({self.settings.split})",
        )
        save_epoch(self.run, self.epochs[step], features)
