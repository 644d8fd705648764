"""The graph of delegations: following its lines from a box leads to exactly those that it gave work to, whatever the graph."""

from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.tui import rows
from tests.tui.story import DELEGATIONS, LANES
from trajectory.view.rows import DelegationRow
from trajectory.view.text import clean
from tui.drawing.canvas import window
from tui.drawing.graph import MOST_BOXES, GraphDrawing, draw_graph, graph_legend
from tui.drawing.layered import Arrow, Box, Laid, lay_out
from tui.drawing.line import plain
from tui.signs import DOWN, LEFT, LEVELS, RIGHT, UNICODE, UP, signs_at

levels = st.sampled_from(LEVELS).map(signs_at)
names = st.sampled_from([f"{name}#1" for name in "abcdefghij"])
edges = st.lists(st.tuples(names, names), min_size=1, max_size=22, unique=True)
_MASKS = {
    char: mask
    for table in (UNICODE.lines, UNICODE.lines_heavy)
    for mask, char in enumerate(table)
    if char != " "
}  # fmt: skip


def graph_of(pairs: list[tuple[str, str]], notes: list[str] | None = None) -> Laid:
    boxes = [Box(name, [(f"[{name}]", "")]) for name in dict.fromkeys(name for pair in pairs for name in pair)]
    written = notes or [""] * len(pairs)
    return lay_out(
        boxes, [Arrow(*pair, [(note, "")] if note else []) for pair, note in zip(pairs, written, strict=True)], UNICODE
    )


def reached(laid: Laid, key: str) -> set[str]:
    """Which boxes one comes to who follows the lines out of a box: never to the left, straight on at a crossing."""
    texts = [[text for text, _ in row] for row in laid.canvas.rows(UNICODE)]
    at = {(place.x, place.y): name for name, place in laid.places.items()}
    place = laid.places[key]
    found: set[str] = set()
    pending = [(place.x + place.width, place.y, RIGHT)]
    seen = set(pending)
    while pending:
        x, y, going = pending.pop()
        char = texts[y][x] if x < len(texts[y]) else " "
        if going == RIGHT and (x, y) in at:
            found.add(at[x, y])
            continue
        mask = _MASKS.get(char, LEFT | RIGHT if char != " " else 0)  # a head or a note lies on the line
        if (going == RIGHT and mask == UP | DOWN) or (going != RIGHT and mask == LEFT | RIGHT):
            ways = {going}
        else:
            came = {RIGHT: LEFT, UP: DOWN, DOWN: UP}[going]
            ways = {way for way in (RIGHT, UP, DOWN) if mask & way and way != came} if mask & came else set()
        for way in ways:
            step = (x + (way == RIGHT), y + (way == DOWN) - (way == UP), way)
            if step not in seen:
                seen.add(step)
                pending.append(step)
    return found


@given(edges, st.lists(st.sampled_from(["", "d", "i⇒", "△×3"]), min_size=22, max_size=22))
@example([("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")], [""] * 22)
@example([("a", "b"), ("b", "c"), ("a", "c"), ("c", "a"), ("c", "c")], [""] * 22)
def test_following_the_lines_leads_from_each_giver_to_exactly_its_takers(pairs, notes) -> None:  # type: ignore[no-untyped-def]
    laid = graph_of(pairs, notes[: len(pairs)])
    back = {(arrow.source, arrow.target) for arrow in laid.back}
    for name in laid.places:
        assert reached(laid, name) == {target for source, target in pairs if source == name} - {
            t for s, t in back if s == name
        }
    drawn = "\n".join("".join(text for text, _ in row) for row in laid.canvas.rows(UNICODE))
    for pair, note in zip(pairs, notes, strict=False):
        assert pair in back or note in drawn


@given(edges)
def test_no_box_lies_on_another_and_edges_run_to_the_right(pairs: list[tuple[str, str]]) -> None:
    laid = graph_of(pairs)
    cells = [(x, place.y) for place in laid.places.values() for x in range(place.x, place.x + place.width)]
    assert len(cells) == len(set(cells))
    back = {(arrow.source, arrow.target) for arrow in laid.back}
    places = laid.places
    assert all(places[s].x + places[s].width < places[t].x for s, t in pairs if (s, t) not in back)


def texts_of(drawn: GraphDrawing) -> list[str]:
    return ["".join(text for text, _ in row) for row in drawn.rows]


@given(
    st.lists(rows.delegations, max_size=12),
    st.lists(rows.lanes, max_size=5),
    levels,
    st.integers(0, 60),
    st.integers(4, 90),
)
def test_any_part_of_the_graph_has_the_width_asked_for(delegations, lanes, signs, left, width) -> None:  # type: ignore[no-untyped-def]
    drawn = draw_graph(lanes, delegations, signs)
    ends = {label for row in delegations for label in (row.source, row.target)}
    assert set(drawn.places) == ends
    for row in drawn.rows:
        text = plain(window(row, left, width))
        assert cell_len(text) == width
        assert clean(text) == text


def edge(source: str, target: str, **more: object) -> DelegationRow:
    values: dict[str, object] = {"mode": "call", "grade": "observed", "reason": "", "state": "returned"}
    values |= {"sent_ns": 1, "received_ns": 1, "returned_ns": 1, "span_id": ""} | more
    return DelegationRow(f"{source}>{target}", source, target, **values)  # type: ignore[arg-type]


def test_the_story_is_drawn_with_its_second_givers_and_its_error_path() -> None:
    assert texts_of(draw_graph(LANES, DELEGATIONS, UNICODE)) == [
        "              ┏△━▶[research#2 ✓◆]                         ",
        "              ┣──▶[coder#1 ✓]─────┬───────▶[tester#1 ✓]   ",
        "[planner#1 ●]━╋d─▶[archivist ⊘]   └──i──┐                 ",
        "              ┣━━▶[writer#1 ✓◇]━━━┳──i──┼─▶[research#1 ✓] ",
        "              └───────────────────┃─────┘                 ",
        "                                  ┗━━⇒━━━━▶[reviewer#1 ●◇]",
    ]


def test_a_circle_is_a_note_below_the_graph() -> None:
    ring = [edge("a", "b", sent_ns=1), edge("b", "c", sent_ns=2), edge("c", "a", sent_ns=3, grade="inferred")]
    assert texts_of(draw_graph([], ring, UNICODE))[-1].rstrip() == "↺ c ─i▶ a"


def test_how_an_edge_is_known_is_told_without_colour_at_every_level() -> None:
    kinds = [
        {},
        {"grade": "declared"},
        {"grade": "inferred"},
        {"on_error_path": True},
        {"mode": "transfer"},
        {"lost": ["x"]},
    ]
    for level in LEVELS:
        drawn = {"".join(texts_of(draw_graph([], [edge("a", "b", **kind)], signs_at(level)))) for kind in kinds}
        assert len(drawn) == len(kinds)
        assert level != "ascii" or all(text.isascii() for text in [*drawn, plain(graph_legend(signs_at(level)))])


def test_a_crowd_is_bounded_and_said() -> None:
    drawn = draw_graph([], [edge("a", f"b{number}", sent_ns=number) for number in range(MOST_BOXES + 9)], UNICODE)
    assert len(drawn.places) == MOST_BOXES
    assert "10 more agents" in texts_of(drawn)[-1]
