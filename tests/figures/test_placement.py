"""Boxes do not overlap, arrows do not cross them, and a wrong placement is detected."""

from __future__ import annotations

from itertools import combinations

import pytest

from dlcvcli.figures.architecture import lines_of
from dlcvcli.figures.placement import FONT_SIZE, Placement, crossed, place
from dlcvcli.figures.style import text_width
from dlcvcli.models.diagram import Block, Diagram, measure
from dlcvcli.models.network import Network
from tests.models.test_diagram import CASES, built


def placed(network: Network, diagram: Diagram) -> tuple[Placement, dict[str, list[str]]]:
    facts = measure(network, diagram, (1024, 2048))
    texts = {block.name: lines_of(block, facts[block.name]) for block in diagram.blocks}
    return place(diagram, texts), texts


@pytest.mark.parametrize(("name", "options"), CASES)
def test_boxes_do_not_overlap_and_text_fits(name: str, options: dict[str, object]) -> None:
    placement, texts = placed(*built(name, options))
    assert crossed(placement) == []
    for one, other in combinations(placement.boxes.values(), 2):
        apart_x = one.right < other.left or other.right < one.left
        # Room for the head of an arrow.
        apart_y = one.bottom + 0.1 < other.top or other.bottom + 0.1 < one.top
        assert apart_x or apart_y
    for block, box in placement.boxes.items():
        assert 0 < box.left < box.right < placement.width
        assert 0 < box.top < box.bottom < placement.height
        widths = [
            text_width(line, FONT_SIZE, bold=not index) for index, line in enumerate(texts[block])
        ]
        assert max(widths) < box.width - 0.1


def test_arrows_start_and_end_on_the_edges_of_their_blocks() -> None:
    blocks = (
        Block("a", "a", "data", 0, 0),
        Block("beside", "b", "head", 1, 0, after=("a",)),
        Block("below", "c", "head", 0, 1, after=("a",)),
        Block("further", "d", "head", 1, 2, after=("below",)),
        Block("joined", "e", "join", 2, 1, after=("further", "beside"), vertical=("beside",)),
        Block("left", "f", "head", -1, 2, after=("below",)),
    )
    placement = place(Diagram(blocks), {block.name: ["text"] for block in blocks})
    boxes, arrows = placement.boxes, placement.arrows
    a, below, joined = boxes["a"], boxes["below"], boxes["joined"]
    assert arrows["a", "beside"] == ((a.right, a.y), (boxes["beside"].left, a.y))
    assert arrows["a", "below"] == ((a.x, a.bottom), (a.x, below.top))
    assert arrows["beside", "joined"][-2:] == ((joined.x, a.y), (joined.x, joined.top))
    assert arrows["further", "joined"][-1] == (joined.left, joined.y)
    assert arrows["below", "left"][0] == (below.left, below.y)
    assert arrows["below", "left"][-1] == (boxes["left"].right, boxes["left"].y)
    assert len(arrows["below", "further"]) == 4


def test_arrow_through_a_block_is_detected() -> None:
    blocks = (
        Block("a", "a", "data", 0, 0),
        Block("between", "b", "head", 0, 1, after=("a",)),
        Block("c", "c", "head", 0, 2, after=("a",)),
    )
    placement = place(Diagram(blocks), {block.name: ["text"] for block in blocks})
    assert crossed(placement) == [(("a", "c"), "between")]
