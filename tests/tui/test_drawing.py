"""Drawings: whatever the rows, every line has its width, and nothing of an agent's text drives the terminal."""

from collections.abc import Sequence
from datetime import UTC

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.tui import rows
from tests.tui.story import ALERTS, DELEGATIONS, LANES, NOW_NS, RUNS, SPANS, START_NS, STEPS, span_view
from trajectory.view.rows import Content, DelegationRow, Health, Lane, LaneBar, SpanRow
from trajectory.view.scale import Scale
from trajectory.view.text import clean
from trajectory.view.views import Outline
from tui.drawing import bars, numbers
from tui.drawing.alerts import alert_line, preview_line
from tui.drawing.canvas import window
from tui.drawing.density import density_lines
from tui.drawing.entries import entries, trace_end_ns
from tui.drawing.frame import bottom_edge, tabs_edge, top_edge
from tui.drawing.inspector import inspector_lines
from tui.drawing.lanes import draw_lanes
from tui.drawing.line import Line, cut, measure, plain, put_label, spread
from tui.drawing.runs import changes, run_line, runs_header
from tui.drawing.spark import spark
from tui.drawing.tail import step_line
from tui.drawing.tree import branch_line, branches
from tui.drawing.waterfall import Columns, waterfall_header, waterfall_line
from tui.signs import LEVELS, UNICODE, signs_at

NS = 1_000_000_000
widths = st.integers(24, 200)
levels = st.sampled_from(LEVELS).map(signs_at)


def holds(lines: Sequence[Line], width: int) -> None:
    for line in lines:
        text = plain(line)
        assert cell_len(text) == width
        assert clean(text) == text


@given(st.lists(rows.lanes, max_size=8), st.lists(rows.delegations, max_size=8), widths, levels, rows.times, rows.times)
def test_lanes_have_their_width(lanes, delegations, width, signs, start, end) -> None:  # type: ignore[no-untyped-def]
    drawn = draw_lanes(lanes, delegations, width, signs, start_ns=start, now_ns=end, axis_lines=2)
    assert len(drawn.lines) == len(lanes)
    holds([*drawn.axis, *drawn.lines], width)


@given(st.lists(rows.delegations, max_size=12), st.lists(rows.lanes, max_size=5), widths, levels)
def test_every_delegation_has_one_line_of_the_trees_width(delegations, lanes, width, signs) -> None:  # type: ignore[no-untyped-def]
    found = branches(delegations)
    assert sorted(b.key for b in found if b.row) == sorted(row.delegation_id for row in delegations)
    holds([branch_line(b, {lane.label: lane for lane in lanes}, width, signs, 0) for b in found], width)


@given(st.lists(rows.spans, max_size=20), st.sets(st.integers(0, 30).map(str)), widths, levels, rows.times)
def test_the_timeline_has_its_width_and_counts_what_it_hides(spans, folded, width, signs, now) -> None:  # type: ignore[no-untyped-def]
    end_ns = trace_end_ns(spans, now)
    found = entries(spans, folded, end_ns)
    scale = Scale(0, max(1, end_ns), Columns.of(width).chart)
    holds([waterfall_line(entry, width, scale, signs, end_ns) for entry in found], width)
    holds([waterfall_header(width, scale)], width)
    shown = sum(entry.times + (entry.given is not None) for entry in found if not entry.gap_ns)
    assert shown <= len(spans)
    assert shown == len(spans) or any(entry.is_folded for entry in found)


@given(rows.alerts, rows.steps, rows.traces, widths, levels)
def test_lines_of_lists_have_their_width(alert, step, trace, width, signs) -> None:  # type: ignore[no-untyped-def]
    holds([alert_line(alert, width, signs, 0), preview_line(alert, width, signs)], width)
    holds([step_line(step, "00:00.000", width, signs)], width)
    holds([bars.run_summary(trace, width, signs, 0, bars.Contact("live"))], width)
    if width >= 60:
        holds([run_line(trace, width, 4, signs, 0), runs_header(width, 4)], width)


@given(rows.texts, rows.texts, st.integers(8, 200), levels, st.booleans(), st.booleans())
def test_frames_have_their_width(title, status, width, signs, focused, framed) -> None:  # type: ignore[no-untyped-def]
    holds([top_edge(title, status, width, signs, focused, framed), bottom_edge(width, signs, focused)], width)


@given(
    st.lists(st.tuples(rows.texts, st.just("dim")), max_size=5),
    st.lists(st.tuples(rows.texts, st.just("")), max_size=3),
    widths,
)
def test_both_ends_of_a_line_fit_its_width(left: Line, right: Line, width: int) -> None:
    holds([cut(left, width)], width)
    assert measure(spread(left, right, width)) == width


