"""One delegation as rows: the same over the wire, clean, bounded, and worked out for nobody who has not opened it."""

import msgspec
import pytest

from tests.collector.builders import TRACE, bench
from tests.collector.test_alert_rows import HOSTILE, rows_of
from tests.collector.test_views import run, tell
from tests.detection.stories import trip
from tests.detection.test_effectiveness import both
from tests.scenarios import Scenario
from trajectory.collector import crossings as room
from trajectory.collector import watching
from trajectory.collector.crossings import delegation_view
from trajectory.collector.uses import used_rows
from trajectory.detection.effectiveness import Effectiveness
from trajectory.graph.trace import tool_name
from trajectory.view.rows import Health
from trajectory.view.views import DelegationQuery, DelegationView, Missing, TraceQuery


def viewed(scenario: Scenario, number: int = 0) -> DelegationView:
    rows = rows_of(scenario)
    delegation = rows.trace.delegations()[number]
    view = delegation_view(rows, delegation.delegation_id.hex(), 1000, 1, Health())
    assert view is not None
    return view


def test_items_come_with_where_they_came_from_and_what_used_them_later() -> None:
    view = viewed(trip())
    item = next(i for i in view.items if i.change == "returned" and i.text == "H7")
    assert (item.before[0].label, item.before[0].what, item.before[0].name) == ("researcher#1", "tool result", "search")
    assert [(use.label, use.what) for use in item.uses[:2]] == [("planner#1", "said"), ("planner#1", "passed on")]
    assert item.uses_count >= len(item.uses)
    assert [c.slot for c in view.contents] == ["sent", "returned"]
    assert (view.number, view.total, view.previous_id) == (1, 2, "")
    assert viewed(trip(), 1).previous_id == view.row.delegation_id


def test_a_value_of_a_span_is_followed_to_the_later_spans_that_went_on_with_it() -> None:
    rows = rows_of(trip())
    search = next(s for s in rows.trace.spans.values() if s.name == "search" or tool_name(s) == "search")
    (followed,) = used_rows(rows, search, "of all of it, H7")
    assert followed.value == "H7" and ("planner#1", "passed on") in [(use.label, use.what) for use in followed.uses]
    assert search.span_id.hex() not in [use.span_id for use in followed.uses]
    assert "H7" in [row.value for row in used_rows(rows, search, "")]
    for span in rows.trace.spans.values():  # each value once, however often the span says it
        values = [(row.kind, row.value) for row in used_rows(rows, span, "")]
        assert len(values) == len(set(values))
    assert used_rows(rows, search, "a word") == []


def test_of_many_between_the_two_the_latest_are_summed_up_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Scenario()
    with run.agent("planner", task="Find three hotels"):
        for city in ("Lyon", "Nice", "Metz"):
            with run.delegate("researcher", task=f"Find a hotel in {city}"):
                run.returns(f"One in {city}.")
    monkeypatch.setattr(room, "_MAX_BETWEEN_COUNT", 2)
    view = viewed(run)
    assert view.between is not None and (view.between.delegations, view.between_total) == (2, 3)


def test_a_task_that_came_otherwise_than_it_was_sent_is_shown_as_both() -> None:
    assert [c.slot for c in viewed(trip(heard="Find a hotel.")).contents] == ["sent", "received", "returned"]


def test_each_agent_that_one_call_asks_has_a_row_and_a_page_of_its_own() -> None:
    rows = rows_of(both({"researcher": "H7 is free.", "scout": "R22 and R23 are."}, "H7 is free. R22 and R23 are."))
    ids = [row.delegation_id for row in rows.delegation_rows()]
    pages = [delegation_view(rows, each, 1000, 1, Health()) for each in ids]
    assert [(p.row.target, p.number, p.figures.returned, p.contents[-1].text) for p in pages if p is not None] == [
        ("researcher#1", 1, 1, "H7 is free."),
        ("scout#1", 2, 2, "R22 and R23 are."),
    ]
    assert len({p.next_id or p.previous_id for p in pages if p is not None}) == 2


def test_what_was_not_captured_is_named_by_its_side() -> None:
    view = viewed(trip(captures=False))
    assert view.items == [] and view.figures.needed is None
    assert {side for side, _ in view.hidden} == {"held", "sent", "got", "back", "used"}


def test_a_delegation_comes_over_the_wire_as_it_was_and_only_when_it_changed() -> None:
    query = DelegationQuery(TRACE.hex(), "")
    with bench() as collector:
        tell(collector, run().facts)
        shown = collector.publisher.answer(TraceQuery(TRACE.hex()), -1)
        query = msgspec.structs.replace(query, delegation_id=shown.delegations[0].delegation_id)  # type: ignore[union-attr]
        assert watching.read_query(msgspec.msgpack.encode(query)) == query
        view = collector.publisher.answer(query, -1)
        assert isinstance(view, DelegationView)
        assert watching.read_answer(watching.answer(1, view)).view == view
        assert collector.publisher.answer(query, view.version) is None
        for wrong in ("", "zz", "00" * 8, "00" * 4000):
            unknown = collector.publisher.answer(msgspec.structs.replace(query, delegation_id=wrong), -1)
            assert isinstance(unknown, Missing)


def test_nothing_is_worked_out_for_a_run_of_which_no_delegation_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    with bench() as collector:
        tell(collector, run().facts)
        monkeypatch.setattr(Effectiveness, "__init__", lambda self, trace: made.append(trace))
        assert collector.publisher.answer(TraceQuery(TRACE.hex(), suspects=5, spans=50), -1) is not None
    assert made == []


def test_rows_are_clean_and_bounded_whatever_agents_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_ITEMS_COUNT", 5)
    monkeypatch.setattr(room, "MAX_USES_COUNT", 2)
    many = " ".join(f"X-{n:04d}" for n in range(50))
    scenario = Scenario()
    with scenario.agent("planner", task=f"{HOSTILE} {many}"):
        scenario.says(many)
        with scenario.delegate(HOSTILE, f"“{HOSTILE}” {many}"):
            for _ in range(6):
                scenario.says(f"{many} {HOSTILE}")
        scenario.says("Done.")
    view = viewed(scenario)
    assert len(view.items) == 5 and view.items_total >= 50
    assert all(len(i.uses) <= 2 < i.uses_count for i in view.items)
    rows = [
        view.row.target,
        *(t for i in view.items for t in (i.text, i.held, i.sent, i.got, i.key, *(u.label for u in i.uses))),
    ]
    for text in rows:
        assert len(text) < 1000
        assert not any(ord(char) < 32 or char in "\u202e\x9b" for char in text)


def test_a_value_that_a_span_says_in_two_bodies_is_followed_once() -> None:
    run = Scenario()
    with run.agent("planner", task="Find a hotel"):
        found = run.opens("tool", "dig", contents={})
        run.ends(found, result="H7 costs 812 EUR", returned="so H7 it is, at 812 EUR")
        run.says("I take H7 at 812 EUR.")
    rows = rows_of(run)
    values = [row.value for row in used_rows(rows, rows.trace.spans[found], "")]
    assert "H7" in values and len(values) == len(set(values))
