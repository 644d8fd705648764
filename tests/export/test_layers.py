"""Boxes never overlap and lines never run through them, whatever the graph."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tests.export.strategies import calm
from trajectory.export.layers import Placed, place, walk

names = [f"n{number}" for number in range(12)]
edges = st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names)), max_size=24)


def placed(lines: list[tuple[str, str]]) -> Placed:
    return place({name: (80.0 + number, 40.0) for number, name in enumerate(names)}, lines, [70.0] * len(lines))


@calm
@given(edges)
def test_no_two_boxes_overlap(lines: list[tuple[str, str]]) -> None:
    for one, other in itertools.combinations(placed(lines).boxes.values(), 2):
        apart_x = one.x + one.width < other.x or other.x + other.width < one.x
        apart_y = one.y + one.height < other.y + 1e-6 or other.y + other.height < one.y + 1e-6
        assert apart_x or apart_y


@calm
@given(edges)
def test_every_line_goes_from_the_right_of_a_box_to_the_left_of_another(lines: list[tuple[str, str]]) -> None:
    drawn = placed(lines)
    for number, (source, target) in enumerate(lines):
        points = drawn.lines[number]
        left, right = (target, source) if number in drawn.backward else (source, target)
        if source == target:
            assert points == []
            continue
        start, end = drawn.boxes[left], drawn.boxes[right]
        assert points[0][0] == start.x + start.width and start.y < points[0][1] < start.y + start.height
        assert points[-1][0] == end.x and end.y < points[-1][1] < end.y + end.height
        assert all(a[0] <= b[0] for a, b in itertools.pairwise(points))


@calm
@given(edges)
def test_no_line_passes_through_a_box(lines: list[tuple[str, str]]) -> None:
    drawn = placed(lines)
    for points in drawn.lines:
        for (x0, y0), (x1, y1) in itertools.pairwise(points[1:-1]):
            if y0 != y1 or x0 == x1:
                continue
            for box in drawn.boxes.values():
                assert not (box.x < (x0 + x1) / 2 < box.x + box.width and box.y < y0 < box.y + box.height)


@calm
@given(edges)
def test_without_the_walk_there_is_no_cycle(lines: list[tuple[str, str]]) -> None:
    backward, met = walk(names, lines)
    kept = [edge for number, edge in enumerate(lines) if number not in backward and edge[0] != edge[1]]
    left = set(names)
    while free := left - {target for source, target in kept if source in left}:
        left -= free
    assert not left and sorted(met) == sorted(names)


def test_an_agent_stands_right_of_the_one_that_gave_it_work_first() -> None:
    drawn = placed([("n0", "n1"), ("n1", "n2"), ("n2", "n0"), ("n0", "n2")])
    assert drawn.boxes["n0"].x < drawn.boxes["n1"].x < drawn.boxes["n2"].x
    assert drawn.backward == {2}


@calm
@given(st.lists(st.integers(0, 10), min_size=1, max_size=11))
def test_the_branches_of_a_tree_do_not_cross(parents: list[int]) -> None:
    lines = [(names[min(parent, child)], names[child + 1]) for child, parent in enumerate(parents)]
    drawn = placed(lines)
    spans = [(drawn.boxes[a].x, drawn.boxes[a].middle, drawn.boxes[b].middle) for a, b in lines]
    for (x, y, z), (other_x, other_y, other_z) in itertools.combinations(spans, 2):
        if x == other_x and y != other_y:
            assert (y < other_y) == (z < other_z)