@given(st.lists(rows.texts, min_size=1, max_size=4), st.integers(40, 160), levels)
def test_the_header_keeps_its_state_at_any_width(crumbs, width, signs) -> None:  # type: ignore[no-untyped-def]
    health = Health(state="live", facts_per_s=41_000, lag_ns=2 * NS, dropped_count=3120, quarantined_count=2)
    line = bars.header_line(["trajectory", *crumbs], health, bars.Contact("live"), width, signs)
    holds([line], width)
    assert "live" in plain(line)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=240), st.sets(st.integers(0, 239)), st.integers(4, 300), levels)
def test_the_density_is_as_wide_as_asked_and_ticks_every_failure(activity, failed, width, signs) -> None:  # type: ignore[no-untyped-def]
    parts = sorted(part for part in failed if part < len(activity))
    lines = density_lines(Outline(activity, parts), width, signs)
    holds(lines, width)
    assert (signs.error in plain(lines[1])) == bool(parts)
    assert [len(plain(line)) for line in lines] == [width, width]


@given(st.lists(st.integers(0, 10**6), max_size=40), st.integers(1, 40), levels)
def test_a_spark_has_one_cell_a_value(values: list[int], width: int, signs) -> None:  # type: ignore[no-untyped-def]
    assert len(spark(values, signs, width)) == min(len(values), width)


def lane(label: str, start_s: float, end_s: float, *bars_: tuple[str, float, float, str]) -> Lane:
    work = [
        LaneBar(f"{label}{index}", kind, round(a * NS), round(b * NS), status)
        for index, (kind, a, b, status) in enumerate(bars_)
    ]
    return Lane(label, label, "", label, "ok", round(start_s * NS), round(end_s * NS), work)


def edge(source: str, target: str, sent_s: float, back_s: float) -> DelegationRow:
    times = [round(each * NS) for each in (sent_s, sent_s, back_s)]
    return DelegationRow(f"{source}>{target}", source, target, "call", "observed", "", "returned", *times, span_id="")


def test_an_elbow_leaves_behind_the_bar_and_the_targets_work_follows_its_arrow() -> None:
    lanes = [lane("a", 0, 40, ("model", 0, 10, "ok")), lane("b", 10, 30, ("tool", 10, 20, "ok"))]
    drawn = draw_lanes(lanes, [edge("a", "b", 10, 30)], 4 + 1 + 40 + 4, UNICODE, start_ns=0, now_ns=40 * NS)
    assert plain(drawn.lines[0])[5:45] == "█" * 10 + "┐" + "·" * 29
    assert plain(drawn.lines[1])[5:45] == " " * 10 + "└▶" + "▓" * 8 + "·" * 10 + "┘" + " " * 9


def test_an_error_is_never_hidden_by_the_next_bar() -> None:
    work = [("tool", second, second + 0.1, "error" if second == 5 else "ok") for second in (4.9, 5, 5.1, 5.2)]
    drawn = draw_lanes([lane("a", 0, 100, *work)], [], 49, UNICODE, start_ns=0, now_ns=100 * NS)
    assert "✗" in plain(drawn.lines[0])


def test_work_that_never_arrived_leaves_a_sign_where_it_was_sent() -> None:
    drawn = draw_lanes([lane("a", 0, 40)], [edge("a", "gone", 20, 0)], 49, UNICODE, start_ns=0, now_ns=40 * NS)
    assert plain(drawn.lines[0])[5 + 20] == "⊘"


def test_a_cascades_elbow_is_heavy() -> None:
    drawn = draw_lanes(LANES, DELEGATIONS, 100, UNICODE, start_ns=START_NS, now_ns=NOW_NS)
    text = [plain(line) for line in drawn.lines]
    assert "┗▶" in text[2]
    assert "└▶" in text[1]


def test_a_second_giver_is_a_reference_back() -> None:
    found = branches(DELEGATIONS)
    assert [b.row.delegation_id for b in found if b.row and b.is_again] == ["d9", "d7"]


def test_a_ring_of_delegations_is_drawn_once() -> None:
    ring = [edge("a", "b", 1, 0), edge("b", "c", 2, 0), edge("c", "a", 3, 0)]
    assert [b.label for b in branches(ring)] == ["a", "b", "c", "a"]


def span(span_id: str, start_s: int, end_s: int, depth: int = 1, **more: object) -> SpanRow:
    return SpanRow(span_id, "root", depth, "tool", "search", "a#1", "ok", start_s * NS, end_s * NS, **more)  # type: ignore[arg-type]


def test_five_equal_siblings_become_one_line_with_their_count() -> None:
    found = entries([span(str(index), index, index + 1) for index in range(5)], set(), 5 * NS)
    assert [entry.times for entry in found] == [5]
    opened = entries([span(str(index), index, index + 1) for index in range(5)], {"open 0"}, 5 * NS)
    assert [entry.times for entry in opened] == [1] * 5


