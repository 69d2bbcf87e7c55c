"""Classes of new images: a CSV file with a line for each image. Needs no torch."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.csv_tables import read_csv
from dlcvcli.data.image_table import FILES, IDS
from dlcvcli.data.input_images import find_images
from dlcvcli.data.reading import Pixels, Progress, read_ahead, read_rgb, stretch
from dlcvcli.data.set_paths import path_in_set
from dlcvcli.errors import DataError, UsageError
from dlcvcli.files import make_folder, write_atomically
from dlcvcli.inference.prediction import PredictRequest
from dlcvcli.reporter import Reporter
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.classification.flags import PredictClsFlags
from dlcvcli.tasks.classification.load import load_predictor
from dlcvcli.tasks.classification.metrics import log_softmax
from dlcvcli.tasks.classification.predictor import Predictor

_BATCH = 16


@dataclass(frozen=True)
class NamedImage:
    """An image to predict.

    Attributes:
        file: the image.
        name: what the result calls it.
        id: its id in the CSV that names it; empty without.
    """

    file: Path
    name: str
    id: str = ""


@dataclass(frozen=True)
class Ranked:
    """The most probable classes of an image, best first, or why there are none."""

    image: NamedImage
    classes: tuple[tuple[str, float], ...]
    error: DataError | None = None


def predict_images(request: PredictRequest, reporter: Reporter) -> Iterator[str]:
    """Write the classes of images to a CSV file; see `inference.prediction.Predict`."""
    flags: PredictClsFlags = request.flags
    images = (
        [NamedImage(file, file.as_posix()) for file in find_images(request.inputs, request.listed)]
        if flags.data is None
        else _images_of_table(flags.data, request.inputs, allow_outside=bool(flags.allow_outside))
    )
    target = request.out
    if target.suffix.lower() != ".csv":
        target = target / "predictions.csv"
    if flags.data is not None and target.resolve() == flags.data.resolve():
        raise UsageError(f"{target} would be written over", "choose another --out")
    predictor = load_predictor(request.ref, provider=request.provider)
    count = min(flags.top or 1, len(predictor.card.classes))
    with reporter.counting("predicting") as progress:
        ranked = list(rank(predictor, images, count, progress=progress))
    for one in ranked:
        if one.error is not None:
            reporter.say(f"skipped: {one.error.message}")
    failed = [one.error for one in ranked if one.error is not None]
    make_folder(target.parent)
    write_atomically(target, table(ranked, count, with_ids=flags.data is not None))
    yield f"{target}  {len(images) - len(failed)} images"
    if failed:
        raise DataError(
            f"{len(failed)} of {len(images)} images could not be read; the others are in {target}",
            "the lines above name each and say why",
        )


def _images_of_table(path: Path, inputs: Sequence[str], *, allow_outside: bool) -> list[NamedImage]:
    """Return the images that a CSV names, in its order.

    Args:
        path: the CSV, with a column of file names and perhaps one of ids.
        inputs: the folder of the images.
        allow_outside: accept files outside of the folder.

    Raises:
        DataError: the CSV has no names, or one lies outside of the folder.
        UsageError: not one folder was given.
    """
    if len(inputs) != 1 or not Path(inputs[0]).is_dir():
        raise UsageError(
            "--data names the images, and INPUT is the one folder that they are in",
            f"dlcv predict MODEL FOLDER --data {path} --out FILE",
        )
    listed, folder = read_csv(path, (FILES,)), Path(inputs[0])
    if listed.column(FILES) is None:
        raise DataError(
            f"{path} has no column of images; its first line is {listed.describe_columns()}",
            "expected the header id,filename or filename",
        )
    names, ids = listed.fields(listed.column(FILES)), listed.fields(listed.column(IDS))
    return [
        NamedImage(
            path_in_set(name, folder, folder, f"{path}, line {line}", allow_outside=allow_outside),
            name,
            own,
        )
        for (line, _), name, own in zip(listed.lines, names, ids, strict=True)
    ]


def rank(
    predictor: Predictor,
    images: Sequence[NamedImage],
    count: int,
    *,
    progress: Progress | None = None,
) -> Iterator[Ranked]:
    """Yield the `count` most probable classes of each image, in order.

    A file that cannot be read gives a `Ranked` with its error, and the rest goes on.
    """
    card = predictor.card

    def read(image: NamedImage) -> Pixels | DataError:
        try:
            return stretch(read_rgb(image.file), card.image_size)
        except DataError as error:
            return error

    source = read_ahead(read, images, threads=2, ahead=2 * _BATCH)
    for start in range(0, len(images), _BATCH):
        part = images[start : start + _BATCH]
        loaded: list[Pixels | DataError] = [next(source) for _ in part]
        sound = [one for one in loaded if not isinstance(one, DataError)]
        probabilities = iter(_probabilities(predictor, sound))
        for image, pixels in zip(part, loaded, strict=True):
            if isinstance(pixels, DataError):
                yield Ranked(image, (), pixels)
                continue
            own = next(probabilities)
            best = np.argsort(-own, kind="stable")[:count].tolist()
            yield Ranked(image, tuple((card.classes[i], float(own[i])) for i in best))
        if progress is not None:
            progress(start + len(part), len(images))


def _probabilities(predictor: Predictor, images: Sequence[Pixels]) -> NDArray[np.float64]:
    if not images:
        return np.zeros((0, len(predictor.card.classes)))
    return np.exp(log_softmax(predictor(np.stack(images), StageClock())))


def table(ranked: Sequence[Ranked], count: int, *, with_ids: bool) -> str:
    """Return a CSV with a line for each image that could be read.

    The columns are `filename,label,probability`, and `label2,probability2` and so on for more than
    one class. With ids they are `id,filename,label`, as the NTU DLCV course wants them.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    pairs = [(f"label{n}", f"probability{n}") for n in ("", *range(2, count + 1))]
    if with_ids:
        writer.writerow(["id", "filename", "label"])
    else:
        writer.writerow(["filename", *(name for pair in pairs for name in pair)])
    for place, one in enumerate(ranked):
        if one.error is not None:
            continue
        if with_ids:
            writer.writerow([one.image.id or place, one.image.name, one.classes[0][0]])
        else:
            cells = [cell for name, p in one.classes for cell in (name, f"{p:.6f}")]
            writer.writerow([one.image.name, *cells])
    return out.getvalue()
