"""Rules of reading a whole trace again."""

from tests.scenarios import START_NS, Scenario
from trajectory.detection.pace import SHORT_COUNT, Pace
from trajectory.graph.trace import Trace
from trajectory.model.fact import Finding, Found


def live_trace(count: int) -> tuple[Scenario, Trace]:
    run = Scenario()
    run.opens("agent", "worker", agent="worker")
    for _ in range(count - 1):
        run.tool("dig", result="done")
    return run, run.trace()


def grow(run: Scenario, trace: Trace, count: int) -> None:
    known = len(run.facts)
    for _ in range(count):
        run.tool("dig", result="done")
    for fact in run.facts[known:]:
        trace.apply(fact, run.source)


def test_a_short_trace_is_read_whenever_it_changed_and_only_then() -> None:
    run, trace = live_trace(10)
    pace = Pace()
    assert [pace.is_due(trace, START_NS), pace.is_due(trace, START_NS)] == [True, False]
    grow(run, trace, 1)
    assert pace.is_due(trace, START_NS)


def test_a_long_trace_waits_for_a_tenth_more() -> None:
    run, trace = live_trace(SHORT_COUNT)
    pace = Pace()
    assert pace.is_due(trace, START_NS)
    grow(run, trace, SHORT_COUNT // 10 - 1)
    assert not pace.is_due(trace, START_NS)
    grow(run, trace, 1)
    assert pace.is_due(trace, START_NS)


def test_a_long_trace_that_grew_a_little_is_read_after_a_while() -> None:
    run, trace = live_trace(SHORT_COUNT)
    pace = Pace()
    pace.is_due(trace, START_NS)
    late_ns = START_NS + 2_000_000 * 2 * SHORT_COUNT
    grow(run, trace, SHORT_COUNT // 50 - 1)
    assert not pace.is_due(trace, late_ns)
    grow(run, trace, 1)
    assert not pace.is_due(trace, START_NS + 1)
    assert pace.is_due(trace, late_ns)


def test_a_complete_trace_is_read_at_once() -> None:
    run, trace = live_trace(SHORT_COUNT)
    pace = Pace()
    pace.is_due(trace, START_NS)
    known = len(run.facts)
    run.ends(run.names["worker"])
    trace.apply(run.facts[known], run.source)
    assert pace.is_due(trace, START_NS)


def test_a_finding_is_no_reason_to_read_a_trace_again() -> None:
    run, trace = live_trace(10)
    pace = Pace()
    pace.is_due(trace, START_NS)
    root = next(iter(trace.spans))
    trace.apply(Found(START_NS, Finding("k", "info", 1.0, trace.trace_id, root, "m")), run.source)
    assert len(trace.findings) == 1
    assert not pace.is_due(trace, START_NS)