def test_time_without_spans_is_a_line_of_its_own() -> None:
    found = entries([span("1", 0, 10), span("2", 60, 70)], set(), 70 * NS)
    assert [entry.gap_ns for entry in found] == [0, 50 * NS, 0]


def test_a_hand_over_and_the_work_that_it_gave_are_one_line_and_what_is_below_moves_out() -> None:
    spans = [
        SpanRow("root", "", 0, "agent", "invoke_agent boss", "boss#1", "ok", 0, 60 * NS, children=1),
        SpanRow("give", "root", 1, "delegation", "delegate worker", "boss#1", "ok", 10 * NS, 30 * NS, children=1),
        SpanRow(
            "work",
            "give",
            2,
            "agent",
            "invoke_agent worker",
            "worker#1",
            "ok",
            11 * NS,
            29 * NS,
            children=1,
            text="done",
        ),
        SpanRow("said", "work", 3, "model", "chat m", "worker#1", "ok", 12 * NS, 20 * NS, text="Sixty percent."),
        SpanRow("fail", "root", 1, "delegation", "delegate gone", "boss#1", "error", 40 * NS, 41 * NS),
    ]
    found = entries(spans, set(), 60 * NS)
    drawn = [
        plain(waterfall_line(each, 120, Scale(0, 60 * NS, Columns.of(120).chart), UNICODE, 60 * NS)) for each in found
    ]
    heads = [line[:36].rstrip() for line in drawn]
    assert heads[:3] == ["▾ boss#1  invoke_agent boss", "  ▾ ⇢ worker#1  done", "    █ Sixty percent."]
    assert [each.row.span_id for each in found if not each.gap_ns] == ["root", "work", "said", "fail"]
    assert found[1].given is spans[1] and "⇢ delegate gone" in heads[-1]


def test_a_folded_span_says_how_many_errors_it_hides() -> None:
    folded = entries(SPANS, {"a07e"}, NOW_NS)
    line = next(entry for entry in folded if entry.row.span_id == "a07e")
    assert line.errors == 4
    assert "✗4" in plain(waterfall_line(line, 120, Scale(START_NS, NOW_NS, Columns.of(120).chart), UNICODE, NOW_NS))


def test_ascii_draws_in_ascii() -> None:
    signs = signs_at("ascii")
    drawn = draw_lanes(LANES, DELEGATIONS, 100, signs, start_ns=START_NS, now_ns=NOW_NS, axis_lines=2)
    lines = [*drawn.axis, *drawn.lines, *(run_line(row, 112, 4, signs, NOW_NS) for row in RUNS)]
    lines += [branch_line(b, {}, 60, signs, START_NS) for b in branches(DELEGATIONS)]
    assert all(plain(line).isascii() for line in lines)


def test_quantities_are_written_one_way() -> None:
    assert [numbers.duration(ns) for ns in (38_000, 104_000_000, 4_800_000_000, 102 * NS, 1020 * NS, 8280 * NS)] == [
        "38 µs",
        "104 ms",
        "4.8 s",
        "102 s",
        "17 min",
        "2.3 h",
    ]
    assert [numbers.coarse(count) for count in (412, 2600, 184_200, 1_200_000)] == ["412", "2.6k", "184k", "1.2M"]
    assert [numbers.elapsed(seconds * NS) for seconds in (0, 102, 3723)] == ["00:00", "01:42", "1:02:03"]
    assert numbers.elapsed(4 * 86_400 * NS + 4 * 3600 * NS) == "4d 04h"
    assert [numbers.coarse(count) for count in (999.4, 999.5, 9_949, 9_951, 999_499, 999_500, 3e9, 4e13)] == [
        "999",
        "1.0k",
        "9.9k",
        "10k",
        "999k",
        "1.0M",
        "3.0G",
        "40000G",
    ]
    assert numbers.stamp(33_500_000_000) == "00:33.500"
    assert numbers.many(1, "run") == "1 run"


@given(st.integers(0, 10**15))
def test_a_duration_has_at_most_three_digits_and_a_unit(ns: int) -> None:
    value, unit = numbers.duration(ns).split(" ")
    assert unit in ("µs", "ms", "s", "min", "h")
    assert sum(char.isdigit() for char in value) <= 3 or unit == "h"


def test_an_instant_that_no_clock_knows_is_written_as_such() -> None:
    assert numbers.wall(NOW_NS, UTC, millis=True) == "14:02:11.000"
    assert {numbers.wall(at_ns, UTC) for at_ns in (10**22, 10**30, -(10**30), 10**400)} == {"--:--:--"}


def test_a_stale_run_is_a_question() -> None:
    assert plain(run_line(RUNS[0], 112, 4, UNICODE, NOW_NS, stale=True)).startswith("? stale")


