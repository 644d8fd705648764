"""The way of a cascade as it is drawn: over lanes, in the tree, in words, and on the alert's page, at any width and level."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tui import rows
from tests.tui.rows import HOSTILE
from tests.tui.story import ALERTS, DELEGATIONS, LANES, NOW_NS, START_NS, SUSPECTS, at
from tests.tui.test_drawing import NS, edge, holds, lane, levels, widths
from trajectory.view.rows import AlertRow, PathStep
from tui.drawing.lanes import draw_lanes
from tui.drawing.line import plain
from tui.drawing.page import about_lines, headline, message_lines, path_lines
from tui.drawing.path import Way, hop_sign, way_line
from tui.drawing.suspects import score_bar, suspect_lines
from tui.drawing.tree import branch_line, branches
from tui.signs import LEVELS, UNICODE, Signs, signs_at

CASCADE = ALERTS[0]


def way_of(alert: AlertRow) -> Way:
    found = Way.of(alert)
    assert found is not None
    return found


def text_of(alert: AlertRow, width: int = 100, signs: Signs = UNICODE) -> list[str]:
    return [plain(line.line).rstrip() for line in path_lines(alert, width, signs, lambda _: "00:00.000")]


@settings(max_examples=25)
@given(rows.alerts, st.lists(rows.lanes, max_size=4), st.lists(rows.delegations, max_size=4), widths, levels)
def test_a_way_over_any_lanes_keeps_their_width(alert, lanes, delegations, width, signs) -> None:  # type: ignore[no-untyped-def]
    way = Way.of(alert)
    drawn = draw_lanes(lanes, delegations, width, signs, start_ns=0, now_ns=200 * NS, way=way)
    holds(drawn.lines, width)
    by_label = {each.label: each for each in lanes}
    holds([branch_line(each, by_label, width, signs, 0, way) for each in branches(delegations)], width)
    if way is not None:
        holds([way_line(way, width, signs)], width)


@settings(max_examples=25)
@given(rows.alerts, st.lists(rows.alerts, max_size=1), st.integers(36, 200), levels)
def test_the_lines_of_an_alerts_page_fit_and_are_known_by_one_key_each(alert, others, width, signs) -> None:  # type: ignore[no-untyped-def]
    path = path_lines(alert, width, signs, str)
    about = about_lines(alert, others, width, signs)
    for lines in (path, about):
        holds([line.line for line in lines if len(line.line) > 1], width)
    if len({step.span_id for step in alert.path}) == len(alert.path):
        assert len({line.key for line in path}) == len(path)
    holds([headline(alert, width, signs, str), *message_lines(alert, width, 4)], width)


@settings(max_examples=25)
@given(st.lists(rows.suspects, max_size=5), st.lists(rows.texts, max_size=2), rows.alerts, st.integers(36, 200), levels)
def test_suspects_fit_whatever_their_scores(suspects, limits, alert, width, signs) -> None:  # type: ignore[no-untyped-def]
    lines = suspect_lines(suspects, limits, Way.of(alert), width, signs, str)
    holds([line.line for line in lines if "." not in line.key and line.span_id], width)


@given(st.floats(), st.integers(1, 20), levels)
def test_a_score_bar_has_its_width_and_shows_any_score_above_nothing(score: float, width: int, signs: Signs) -> None:
    bar = score_bar(score, width, signs)
    assert len(bar) == width
    assert (bar.strip() != "") == (score > 0)


def test_hops_stand_in_order_where_they_happened_and_their_line_crosses_the_lanes_between() -> None:
    lanes = [
        lane("a", 0, 40, ("model", 0, 4, "ok")),
        lane("b", 10, 20, ("tool", 12, 14, "error")),
        lane("c", 30, 40, ("model", 32, 36, "ok")),
    ]
    path = [
        PathStep("1", "b", "fetch", 15 * NS, "", "tool", "error"),
        PathStep("2", "b", "chat", 17 * NS, "", "model", "ok"),
        PathStep("3", "a", "chat", 24 * NS, "", "model", "ok", "answer", "a>b"),
        PathStep("4", "c", "chat", 34 * NS, "", "model", "ok", "task", "a>c"),
    ]
    alert = msgspec.structs.replace(CASCADE, path=path, ending="answer", affected_agents=[])
    edges = [edge("a", "b", 10, 20), edge("a", "c", 29, 40)]
    drawn = draw_lanes(lanes, edges, 4 + 1 + 40 + 4, UNICODE, start_ns=0, now_ns=40 * NS, way=way_of(alert))
    a, b, c = (plain(line) for line in drawn.lines)
    assert (b[5 + 15], b[5 + 17], a[5 + 24], c[5 + 34]) == ("◆", "1", "2", "3")
    assert set(b[5 + 18 : 5 + 24]) <= {"━", "┘"}  # over what is free; where b returned is said, too
    assert b[5 + 24] == "╫"
    assert "┗▶" in c
    assert [text[-4:].strip() for text in (a, b, c)] == ["◇✓", "◆✓", "★✓"]


def test_where_a_task_brought_it_the_gate_stands_on_its_elbow() -> None:
    lanes = [lane("a", 0, 40, ("model", 0, 4, "ok")), lane("b", 20, 40, ("tool", 22, 30, "ok"))]
    path = [PathStep("1", "a", "chat", 2 * NS), PathStep("2", "b", "search", 26 * NS, way="task", delegation_id="a>b")]
    alert = msgspec.structs.replace(CASCADE, path=path, affected_agents=[])
    drawn = draw_lanes(lanes, [edge("a", "b", 20, 40)], 49, UNICODE, start_ns=0, now_ns=40 * NS, way=way_of(alert))
    a, b = (plain(line) for line in drawn.lines)
    assert "┓" in a and "━" not in a
    assert "┗╫▓" in b
    assert b[5 + 26] == "1"


def test_a_hop_hides_neither_a_failure_nor_another_hop() -> None:
    lanes = [lane("a", 0, 40, ("tool", 10, 10.2, "error"), ("tool", 30, 30.2, "ok"))]
    path = [PathStep(str(n), "a", "x", 10 * NS, "", "tool", "ok") for n in range(3)]
    alert = msgspec.structs.replace(CASCADE, path=path, affected_agents=[])
    text = plain(draw_lanes(lanes, [], 49, UNICODE, start_ns=0, now_ns=40 * NS, way=way_of(alert)).lines[0])
    assert text[5 + 10 : 5 + 16] == "✗◆━1━2"


def test_hops_that_have_no_room_are_left_out_and_so_is_the_gate() -> None:
    lanes = [lane("a", 0, 40, ("tool", 0, 40, "ok")), lane("b", 0, 40, ("tool", 0, 40, "ok"))]
    crowd = [PathStep(str(n), "a", "x", 10 * NS) for n in range(15)]
    steps = [*crowd, PathStep("last", "b", "x", 10 * NS, way="words")]
    alert = msgspec.structs.replace(CASCADE, path=steps, affected_agents=[])
    a, b = draw_lanes(lanes, [], 49, UNICODE, start_ns=0, now_ns=40 * NS, way=way_of(alert)).lines
    assert plain(a)[5 + 8 : 5 + 17] == "45◆617283" and "9" not in plain(a)
    assert "f" in plain(b) and "╫" not in plain(a) + plain(b)


def test_who_only_carried_it_stands_in_the_path_at_its_time_and_not_again_beside_it() -> None:
    path = [PathStep("1", "b", "fetch", 10 * NS), PathStep("2", "a", "chat", 30 * NS, way="answer")]
    beside = [
        PathStep("3", "d", "late", 40 * NS, way="carried"),
        PathStep("4", "c", "chat", 20 * NS, "H7 is fine.", way="carried"),
        PathStep("5", "c", "agent", 25 * NS),
    ]
    lines = text_of(msgspec.structs.replace(CASCADE, path=path, beside=beside, affected_spans=5))
    at = {
        word: number
        for number, line in enumerate(lines)
        for word in ("fetch", "carried it too", "late")
        if word in line
    }
    assert lines[at["carried it too"] - 1].split()[:2] == ["◇", "c"] and "H7 is fine." in lines[at["carried it too"]]
    assert at["fetch"] < at["carried it too"] < lines.index("Beside the path") < at["late"]
    assert sum("H7 is fine." in line for line in lines) == 1
    assert way_of(msgspec.structs.replace(CASCADE, path=path, beside=beside)).steps == path


def test_hops_have_signs_however_many_there_are() -> None:
    signs = [hop_sign(n, UNICODE) for n in range(40)]
    assert len(set(signs[:36])) == 36
    assert set(signs[36:]) == {"◇"}


def test_only_the_way_that_was_asked_for_is_drawn() -> None:
    other = msgspec.structs.replace(
        CASCADE, path=[PathStep("5001", "tester#1", "pytest", at(60.4))], affected_agents=[], ending="stopped"
    )
    drawn = draw_lanes(LANES, DELEGATIONS, 100, UNICODE, start_ns=START_NS, now_ns=NOW_NS, way=way_of(other))
    text = "\n".join(plain(line) for line in drawn.lines)
    assert not any(char in text for char in "┏┓┗┛━┃")
    assert text.count("◆") == 2  # at the root, and at the end of its lane


@pytest.mark.parametrize("level", LEVELS)
def test_a_way_is_told_by_signs_alone(level: str) -> None:
    signs = signs_at(level)
    assert len({signs.root, signs.carried, signs.gate, signs.answer, signs.error, signs.ok, signs.cut_off}) == 7
    answered = msgspec.structs.replace(CASCADE, ending="answer")
    line = plain(way_line(way_of(answered), 120, signs))
    assert line.startswith(f"A1 {signs.root} research#2 {signs.gate} 2 planner#1 {signs.crumb} 3 writer#1")
    assert line.rstrip().endswith(f"{signs.answer} in the final answer")
    drawn = draw_lanes(LANES, DELEGATIONS, 100, signs, start_ns=START_NS, now_ns=NOW_NS, way=way_of(answered))
    chart = [plain(each) for each in drawn.lines]
    assert signs.gate in "".join(chart)
    assert chart[-1].rstrip().endswith(f"{signs.answer}{signs.running}")
    assert level != "ascii" or "".join(chart).isascii()


def test_a_path_that_is_too_long_for_its_line_says_how_many_agents_it_leaves_out() -> None:
    line = plain(way_line(way_of(CASCADE), 44, UNICODE))
    assert line.startswith("A1 ◆ research#2 ▸ 2 more ▸ 4 review")


def test_the_tree_numbers_the_hop_of_each_delegation_and_shows_the_gate() -> None:
    way = way_of(CASCADE)
    lines = [plain(branch_line(each, {}, 60, UNICODE, START_NS, way)) for each in branches(DELEGATIONS)]
    assert any("┣━▶ research#2" in line and "╫2" in line for line in lines)
    assert any("writer#1" in line and "▸3" in line for line in lines)
    assert any("├─▶ coder#1" in line for line in lines)


def test_a_path_is_told_hop_by_hop_with_what_let_it_through() -> None:
    text = text_of(msgspec.structs.replace(CASCADE, ending="answer"))
    hops = [line.split()[0] for line in text if line and line[0] in "◆1234"]
    assert hops == ["◆", "1", "2", "3", "4"]
    gate = text.index("╫ could have been caught here: in the answer of research#2 to planner#1")
    assert text[gate + 1].startswith("2 ✓ planner#1")
    assert "★ in the final answer, 67.7 s after the root" in text
    assert any(line.startswith("◇ coder#1") for line in text)


def test_what_was_not_recorded_is_said_in_words() -> None:
    silent = msgspec.structs.replace(CASCADE, path=[PathStep("1", "a#1", "chat", NS)])
    assert "(nothing was recorded of what it said)" in "\n".join(text_of(silent))
    assert "No path: it is about one place." in text_of(ALERTS[1])[0]
    lines = suspect_lines([], ["No contents were recorded."], None, 80, UNICODE, str)
    assert [plain(line.line).split(":")[0].strip() for line in lines] == ["No suspects", "? No contents were recorded."]


def test_a_line_is_known_by_its_span_however_the_path_or_the_ranking_grows() -> None:
    grown = msgspec.structs.replace(
        CASCADE, path=[CASCADE.path[0], PathStep("new", "research#2", "x", 0), *CASCADE.path[1:]]
    )
    before, after = ({line.key for line in path_lines(each, 100, UNICODE, str)} for each in (CASCADE, grown))
    assert before - after <= {"beside more"} and len(after) > len(before)
    risen = [msgspec.structs.replace(SUSPECTS[1], rank=1), msgspec.structs.replace(SUSPECTS[0], rank=2)]
    keys = [{line.key for line in suspect_lines(rows_, [], None, 100, UNICODE, str)} for rows_ in (SUSPECTS[:2], risen)]
    assert keys[0] == keys[1]


def test_every_line_of_a_path_and_of_a_suspect_opens_a_span() -> None:
    lines = path_lines(CASCADE, 100, UNICODE, str)
    assert all(line.span_id for line in lines if line.line and "title" not in line.key and "more" not in line.key)
    assert all(line.span_id for line in suspect_lines(SUSPECTS, [], None, 100, UNICODE, str))


def test_a_message_of_a_million_characters_is_cut_and_not_wrapped_whole() -> None:
    alert = msgspec.structs.replace(CASCADE, message="word " * 200_000 + HOSTILE)
    assert len(message_lines(alert, 80, 4)) == 4
