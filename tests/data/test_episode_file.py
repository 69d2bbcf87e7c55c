"""Episode files: written, read back, those of the NTU DLCV course, and invalid ones."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcvcli.data.episode_file import drawn_episodes, episodes_csv, read_episodes, read_table
from dlcvcli.data.episodes import Shape, draw_episode
from dlcvcli.data.few_shot import FewShotSet
from dlcvcli.data.image_classes import ImageClass, find_image_layout, image_split
from dlcvcli.errors import DataError
from dlcvcli.files import write_atomically

CLASSES, EACH = 6, 5


def opened(root: Path, *, rotations: bool = False) -> FewShotSet:
    layout = find_image_layout(root)
    return FewShotSet(image_split(layout, "test"), "test", root, (4, 4), rotations=rotations)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six classes of five images, in the folder `test`; a name with a comma among them."""
    root = tmp_path_factory.mktemp("set")
    for name in "abcde,":
        for number in range(EACH):
            path = root / "test" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    return root


@pytest.mark.parametrize("rotations", [False, True])
@pytest.mark.parametrize("shape", [Shape(3, 1, 2), Shape(2, 3, 2)])
def test_written_values_are_read_back(
    root: Path, tmp_path: Path, shape: Shape, rotations: bool
) -> None:
    data = opened(root, rotations=rotations)
    drawn = drawn_episodes(data, shape, 0, 4)
    file = tmp_path / "episodes.csv"
    file.write_text(episodes_csv(data, drawn))
    episodes = read_episodes(file, data, {})
    assert episodes.ids == drawn.ids == ("0", "1", "2", "3")
    for name in ("support", "query", "answers"):
        assert np.array_equal(getattr(episodes, name), getattr(drawn, name))
    assert episodes.sha256 == drawn.sha256
    assert episodes.shape == drawn.shape == shape
    for number in range(4):
        episode = draw_episode(data.sizes, shape, 0, number)
        assert np.array_equal(drawn.support[number], episode.support)
        # In another order, and with the right answers: those of the rows they came from.
        assert sorted(drawn.query[number]) == sorted(episode.query.ravel())
        for image, answer in zip(drawn.query[number], drawn.answers[number], strict=True):
            assert image in episode.query[answer]
    assert any(not (np.diff(answers) >= 0).all() for answers in drawn.answers)
    assert drawn_episodes(data, shape, 0, 4).sha256 == drawn.sha256
    assert drawn_episodes(data, shape, 1, 4).sha256 != drawn.sha256
    assert ("@90" in file.read_text()) == rotations


def test_the_columns_are_those_of_the_course(root: Path) -> None:
    data = opened(root)
    rows = list(csv.reader(episodes_csv(data, drawn_episodes(data, Shape(2, 1, 1), 0, 1)).split()))
    assert rows[0] == ["episode_id", "class0_support", "class1_support", "query0", "query1"]
    assert rows[1][1].startswith("test/")


def test_a_file_of_the_course_names_images_by_id(tmp_path: Path) -> None:
    labels = ["x", "x", "y", "y", "z", "z"]
    lines = ["id,filename,label"]
    for number, label in enumerate(labels):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{100 + number},{number}.png,{label}")
    (tmp_path / "val.csv").write_text("\n".join(lines) + "\n")
    layout = find_image_layout(tmp_path)
    data = FewShotSet(image_split(layout, "val"), "val", layout.root, (4, 4))
    case = tmp_path / "cases.csv"
    head = "episode_id,class0_support,class1_support,query0,query1,query2\n"
    case.write_text(head + "7,104,101,100,105,100\n")
    episodes = read_episodes(case, data, layout.ids["val"])
    assert episodes.ids == ("7",)
    assert episodes.answers.tolist() == [[1, 0, 1]]
    assert [data.files[i].name for i in episodes.support[0].ravel()] == ["4.png", "1.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not an episode file"),
        ("episode_id,class0_support,query0\n", "holds no episode"),
        ("a,b\n1,2\n", "not an episode file"),
        ("episode_id,class0_support,class2_support,query0\n", "not an episode file"),
        (
            "episode_id,class0_support,class1_support,query0\n0,test/a/0.png,test/b/9.png,x\n",
            "the image 'test/b/9.png', which is not in split 'test'",
        ),
        (
            "episode_id,class0_support,class1_support,query0\n"
            "0,test/a/0.png,test/a/1.png,test/a/2.png\n",
            "not of 2 classes each",
        ),
        (
            "episode_id,class0_support,class1_support,query0\n"
            "0,test/a/0.png,test/b/1.png,test/c/2.png\n",
            "a query is of none",
        ),
        (
            "episode_id,class0_support,class1_support,query0\n0,test/a/0.png\n",
            "fewer images than the header",
        ),
    ],
)
def test_an_invalid_file_is_refused(root: Path, tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        read_episodes(file, opened(root), {})
    assert message in caught.value.message


def test_a_table_is_read_without_its_set(tmp_path: Path) -> None:
    file = tmp_path / "cases.csv"
    head = "episode_id,class0_support,class1_support,query0,query1\n"
    file.write_text(head + "a,x,y,z,x\nb,z,y,y,x\n")
    table = read_table(file)
    assert table.ids == ("a", "b")
    assert table.names == ("x", "y", "z")
    assert table.support.tolist() == [[[0], [1]], [[2], [1]]]
    assert table.query.tolist() == [[2, 0], [1, 0]]


def test_names_that_are_not_utf_8_are_read_back(tmp_path: Path) -> None:
    folders = [tmp_path / os.fsdecode(name) for name in (b"caf\xe9", b"b")]
    classes = tuple(ImageClass(p.name, (p / "1.png", p / "2.png"), p.name) for p in folders)
    data = FewShotSet(classes, "test", tmp_path, (4, 4))
    drawn = drawn_episodes(data, Shape(2, 1, 1), 0, 2)
    write_atomically(tmp_path / "a.csv", episodes_csv(data, drawn))
    table = read_table(tmp_path / "a.csv")
    assert table.sha256 == drawn.sha256
    assert sorted(table.names) == sorted(data.name_of(index) for index in range(4))


def test_a_missing_file_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the episodes"):
        read_table(tmp_path / "none.csv")