def test_steps_and_alerts_of_the_story_say_what_happened() -> None:
    assert "✗ check_totals" in plain(
        step_line(next(s for s in STEPS if s.status == "error" and s.label == "reviewer#1"), "", 116, UNICODE)
    )
    assert plain(alert_line(ALERTS[0], 116, UNICODE, START_NS)).startswith("▲ A1")


def test_a_long_title_never_hides_which_run_a_screen_shows() -> None:
    crumbs = ["trajectory", "runs", "8048 Book a wheelchair accessible hotel in Lyon for two", "timeline"]
    for width in (60, 80, 120):
        line = plain(bars.header_line(crumbs, Health(state="live"), bars.Contact("live"), width, UNICODE))
        assert "8048 Book" in line
        assert line.index("8048") < line.index("timeline")


def test_a_label_that_is_cut_keeps_the_number_of_its_invocation() -> None:
    assert put_label("threadling#12", 11)[0] == "threadl…#12"
    assert put_label("short#1", 11)[0] == "short#1    "
    assert put_label("nameless-and-long", 8)[0] == "nameles…"


def test_a_run_that_was_over_within_a_second_says_its_milliseconds() -> None:
    assert numbers.took(58 * NS // 1000) == "58 ms"
    assert numbers.took(58 * NS // 1000, is_over=False) == "00:00"
    assert numbers.took(102 * NS) == "01:42"
    assert numbers.took(2800 * NS // 1000) == "2.8 s"
    assert numbers.instant(719 * NS // 1000, 3 * NS) == "00:00.719"
    assert numbers.instant(719 * NS // 1000, 300 * NS) == "00:00"


def test_of_completions_that_do_not_fit_the_chosen_one_is_shown_and_what_is_left_out_before_it_is_said() -> None:
    offers = [f"agent:worker-{number}" for number in range(30)]
    for chosen in (-1, 0, 3, 17, 29):
        line = bars.offers_line(offers, chosen, 60, UNICODE)
        shown = "".join(text for text, _, _ in line)
        assert cell_len(shown) == 60
        assert [text for text, role, _ in line if role == "found"] == offers[chosen : chosen + 1][:1]
        assert shown.startswith(" … ") == (chosen > 2)


def test_half_of_a_wide_character_at_either_end_of_a_part_is_a_space() -> None:
    row = [("a", ""), ("日", "strong"), ("", "strong"), ("本", ""), ("", ""), ("b", "")]
    parts = [plain(window(row, left, 3)) for left in range(-1, 6)]
    assert parts == [" a ", "a日", "日 ", " 本", "本b", " b ", "b  "]


@pytest.mark.parametrize("width", [6, 10, 20, 60])
def test_tabs_that_do_not_fit_lose_their_names_and_then_are_cut(width: int) -> None:
    tabs = [("a", "agents"), ("b", "graph"), ("c", "a name of an agent's own")]
    line = tabs_edge(tabs, "a", "1 of 9", width)
    holds([line], width)
    assert plain(line).startswith("[1 agents]"[: width - 1])
    assert ("2 graph" in plain(line), "1 of 9" in plain(line)) == (width == 60, width == 60)


def test_nothing_is_drawn_of_a_run_of_which_no_outline_came() -> None:
    assert density_lines(Outline(), 40, UNICODE) == [[], []]


def test_what_was_found_since_a_run_was_opened_is_counted() -> None:
    seen = msgspec.structs.replace(RUNS[0], steps=RUNS[0].steps - 1, errors=RUNS[0].errors - 2)
    assert [plain(line) for line in changes(RUNS[0], seen, None, UNICODE)] == [
        "Since you last opened it",
        "+  1 step",
        "+  2 errors",
    ]


def test_of_equal_siblings_their_count_is_drawn() -> None:
    found = entries([span(str(index), index, index + 1) for index in range(6)], set(), 6 * NS)
    assert "×6" in plain(waterfall_line(found[0], 80, Scale(0, 6 * NS, 20), UNICODE, 6 * NS))


def test_beside_the_lanes_a_span_says_what_went_wrong_and_how_much_more_of_a_body_there_is() -> None:
    view = span_view("3002")
    assert view is not None
    cut_one = Content("result", "text/plain", "d", "first\nsecond\nthird\nfourth", 5_000_000, True)
    whole = msgspec.structs.replace(cut_one, is_cut=False)
    for content, rest in ((cut_one, "more of 5.0 MB"), (whole, "2 more lines")):
        shown = msgspec.structs.replace(view, message="HTTP 503 \x1b[2J", contents=[content])
        lines = inspector_lines(shown, 50, UNICODE, start_ns=START_NS, when="00:31", now_ns=NOW_NS, most=2)
        failed = next(line for line in lines if line.is_error)
        assert "HTTP 503" in plain(failed.line) and failed.value == shown.message
        assert any(f"… {rest}: ⏎ opens it" in plain(line.line) for line in lines)
