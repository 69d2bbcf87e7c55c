"""Episode files: written, read back, the course's too, and refused where they cannot be right."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcvcli.data.episode_file import read_episodes, write_episodes
from dlcvcli.data.episodes import Episode, Shape, draw_episode
from dlcvcli.data.image_classes import ImageLayout, find_image_layout, image_split
from dlcvcli.errors import DataError

CLASSES, EACH = 6, 5


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> ImageLayout:
    """Six classes of five images, in the folder `test`."""
    root = tmp_path_factory.mktemp("set")
    for name in "abcdef":
        for number in range(EACH):
            path = root / "test" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    return find_image_layout(root)


def draw(shape: Shape, count: int, seed: int = 0) -> list[Episode]:
    return [draw_episode([EACH] * CLASSES, shape, seed, number) for number in range(count)]


@pytest.mark.parametrize("shape", [Shape(3, 1, 2), Shape(2, 3, 2)])
def test_what_is_written_is_read_back(layout: ImageLayout, tmp_path: Path, shape: Shape) -> None:
    classes = image_split(layout, "test")
    drawn = draw(shape, 4)
    file = tmp_path / "episodes.csv"
    write_episodes(file, layout.root, classes, drawn, seed=0)
    found = read_episodes(file, layout, "test", classes)
    assert found.ids == ("0", "1", "2", "3")
    for number, episode in enumerate(drawn):
        assert np.array_equal(found.support[number], episode.support)
        # In another order, and with the right answers: those of the rows they came from.
        assert sorted(found.query[number]) == sorted(episode.query.ravel())
        for image, answer in zip(found.query[number], found.answers[number], strict=True):
            assert image in episode.query[answer]
    assert any(not (np.diff(answers) >= 0).all() for answers in found.answers)
    before = file.read_bytes()
    write_episodes(file, layout.root, classes, drawn, seed=0)
    assert file.read_bytes() == before
    write_episodes(file, layout.root, classes, drawn, seed=1)
    assert read_episodes(file, layout, "test", classes).sha256 != found.sha256


def test_the_columns_are_those_of_the_course(layout: ImageLayout, tmp_path: Path) -> None:
    classes = image_split(layout, "test")
    file = tmp_path / "one.csv"
    write_episodes(file, layout.root, classes, draw(Shape(2, 1, 1), 1), seed=0)
    rows = list(csv.reader(file.read_text().splitlines()))
    assert rows[0] == ["episode_id", "class0_support", "class1_support", "query0", "query1"]
    assert rows[1][1].startswith("test/")


def test_the_courses_own_file_names_images_by_id(tmp_path: Path) -> None:
    labels = ["x", "x", "y", "y", "z", "z"]
    lines = ["id,filename,label"]
    for number, label in enumerate(labels):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{100 + number},{number}.png,{label}")
    (tmp_path / "val.csv").write_text("\n".join(lines) + "\n")
    layout = find_image_layout(tmp_path)
    case = tmp_path / "cases.csv"
    head = "episode_id,class0_support,class1_support,query0,query1,query2\n"
    case.write_text(head + "7,104,101,100,105,100\n")
    classes = image_split(layout, "val")
    found = read_episodes(case, layout, "val", classes)
    assert found.ids == ("7",)
    assert found.answers.tolist() == [[1, 0, 1]]
    files = [file.name for one in classes for file in one.files]
    assert [files[i] for i in found.support[0].ravel()] == ["4.png", "1.png"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no episode file"),
        ("episode_id,class0_support,query0\n", "holds no episode"),
        ("a,b\n1,2\n", "no episode file"),
        ("episode_id,class0_support,class2_support,query0\n", "no episode file"),
        (
            "episode_id,class0_support,class1_support,query0\n0,test/a/0.png,test/b/9.png,x\n",
            "line 2: image 'test/b/9.png' is not in the split",
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
        ("episode_id,class0_support,class1_support,query0\n0,test/a/0.png\n", "too short"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(
    layout: ImageLayout, tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        read_episodes(file, layout, "test", image_split(layout, "test"))
    assert says in caught.value.message


def test_no_file_is_one_line(layout: ImageLayout, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the episodes"):
        read_episodes(tmp_path / "none.csv", layout, "test", image_split(layout, "test"))
