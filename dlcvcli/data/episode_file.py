"""Episodes in a file, so that any run is tested on the same ones.

The layout is the course's test-case CSV: a line an episode, `episode_id`, a column for each support
image (`class0_support`, `class1_support`, ...) and one for each query (`query0`, `query1`, ...). An
image is named by its path below the set's folder, or by the `id` that the set's own CSV gives it.
With more than one shot the columns are `class0_support0`, `class0_support1` and so on. The right
answers are not in the file: they follow from the classes of the images.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.episodes import Episode, Shape
from dlcvcli.data.image_classes import ImageLayout, Split
from dlcvcli.errors import DataError
from dlcvcli.files import sha256_of, write_atomically

Ints = NDArray[np.int64]

_SUPPORT = re.compile(r"class(\d+)_support(\d*)")
_QUERY = re.compile(r"query(\d+)")


@dataclass(frozen=True)
class EpisodeList:
    """Many episodes of one shape.

    Attributes:
        ids: what the file calls each.
        support: int64 [E, N, K], indices of images, class by class as in the split.
        query: int64 [E, M].
        answers: int64 [E, M], which of the N classes each query is of.
        sha256: of the file.
    """

    ids: tuple[str, ...]
    support: Ints
    query: Ints
    answers: Ints
    sha256: str

    def __len__(self) -> int:
        return len(self.ids)


def write_episodes(
    path: Path, root: Path, split: Split, episodes: Sequence[Episode], seed: int
) -> None:
    """Write drawn episodes as CSV; the same ones give the same bytes.

    The queries of an episode are shuffled, so that their order does not tell their class.

    Args:
        path: the file.
        root: the set's folder, which names of images are below.
        split: the classes that the indices in the episodes count through.
        episodes: of one shape, at least one.
        seed: of the shuffling.
    """
    names = [file.relative_to(root).as_posix() for one in split for file in one.files]
    ways, shots = episodes[0].support.shape
    heads = [
        f"class{way}_support{shot if shots > 1 else ''}"
        for way in range(ways)
        for shot in range(shots)
    ]
    heads += [f"query{index}" for index in range(episodes[0].query.size)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["episode_id", *heads])
    for number, episode in enumerate(episodes):
        query = np.random.default_rng((seed, number, 1)).permutation(episode.query.ravel())
        images = [*episode.support.ravel().tolist(), *query.tolist()]
        writer.writerow([number, *(names[index] for index in images)])
    write_atomically(path, out.getvalue())


def read_episodes(path: Path, layout: ImageLayout, split_name: str, split: Split) -> EpisodeList:
    """Read an episode file, dlcv's or the course's.

    Args:
        path: the file.
        layout: the set that it names images of.
        split_name: for the ids that a set's CSV gives.
        split: the classes that the images are of.

    Raises:
        DataError: no such file, not of that layout, or it names an image that the split has not,
            one class twice in an episode, or a query of a class without support.
    """
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the episodes in {path}: {error}") from error
    shape, order = _columns(path, lines[0] if lines else [])
    places = _places(layout, split_name, split)
    owner = np.repeat(np.arange(len(split)), [len(one.files) for one in split])
    ids, support, query, answers = [], [], [], []
    for number, line in enumerate(lines[1:], 2):
        where = f"{path}, line {number}"
        images = np.array([_place(places, line, column, where) for column in order], np.int64)
        shots = images[: shape.n_way * shape.k_shot].reshape(shape.n_way, shape.k_shot)
        asked = images[shots.size :]
        classes = owner[shots]
        if (classes != classes[:, :1]).any() or len(set(classes[:, 0])) < shape.n_way:
            raise DataError(f"{where}: its support images are not of {shape.n_way} classes each")
        right = classes[:, 0] == owner[asked][:, None]
        if not right.any(axis=1).all():
            raise DataError(f"{where}: a query is of none of the episode's classes")
        ids.append(line[0])
        support.append(shots)
        query.append(asked)
        answers.append(right.argmax(axis=1))
    if not ids:
        raise DataError(f"{path} holds no episode")
    return EpisodeList(
        tuple(ids), np.stack(support), np.stack(query), np.stack(answers), sha256_of(path)
    )


def _columns(path: Path, head: list[str]) -> tuple[Shape, list[int]]:
    """Return the shape of a file's episodes, and its columns: support by class, then queries."""
    support = {}
    queries = {}
    for column, name in enumerate(head):
        if found := _SUPPORT.fullmatch(name.strip()):
            support[int(found[1]), int(found[2] or 0)] = column
        elif found := _QUERY.fullmatch(name.strip()):
            queries[int(found[1])] = column
    ways = len({way for way, _ in support})
    shots = len(support) // ways if ways else 0
    whole = set(support) == {(way, shot) for way in range(ways) for shot in range(shots)}
    if not support or not whole or set(queries) != set(range(len(queries))) or not queries:
        raise DataError(
            f"{path} is no episode file: its columns are {', '.join(head[:4]) or 'missing'}, ...",
            "wanted: episode_id, class0_support, class1_support, ..., query0, query1, ...",
        )
    order = [support[key] for key in sorted(support)] + [queries[key] for key in sorted(queries)]
    return Shape(ways, shots, max(1, len(queries) // ways)), order


def _places(layout: ImageLayout, split_name: str, split: Split) -> dict[str, int]:
    """Map what images may be called to their places in the split."""
    files = [file for one in split for file in one.files]
    index = {file: place for place, file in enumerate(files)}
    places = {file.relative_to(layout.root).as_posix(): place for file, place in index.items()}
    ids = layout.ids.get(split_name, {})
    return {name: index[file] for name, file in ids.items() if file in index} | places


def _place(places: dict[str, int], line: list[str], column: int, where: str) -> int:
    name = line[column] if column < len(line) else ""
    if name not in places:
        what = f"image '{name}' is not in the split" if name else "the line is too short"
        raise DataError(f"{where}: {what}")
    return places[name]
