"""Alerts group findings by what they are and where they began, keep their numbers, and remember what an operator said."""

import pytest

from tests.collector.builders import NOW_NS, SOURCE, TRACE, finding, started
from trajectory.alerting.alerts import alert_key, alerts_of
from trajectory.graph.trace import Trace
from trajectory.model.fact import Fact, Finding, Found, Marked
from trajectory.view.muting import key_of_agent, key_of_kind


def trace_with(*findings: Finding, marks: tuple[Marked, ...] = ()) -> Trace:
    trace = Trace(TRACE)
    facts: list[Fact] = [started(1), *(Found(NOW_NS + n, f) for n, f in enumerate(findings)), *marks]
    for fact in facts:
        trace.apply(fact, SOURCE)
    return trace


def test_findings_of_one_kind_at_one_root_are_one_alert() -> None:
    trace = trace_with(
        finding(1, "context.lost", value="900 EUR"),
        finding(1, "context.lost", value="step-free"),
        finding(1, "cascade"),
        finding(2, "context.lost", value="900 EUR"),
    )
    assert [(a.key, a.values) for a in alerts_of(trace)] == [
        (alert_key(finding(1, "context.lost")), ["900 EUR", "step-free"]),
        (alert_key(finding(1, "cascade")), []),
        (alert_key(finding(2, "context.lost")), ["900 EUR"]),
    ]


def test_where_it_began_stands_over_where_it_was_seen() -> None:
    seen = [finding(n, root_span_id=b"root-id1") for n in (1, 2)]
    (alert,) = alerts_of(trace_with(*seen))
    assert len(alert.findings) == 1, "one root and one value are one finding, the later one grown"


def test_the_worst_and_surest_finding_stands_for_all() -> None:
    weak = finding(1, "c", severity="info", confidence=0.99, value="a")
    unsure = finding(1, "c", severity="critical", confidence=0.2, value="b")
    sure = finding(1, "c", severity="critical", confidence=0.8, value="c")
    (alert,) = alerts_of(trace_with(weak, unsure, sure))
    assert (alert.chief, alert.severity, alert.values) == (sure, "critical", ["c", "b", "a"])


def test_an_alert_keeps_its_number_whatever_is_found_later_however_early_that_began() -> None:
    late, early = finding(5, at_ns=NOW_NS + 5), finding(1, at_ns=NOW_NS + 1)
    (before,) = alerts_of(trace_with(late))
    assert [(a.alert_id, a.key) for a in alerts_of(trace_with(late, early))] == [
        ("A2", alert_key(early)),
        (before.alert_id, alert_key(late)),
    ]


def test_an_alert_keeps_its_number_while_it_grows() -> None:
    first, second = finding(1, at_ns=NOW_NS + 1, value="a"), finding(2, at_ns=NOW_NS + 2)
    before = [a.alert_id for a in alerts_of(trace_with(first, second))]
    grown = alerts_of(trace_with(first, second, finding(1, at_ns=NOW_NS + 9, value="b")))
    assert [a.alert_id for a in grown] == before
    assert [len(a.findings) for a in grown] == [2, 1]


@pytest.mark.parametrize(
    ("actions", "state"),
    [
        ([], "open"),
        (["acknowledge"], "acknowledged"),
        (["acknowledge", "mute"], "muted"),
        (["mute", "reopen"], "open"),
        (["a newer word"], "open"),
    ],
)
def test_the_latest_mark_decides_whatever_order_marks_come_in(actions: list[str], state: str) -> None:
    key = alert_key(finding(1))
    marks = tuple(Marked(TRACE, NOW_NS + n, key, action) for n, action in enumerate(actions))
    for told in (marks, marks[::-1]):
        (alert,) = alerts_of(trace_with(finding(1), marks=told))
        assert alert.state == state


def test_a_mark_may_be_about_a_kind_or_an_agent_and_the_latest_that_counts_decides() -> None:
    found = [finding(1, "loop", agent="a"), finding(2, "loop", agent="b"), finding(3, "cascade", agent="a")]
    kind, agent = key_of_kind("loop"), key_of_agent("loop", "a")

    def states(now_ns: int, *marks: Marked) -> list[tuple[str, str]]:
        alerts = alerts_of(trace_with(*found, marks=marks), now_ns)
        return sorted((alert.key, alert.state) for alert in alerts if alert.state != "open")

    mute_kind = Marked(TRACE, NOW_NS, kind, "mute")
    one, other = alert_key(found[0]), alert_key(found[1])
    assert states(NOW_NS, mute_kind) == [(one, "muted"), (other, "muted")]
    assert states(NOW_NS, Marked(TRACE, NOW_NS, agent, "mute")) == [(one, "muted")]
    assert states(NOW_NS, mute_kind, Marked(TRACE, NOW_NS + 1, one, "reopen")) == [(other, "muted")]
    assert states(NOW_NS, mute_kind, Marked(TRACE, NOW_NS + 1, kind, "reopen")) == []
    for_a_while = Marked(TRACE, NOW_NS + 1, agent, "mute", until_ns=NOW_NS + 10)
    known = Marked(TRACE, NOW_NS, one, "acknowledge")
    assert states(NOW_NS + 9, known, for_a_while) == [(one, "muted")]
    assert states(NOW_NS + 10, known, for_a_while) == [(one, "acknowledged")]


def test_a_severity_from_a_newer_writer_ranks_lowest_and_is_shown() -> None:
    (alert,) = alerts_of(trace_with(finding(1, severity="apocalyptic")))
    assert alert.severity == "apocalyptic"
