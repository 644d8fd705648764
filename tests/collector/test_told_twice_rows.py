"""What two instrumentations tell of one call is one row, one bar and one step on every screen, live and in replay."""

import msgspec

from tests.collector.builders import NOW_NS
from tests.dialects.build import TRACE_ID, span_id
from tests.dialects.test_told_twice import run_under_two
from trajectory.collector.folded import FoldedTrace
from trajectory.collector.reading import Reading
from trajectory.collector.rows import TraceRows
from trajectory.collector.spans import place_around, span_rows, span_view
from trajectory.collector.trajectories import lines_of
from trajectory.model.fact import Payload
from trajectory.view.rows import Health
from trajectory.view.views import TraceQuery


def rows_of_run() -> TraceRows:
    bodies: dict[bytes, tuple[str, bytes]] = {}
    folded = FoldedTrace(TRACE_ID, bodies.get, ())
    for batch in run_under_two():
        for fact in batch.facts:
            if isinstance(fact, Payload):
                bodies[fact.digest] = (fact.media_type, fact.body)
            else:
                folded.apply(fact, batch.source)
    return TraceRows(folded, NOW_NS, is_live=False)


def ids(*numbers: int) -> list[str]:
    return [span_id(number).hex() for number in numbers]


def test_each_call_is_one_row_one_step_and_one_bar() -> None:
    rows = rows_of_run()
    spans = span_rows(rows)
    assert [row.span_id for row in spans] == ids(1, 3, 5, 7)
    assert [(row.depth, row.children, row.descendants) for row in spans] == [(0, 1, 3), (1, 1, 2), (2, 1, 1), (3, 0, 0)]
    assert [row.parent_id for row in spans] == ["", *ids(1, 3, 5)]
    assert rows.trace_row().steps == 4
    assert [[bar.span_id for bar in lane.bars] for lane in rows.lanes()] == [[], ids(7)]
    assert {step.span_id for step in rows.tail(99)} == {*ids(1, 3, 5, 7)}
    for invocation, steps in zip(rows.trace.invocations(), (["receive", "delegate", "answer", "return"],
                                                          ["receive", "tool", "return"]), strict=True):  # fmt: skip
        assert [line.what for line in lines_of(rows, invocation).all] == steps


def test_a_replay_that_has_come_to_the_end_counts_as_the_run_does() -> None:
    rows = rows_of_run()
    reading = Reading(rows, 1)
    for _ in reading.read():
        pass
    assert {step.span.span_id.hex() for step in reading.steps} == {*ids(1, 3, 5, 7)}
    assert [[bar.span_id for bar in lane.bars] for lane in reading.lanes] == [[], ids(7)]


def test_whoever_asks_for_an_echo_gets_the_call_with_all_that_is_known_of_it() -> None:
    rows = rows_of_run()
    assert place_around(rows, TraceQuery(TRACE_ID.hex(), around=ids(4)[0])) == (1, ids(3)[0])
    seen = span_view(rows, rows.trace.spans[span_id(4)], 99, 1, Health())
    assert seen.row == msgspec.structs.replace(span_rows(rows)[1], descendants=seen.row.descendants)
    assert {content.slot for content in seen.contents} == {"arguments", "result"}
    assert ("gen_ai.tool.call.id", "c1") in seen.attributes  # which only the echo says
