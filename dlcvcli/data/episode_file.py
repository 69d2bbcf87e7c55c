"""Episodes in a file, so that any run is tested on the same ones.

The layout is the course's test-case CSV: a line an episode, `episode_id`, a column for each support
image (`class0_support`, `class1_support`, ...) and one for each query (`query0`, `query1`, ...). An
image is named by its path below the set's folder, or by the `id` that the set's own CSV gives it.
With more than one shot the columns are `class0_support0`, `class0_support1` and so on. `@90` behind
a path is the image turned by 90 degrees. The right answers are not in the file: they follow from
the classes of the images.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.csv_tables import CsvTable, read_csv
from dlcvcli.data.episodes import EpisodeList, Shape, draw_episodes
from dlcvcli.data.few_shot import FewShotSet
from dlcvcli.errors import DataError
from dlcvcli.files import as_bytes, sha256_of

Ints = NDArray[np.int64]

_SUPPORT = re.compile(r"class(\d+)_support(\d*)")
_QUERY = re.compile(r"query(\d+)")
# Sets the generator that orders queries apart from those that draw.
_QUERY_ORDER = 1 << 40


def drawn_episodes(data: FewShotSet, shape: Shape, seed: int, count: int) -> EpisodeList:
    """Draw the first episodes of a set.

    The queries of an episode are shuffled, so that their order does not tell their class.

    Args:
        data: its classes.
        shape: see `require_enough`.
        seed: of the draw.
        count: how many.
    """
    support, query = draw_episodes(data.sizes, shape, seed, count)
    answers = np.repeat(np.arange(shape.n_way), shape.n_query)
    order = np.random.default_rng((seed, _QUERY_ORDER)).permuted(
        np.tile(np.arange(answers.size), (count, 1)), axis=1
    )
    asked = np.take_along_axis(query.reshape(count, -1), order, axis=1)
    ids = tuple(str(number) for number in range(count))
    drawn = EpisodeList(ids, support, asked, answers[order], "")
    return replace(drawn, sha256=hashlib.sha256(as_bytes(episodes_csv(data, drawn))).hexdigest())


def episodes_csv(data: FewShotSet, episodes: EpisodeList) -> str:
    """Return episodes as the text of their file; the same ones give the same bytes."""
    names = [_quoted(data.name_of(index)) for index in range(len(data))]
    _, ways, shots = episodes.support.shape
    heads = [
        f"class{way}_support{shot if shots > 1 else ''}"
        for way in range(ways)
        for shot in range(shots)
    ]
    heads += [f"query{index}" for index in range(episodes.query.shape[1])]
    images = np.concatenate([episodes.support.reshape(len(episodes), -1), episodes.query], axis=1)
    lines = [",".join(["episode_id", *heads])]
    for number, row in zip(episodes.ids, images.tolist(), strict=True):
        lines.append(f"{number},{','.join(itemgetter(*row)(names))}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return a field of CSV (RFC 4180); spaces around one that is not quoted may get lost."""
    if text != text.strip() or any(mark in text for mark in ',"\r\n'):
        doubled = text.replace('"', '""')
        return f'"{doubled}"'
    return text


@dataclass(frozen=True)
class EpisodeTable:
    """An episode file, read but for what its classes are.

    Attributes:
        ids: what the file calls each.
        names: what it calls its images, each once.
        support: int64 [E, N, K], indices into `names`.
        query: int64 [E, M].
        sha256: of the file.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    support: Ints
    query: Ints
    sha256: str

    def __len__(self) -> int:
        return len(self.ids)


def read_table(path: Path) -> EpisodeTable:
    """Read an episode file, dlcv's or the course's.

    Raises:
        DataError: no such file, not of that layout, or a line is too short.
    """
    # As `as_bytes` writes them: names of files need not be UTF-8.
    table = read_csv(path, what="the episodes in", errors="surrogateescape")
    shape, order = _columns(table)
    names: dict[str, int] = {}
    rows, ids = [], []
    for number, line in table.lines:
        ids.append(line[0])
        if not all(line[column] for column in order):
            raise DataError(f"{path}, line {number}: the line is too short")
        rows.append([names.setdefault(line[column], len(names)) for column in order])
    if not rows:
        raise DataError(f"{path} holds no episode")
    images = np.array(rows, np.int64)
    shots = shape.n_way * shape.k_shot
    return EpisodeTable(
        tuple(ids),
        tuple(names),
        images[:, :shots].reshape(-1, shape.n_way, shape.k_shot),
        images[:, shots:],
        sha256_of(path),
    )


def read_episodes(path: Path, data: FewShotSet, ids: Mapping[str, Path]) -> EpisodeList:
    """Read an episode file whose images are of a set, with the right answers.

    Args:
        path: the file.
        data: the set.
        ids: what the set's own CSV calls its images -> their files.

    Raises:
        DataError: see `read_table`; or it names an image that the set has not, one class twice in
            an episode, or a query of a class without support.
    """
    table = read_table(path)
    places = _places(data, ids)
    unknown = next((name for name in table.names if name not in places), None)
    if unknown is not None:
        raise DataError(
            f"{path} names the image '{unknown}', which is not in split '{data.split}' of "
            f"{data.root}",
            "add --rotations, where it was drawn with them"
            if re.search(r"@(90|180|270)$", unknown)
            else "give the set that it was drawn from, with its --split",
        )
    index = np.array([places[name] for name in table.names], np.int64)
    owner = np.repeat(np.arange(len(data.sizes)), data.sizes)
    support, query = index[table.support], index[table.query]
    classes = owner[support]
    ordered = np.sort(classes[..., 0], axis=1)
    mixed = (classes != classes[..., :1]).any(axis=(1, 2)) | (np.diff(ordered) == 0).any(axis=1)
    right = classes[:, None, :, 0] == owner[query][..., None]
    lost = ~right.any(axis=2).all(axis=1)
    for bad, what in (
        (mixed, f"its support images are not of {support.shape[1]} classes each"),
        (lost, "a query is of none of the episode's classes"),
    ):
        if bad.any():
            raise DataError(f"{path}, line {int(bad.argmax()) + 2}: {what}")
    return EpisodeList(table.ids, support, query, right.argmax(axis=2), table.sha256)


def _columns(table: CsvTable) -> tuple[Shape, list[int]]:
    """Return the shape of a file's episodes, and its columns: support by class, then queries."""
    support = {}
    queries = {}
    for column, name in enumerate(table.columns):
        if found := _SUPPORT.fullmatch(name):
            support[int(found[1]), int(found[2] or 0)] = column
        elif found := _QUERY.fullmatch(name):
            queries[int(found[1])] = column
    ways = len({way for way, _ in support})
    shots = len(support) // ways if ways else 0
    whole = set(support) == {(way, shot) for way in range(ways) for shot in range(shots)}
    if not support or not whole or set(queries) != set(range(len(queries))) or not queries:
        raise DataError(
            f"{table.path} is no episode file: its first line is {table.describe_columns()}",
            "wanted: episode_id, class0_support, class1_support, ..., query0, query1, ...",
        )
    order = [support[key] for key in sorted(support)] + [queries[key] for key in sorted(queries)]
    return Shape(ways, shots, max(1, len(queries) // ways)), order


def _places(data: FewShotSet, ids: Mapping[str, Path]) -> dict[str, int]:
    """Map what images may be called to their places in the set."""
    index = {file: place for place, file in enumerate(data.files)}
    places = {name: index[file] for name, file in ids.items() if file in index}
    return places | {data.name_of(place): place for place in range(len(data))}
