"""`dlcv eval` of a few-shot model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcvcli.cli.onnx_file import both_files, ensure_onnx
from dlcvcli.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from dlcvcli.cli.flags import Provider
    from dlcvcli.data.episodes import EpisodeList
    from dlcvcli.data.few_shot_split import OpenedSplit
    from dlcvcli.runs import ModelRef
    from dlcvcli.tasks.fewshot.card import EncoderCard
    from dlcvcli.tasks.fewshot.predictor import EncoderPredictor

DEFAULT_EPISODES = 2000


@dataclass(frozen=True)
class FewshotFlags:
    """The flags of `dlcv eval` that are about few-shot models, as typed; see there."""

    episodes: str | None
    n_way: int | None
    k_shot: int | None
    n_query: int | None
    seed: int | None
    rotations: bool | None
    splits: str | None
    min_accuracy: float | None
    predictions: Path | None
    allow_outside: bool | None = None

    def typed(self) -> list[str]:
        """Return the names of those that were given."""
        return [name for name, value in vars(self).items() if value is not None]


def evaluate_fewshot(
    ref: ModelRef,
    data: Path,
    split: str,
    flags: FewshotFlags,
    *,
    onnx: bool,
    provider: Provider,
    compare: bool,
    batch_size: int | None,
    json_to: str | None,
) -> None:
    """Score a few-shot model, print the table and write what was asked for."""
    if compare:
        if flags.predictions is not None:
            raise UsageError("--predictions does not go with --compare")
        result = _compare(ref, data, _passed_on(flags, split, provider, batch_size))
    else:
        if onnx and ref.kind != "onnx":
            ref = ensure_onnx(ref)
        result = _evaluate(ref, data, split, flags, provider=provider, batch_size=batch_size)
    from dlcvcli.cli.console import stdout, write_result
    from dlcvcli.cli.episode_scores import result_table

    write_result(result, json_to)
    if json_to != "-":
        stdout().print(result_table(result))
    accuracy, least = result["metrics"]["accuracy"], flags.min_accuracy
    if least is not None and accuracy < least:
        raise CheckFailed(f"accuracy {accuracy:.4f} is below --min-accuracy {least}")


def _passed_on(
    flags: FewshotFlags, split: str, provider: str, batch_size: int | None
) -> tuple[str, ...]:
    """Return the flags that both halves of a comparison get."""
    words = ["--split", split, "--provider", provider]
    given = {
        "--episodes": flags.episodes,
        "--n-way": flags.n_way,
        "--k-shot": flags.k_shot,
        "--n-query": flags.n_query,
        "--seed": flags.seed,
        "--splits": flags.splits,
        "--batch-size": batch_size,
    }
    for name, value in given.items():
        words += [] if value is None else [name, str(value)]
    if flags.rotations is not None:
        words.append("--rotations" if flags.rotations else "--no-rotations")
    words += ["--allow-outside"] if flags.allow_outside else []
    return tuple(words)


def _compare(ref: ModelRef, data: Path, flags: tuple[str, ...]) -> dict[str, Any]:
    from dlcvcli.inference.compare import EvalRequest
    from dlcvcli.tasks.fewshot.scoring import compare_episodes

    checkpoint, onnx = both_files(ref)
    return compare_episodes(checkpoint, onnx, EvalRequest(data, flags))


def open_test_split(
    card: EncoderCard,
    folder: Path,
    split: str,
    *,
    splits: str | None = None,
    rotations: bool | None = None,
    allow_outside: bool = False,
) -> OpenedSplit:
    """Open a split as a model wants its images."""
    from dlcvcli.data.few_shot_split import open_few_shot

    assert card.size is not None
    trained_on = card.config["data"]
    return open_few_shot(
        folder,
        split,
        size=card.size,
        layout=card.layout if str(folder.resolve()) == trained_on["path"] else "auto",
        splits=splits or "auto",
        rotations=card.rotations if rotations is None else rotations,
        known=card.classes,
        allow_outside=allow_outside,
    )


def _evaluate(
    ref: ModelRef,
    folder: Path,
    split: str,
    flags: FewshotFlags,
    *,
    provider: Provider,
    batch_size: int | None,
) -> dict[str, Any]:
    from dlcvcli.cli.console import counting, say
    from dlcvcli.data.few_shot import duplicate_remarks
    from dlcvcli.data.seen_images import image_digest
    from dlcvcli.files import write_atomically
    from dlcvcli.tasks.fewshot.predictor import load_encoder
    from dlcvcli.tasks.fewshot.scoring import evaluate_episodes, predictions_csv

    predictor = load_encoder(ref, provider=provider)
    card = predictor.card
    opened = open_test_split(
        card,
        folder,
        split,
        splits=flags.splits,
        rotations=flags.rotations,
        allow_outside=bool(flags.allow_outside),
    )
    for line in opened.remarks:
        say(line)
    data = opened.data
    episodes = chosen_episodes(opened, card, flags)
    with counting("reading the images") as progress:
        data.read(_memory(card), progress, as_fits=True)
    for line in duplicate_remarks([data]):
        say(line)
    with counting("embedding") as progress:
        found = evaluate_episodes(
            predictor, data, episodes, batch_size=batch_size, progress=progress
        )
    if flags.predictions is not None:
        text = predictions_csv(episodes.ids, found.score.predictions)
        write_atomically(flags.predictions, text)
    return {
        "task": card.task,
        "model": card.model,
        **_how(predictor),
        "data": {
            "path": str(data.root),
            "split": data.split,
            "images": len(data),
            "classes": len(data.sizes),
            "classes_trained_on": opened.trained_on,
            "trained_on": None
            if card.seen is None
            else card.seen.count_trained([image_digest(digest) for digest in data.digests]),
            "sha256": data.sha256,
        },
        "metrics": found.metrics,
        "speed": found.speed,
    }


def _how(predictor: EncoderPredictor) -> dict[str, Any]:
    return {
        "backend": predictor.backend,
        "provider": predictor.provider,
        "precision": predictor.precision,
        **predictor.notes,
    }


def _memory(card: EncoderCard) -> int:
    """Return the bytes that decoded images may take: as many as in training."""
    return int(card.config["data"]["cache"])


def chosen_episodes(opened: OpenedSplit, card: EncoderCard, flags: FewshotFlags) -> EpisodeList:
    """Return the episodes of a file, or draw them.

    Raises:
        UsageError: flags about drawn episodes beside a file.
        DataError: see `read_episodes` and `require_enough`.
    """
    from dlcvcli.data.episode_file import drawn_episodes, read_episodes
    from dlcvcli.data.episodes import Shape, require_enough

    data, wanted = opened.data, flags.episodes or str(DEFAULT_EPISODES)
    if not wanted.isascii() or not wanted.isdigit():
        for name in ("n_way", "k_shot", "n_query", "seed"):
            if getattr(flags, name) is not None:
                raise UsageError(
                    f"--{name.replace('_', '-')} is about drawn episodes, and {wanted} has its own",
                    "leave one of the two out",
                )
        return read_episodes(Path(wanted), data, opened.ids)
    count = int(wanted)
    if count < 2:
        raise UsageError("--episodes: at least 2, or there is no interval")
    shape = Shape(
        flags.n_way or card.shape[0], flags.k_shot or card.shape[1], flags.n_query or card.shape[2]
    )
    require_enough(data.sizes, shape, f"split '{data.split}' of {data.root}")
    return drawn_episodes(data, shape, flags.seed or 0, count)
