"""Labels of the queries of an episode file, whose images need have no labels; needs no torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dlcvcli.data.episode_file import EpisodeTable, read_table
from dlcvcli.data.few_shot import QUARTERS, FewShotSet
from dlcvcli.data.image_classes import ImageClass
from dlcvcli.data.named_images import locate_images
from dlcvcli.data.reading import Pixels, Progress
from dlcvcli.errors import UsageError
from dlcvcli.files import make_folder, write_atomically
from dlcvcli.inference.prediction import PredictRequest
from dlcvcli.prototypes import Floats, read_distance
from dlcvcli.reporter import Reporter
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.fewshot.episodes import Ints, embed_images, predict_episodes
from dlcvcli.tasks.fewshot.flags import PredictFewshotFlags
from dlcvcli.tasks.fewshot.load import load_encoder
from dlcvcli.tasks.fewshot.predictor import EncoderPredictor
from dlcvcli.tasks.fewshot.scoring import predictions_csv


def predict_files(request: PredictRequest, reporter: Reporter) -> Iterator[str]:
    """Predict the labels of episode files; see `inference.prediction.Predict`."""
    flags: PredictFewshotFlags = request.flags
    if flags.data is None:
        raise UsageError(
            "a few-shot model predicts the episodes of a file, and needs the images that it names",
            "give their folder with --data DIR",
        )
    tables = {Path(name): read_table(Path(name)) for name in request.inputs}
    results = {path: request.out / f"{path.stem}.csv" for path in tables}
    if request.out.suffix.lower() == ".csv" and len(tables) == 1:
        results = dict.fromkeys(tables, request.out)
    for path, target in results.items():
        if target.resolve() == path.resolve() or len(set(results.values())) < len(tables):
            raise UsageError(f"{target} would be written over, or twice", "choose another --out")
    predictor = load_encoder(request.ref, provider=request.provider)
    for path, table in tables.items():
        with reporter.counting("computing embeddings") as progress:
            labels = predict_table(
                predictor,
                table,
                flags.data,
                source=str(path),
                split=flags.split,
                allow_outside=bool(flags.allow_outside),
                progress=progress,
            )
        make_folder(results[path].parent)
        write_atomically(results[path], predictions_csv(table.ids, labels))
        yield f"{results[path]}  {len(table)} episodes"


def predict_table(
    predictor: EncoderPredictor,
    table: EpisodeTable,
    folder: Path,
    *,
    source: str = "an episode",
    split: str | None = None,
    allow_outside: bool = False,
    progress: Progress | None = None,
) -> Ints:
    """Return which class each query is taken for, int64 [E, M].

    Args:
        predictor: the model.
        table: the episodes.
        folder: the set that they name images of.
        source, split, allow_outside: see `locate_images`.
        progress: called with (images done, images in all).

    Raises:
        DataError: an image is not there or cannot be read.
    """
    parts = [_rotation(name) for name in table.names]
    located = locate_images(
        folder,
        [name for name, _ in parts],
        split,
        source=source,
        allow_outside=allow_outside,
    )
    files = {file: index for index, file in enumerate(dict.fromkeys(located))}
    # All as one class, since their classes are not known.
    everything = ImageClass("", tuple(files), "")
    rotated = any(turns for _, turns in parts)
    images = FewShotSet((everything,), "", folder, predictor.card.image_size, rotations=rotated)
    indices = np.array(
        [files[file] + turns * len(files) for file, (_, turns) in zip(located, parts, strict=True)]
    )

    def embed(pixels: Pixels) -> Floats:
        return predictor(pixels, StageClock())

    features = embed_images(embed, images, indices, progress=progress)
    assert features is not None
    distance = read_distance(predictor.card.distance)
    return predict_episodes(features, table.support, table.query, distance)


def _rotation(name: str) -> tuple[str, int]:
    """Return the path in an image's name, and by how many quarter turns it is rotated."""
    path, mark, degrees = name.rpartition("@")
    for quarter in range(1, QUARTERS):
        if mark and degrees == str(90 * quarter):
            return path, quarter
    return name, 0
