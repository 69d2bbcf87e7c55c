"""Masks of new images: palette PNG and a colour overlay, at each image's own size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlcvcli.data.input_images import find_images
from dlcvcli.data.masks import write_mask
from dlcvcli.data.reading import Pixels, Progress, read_ahead, read_rgb, stretch
from dlcvcli.data.writing import write_image
from dlcvcli.errors import DataError, UsageError
from dlcvcli.files import make_folder
from dlcvcli.inference.prediction import PredictRequest
from dlcvcli.palette import ClassSet, Mask, encode_colours
from dlcvcli.reporter import Reporter
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.segmentation.flags import PredictSegFlags
from dlcvcli.tasks.segmentation.load import load_predictor
from dlcvcli.tasks.segmentation.predictor import Predictor
from dlcvcli.tasks.segmentation.views import read_views

OVERLAY_STRENGTH = 0.5
_BAND = 256


@dataclass(frozen=True)
class Prediction:
    """What was written for one image, or why nothing was.

    `shares` maps the predicted classes to their fraction of the pixels, largest first.
    """

    image: Path
    mask: Path | None
    overlay: Path | None
    shares: dict[str, float]
    error: DataError | None = None


def output_names(images: list[Path]) -> dict[Path, str]:
    """Return a name for each image's results: its stem, or more of its path where two collide.

    Raises:
        UsageError: two images have the same path without its suffix.
    """
    for parts in (1, 2, 3):
        names = {image: "_".join((*image.parts[-parts:-1], image.stem)) for image in images}
        if len(set(names.values())) == len(images):
            return names
    names = {image: image.name for image in images}
    if len(set(names.values())) == len(images):
        return names
    raise UsageError("two of the images have one name", "predict them into separate --out folders")


def predict(
    predictor: Predictor,
    images: list[Path],
    out: Path,
    *,
    overlay: bool = True,
    threads: int = 1,
    progress: Progress | None = None,
) -> Iterator[Prediction]:
    """Write `NAME.png` (class ids in the class colours) and `NAME_overlay.jpg` for each image.

    A file that cannot be read gives a `Prediction` with its error, and the rest goes on.

    Raises:
        UsageError: a result would overwrite an image, or two images have the same name.
        DlcvError: a result cannot be written; those before it are complete.
    """
    results = {image: out / f"{name}.png" for image, name in output_names(images).items()}
    _keep_images(images, results)
    make_folder(out)
    card = predictor.card

    def read(path: Path) -> tuple[Path, Pixels | DataError]:
        try:
            return path, read_rgb(path)
        except DataError as error:
            return path, error

    if predictor.tile is not None:
        # Scenes may be large: none is read ahead of its turn.
        threads = 0
    for done, (path, pixels) in enumerate(
        read_ahead(read, images, threads=threads, ahead=2 * threads), 1
    ):
        if isinstance(pixels, DataError):
            yield Prediction(path, None, None, {}, pixels)
        else:
            own = pixels.shape[0], pixels.shape[1]
            sized = pixels if card.size is None else stretch(pixels, card.size)
            mask = predictor(sized[None], own, StageClock())[0]
            mask_path = results[path]
            write_mask(mask_path, mask, card.classes)
            overlay_path = _overlay_of(mask_path) if overlay else None
            if overlay_path is not None:
                blend = blend_mask(pixels, mask, card.classes)
                write_image(overlay_path, blend, "JPEG", quality=92)
            yield Prediction(path, mask_path, overlay_path, class_shares(mask, card.classes))
        if progress is not None:
            progress(done, len(images))


def _overlay_of(mask: Path) -> Path:
    return mask.with_name(f"{mask.stem}_overlay.jpg")


def _keep_images(images: list[Path], results: dict[Path, Path]) -> None:
    sources = {image.resolve() for image in images}
    for mask in results.values():
        for path in (mask, _overlay_of(mask)):
            if path.resolve() in sources:
                raise UsageError(
                    f"the result {path} would overwrite an image", "choose another --out"
                )


def predict_images(request: PredictRequest, reporter: Reporter) -> Iterator[str]:
    """Predict the masks of images; see `inference.prediction.Predict`."""
    flags: PredictSegFlags = request.flags
    views = read_views(flags)
    images = find_images(request.inputs, request.listed, say=reporter.say)
    # Tiles are all of one size; complete images are of any.
    fixed = views.tile is not None
    predictor = load_predictor(request.ref, provider=request.provider, fixed_shapes=fixed)
    predictor = views.around(predictor)
    failed: list[DataError] = []
    with reporter.counting("predicting") as progress:
        overlay = flags.overlay is not False
        for done in predict(predictor, images, request.out, overlay=overlay, progress=progress):
            if done.error is not None:
                failed.append(done.error)
                reporter.say(f"skipped: {done.error.message}")
                continue
            largest = list(done.shares.items())[:4]
            classes = ", ".join(f"{name} {fraction:.0%}" for name, fraction in largest)
            yield f"{done.mask}  {classes}"
    if failed:
        hints = {error.hint for error in failed}
        raise DataError(
            f"{len(failed)} of {len(images)} images could not be read; the others are in "
            f"{request.out}",
            hints.pop() if len(hints) == 1 else "the lines above name each and say why",
        )


def class_shares(mask: Mask, classes: ClassSet) -> dict[str, float]:
    """Return the fraction of pixels of each class that occurs, largest first."""
    # In bands: `bincount` makes eight bytes of each pixel first.
    counts = sum(
        np.bincount(mask[top : top + _BAND].ravel(), minlength=len(classes))
        for top in range(0, len(mask), _BAND)
    )
    assert not isinstance(counts, int)
    order = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]
    return {classes.names[i]: float(counts[i] / mask.size) for i in order}


def blend_mask(image: Pixels, mask: Mask, classes: ClassSet) -> Pixels:
    """Lay a mask's colours over an image, half and half; both of one size."""
    blend = np.empty_like(image)
    # Row by row in bands: a scene of 10,000 x 10,000 would take gigabytes as floats.
    for top in range(0, len(image), _BAND):
        rows = slice(top, top + _BAND)
        colours = encode_colours(mask[rows], classes).astype(np.float32)
        mixed = image[rows] * (1 - OVERLAY_STRENGTH) + colours * OVERLAY_STRENGTH
        blend[rows] = mixed.round()
    return blend
