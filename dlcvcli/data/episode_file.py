"""Read and write episode files, so that different runs are tested on the same episodes.

The layout is the test-case CSV of the NTU DLCV course (Deep Learning for Computer Vision, National
Taiwan University): a line per episode, with the columns `episode_id`, one for each support image
(`class0_support`, `class1_support`, ...) and one for each query (`query0`, `query1`, ...). An image
is named by its path below the set's folder, or by its `id` in the set's own CSV. With more than one
shot the columns are `class0_support0`, `class0_support1` and so on. `@90` after a path is the image
rotated by 90 degrees. The classes of the queries are not in the file: they follow from the images.
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
# Makes the generator that orders queries different from those that draw episodes.
_QUERY_ORDER = 1 << 40


def drawn_episodes(data: FewShotSet, shape: Shape, seed: int, count: int) -> EpisodeList:
    """Return the first episodes of a set, with their queries shuffled.

    The order of the queries does not reveal their classes.

    Args:
        data: the set.
        shape: shape of the episodes; `require_enough` checks that the set has enough images.
        seed: seed of the draw.
        count: number of episodes.
    """
    support, query = draw_episodes(data.sizes, shape, seed, count)
    answers = np.repeat(np.arange(shape.n_way), shape.n_query)
    order = np.random.default_rng((seed, _QUERY_ORDER)).permuted(
        np.tile(np.arange(answers.size), (count, 1)), axis=1
    )
    queries = np.take_along_axis(query.reshape(count, -1), order, axis=1)
    ids = tuple(str(number) for number in range(count))
    drawn = EpisodeList(ids, support, queries, answers[order], "")
    return replace(drawn, sha256=hashlib.sha256(as_bytes(episodes_csv(data, drawn))).hexdigest())


def episodes_csv(data: FewShotSet, episodes: EpisodeList) -> str:
    """Return the text of an episode file; the same episodes give the same text."""
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
    """Return a CSV field (RFC 4180), quoted also to keep the spaces around it."""
    if text != text.strip() or any(mark in text for mark in ',"\r\n'):
        doubled = text.replace('"', '""')
        return f'"{doubled}"'
    return text


@dataclass(frozen=True)
class EpisodeTable:
    """The content of an episode file, before its images are looked up in a set.

    Attributes:
        ids: name of each episode.
        names: names of its images, without repetition.
        support: int64 [E, N, K], indices into `names`.
        query: int64 [E, M], indices into `names`.
        sha256: SHA-256 of the file.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    support: Ints
    query: Ints
    sha256: str

    def __len__(self) -> int:
        return len(self.ids)


def read_table(path: Path) -> EpisodeTable:
    """Return the content of an episode file, written by dlcv or given by the NTU DLCV course.

    Raises:
        DataError: the file does not exist or has another layout, or a line is too short.
    """
    # File names need not be UTF-8; `as_bytes` writes them in the same way.
    table = read_csv(path, what="the episodes in", errors="surrogateescape")
    shape, order = _columns(table)
    names: dict[str, int] = {}
    rows, ids = [], []
    for number, line in table.lines:
        ids.append(line[0])
        if not all(line[column] for column in order):
            raise DataError(
                f"{path}, line {number} has fewer images than the header has columns",
                "add the missing images, or remove the line",
            )
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
    """Return the episodes of a file whose images are in a set, with the classes of the queries.

    Args:
        path: the file.
        data: the set.
        ids: id of an image in the set's CSV -> its file.

    Raises:
        DataError: as for `read_table`; or the file names an image that is not in the set, an
            episode has a class twice, or a query is of a class without support.
    """
    table = read_table(path)
    places = _places(data, ids)
    unknown = next((name for name in table.names if name not in places), None)
    if unknown is not None:
        raise DataError(
            f"{path} names the image '{unknown}', which is not in split '{data.split}' of "
            f"{data.root}",
            "add --rotations, as when the episodes were drawn"
            if re.search(r"@(90|180|270)$", unknown)
            else "give the --data and --split that the episodes were drawn from",
        )
    index = np.array([places[name] for name in table.names], np.int64)
    owner = np.repeat(np.arange(len(data.sizes)), data.sizes)
    support, query = index[table.support], index[table.query]
    classes = owner[support]
    ordered = np.sort(classes[..., 0], axis=1)
    mixed = (classes != classes[..., :1]).any(axis=(1, 2)) | (np.diff(ordered) == 0).any(axis=1)
    matches = classes[:, None, :, 0] == owner[query][..., None]
    lost = ~matches.any(axis=2).all(axis=1)
    for bad, what in (
        (mixed, f"its support images are not of {support.shape[1]} classes each"),
        (lost, "a query is of none of the episode's classes"),
    ):
        if bad.any():
            raise DataError(f"{path}, line {int(bad.argmax()) + 2}: {what}")
    return EpisodeList(table.ids, support, query, matches.argmax(axis=2), table.sha256)


def _columns(table: CsvTable) -> tuple[Shape, list[int]]:
    """Return the shape of a file's episodes and its columns, support by class before queries."""
    support = {}
    queries = {}
    for column, name in enumerate(table.columns):
        if match := _SUPPORT.fullmatch(name):
            support[int(match[1]), int(match[2] or 0)] = column
        elif match := _QUERY.fullmatch(name):
            queries[int(match[1])] = column
    ways = len({way for way, _ in support})
    shots = len(support) // ways if ways else 0
    complete = set(support) == {(way, shot) for way in range(ways) for shot in range(shots)}
    if not support or not complete or set(queries) != set(range(len(queries))) or not queries:
        raise DataError(
            f"{table.path} is not an episode file: its first line is {table.describe_columns()}",
            "expected: episode_id, class0_support, class1_support, ..., query0, query1, ...",
        )
    order = [support[key] for key in sorted(support)] + [queries[key] for key in sorted(queries)]
    return Shape(ways, shots, max(1, len(queries) // ways)), order


def _places(data: FewShotSet, ids: Mapping[str, Path]) -> dict[str, int]:
    """Return id or name of an image -> its index in the set."""
    index = {file: place for place, file in enumerate(data.files)}
    places = {name: index[file] for name, file in ids.items() if file in index}
    return places | {data.name_of(place): place for place in range(len(data))}
