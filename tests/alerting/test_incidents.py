"""Rules of incidents: findings that are alike are one thing, which opens, grows, is marked, and is over."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.builders import NOW_NS, SECOND_NS, finding
from trajectory.alerting.alerts import alert_key
from trajectory.alerting.incidents import Change, Incident, Incidents
from trajectory.alerting.message import message_of
from trajectory.alerting.policy import Policy, Rule
from trajectory.model.fact import Finding, Marked
from trajectory.model.words import ENDED_AT
from trajectory.view.muting import key_of_agent, key_of_kind

ANY = Policy()
MINUTE_NS = 60 * SECOND_NS


def trace(number: int) -> bytes:
    return number.to_bytes(16, "big")


def told(changes: list[Change]) -> list[str]:
    return [change.action for change in changes]


def fold(policy: Policy, *found: tuple[Finding, int]) -> tuple[Incidents, list[str]]:
    incidents = Incidents()
    said: list[str] = []
    for one, at_ns in found:
        said += told(incidents.take(one, "svc", at_ns, policy))
    return incidents, said


def only(incidents: Incidents) -> Incident:
    (incident,) = incidents.all
    return incident


def test_findings_that_are_alike_are_one_incident_over_all_runs_and_one_that_grows_is_no_second() -> None:
    grown = finding(1, agent="a", trace_id=trace(1), message="worse words")
    found = [finding(n, agent="a", trace_id=trace(n % 3)) for n in range(1, 10)]
    incidents, said = fold(ANY, *((one, NOW_NS + n) for n, one in enumerate([*found, grown, grown])))
    one = only(incidents)
    assert said == ["open"]
    assert (one.count, one.trace_count, one.last_ns, one.message) == (9, 3, NOW_NS + 10, "worse words")
    incidents.take(finding(1, agent="b"), "svc", NOW_NS, ANY)
    incidents.take(finding(1, agent="a"), "other", NOW_NS, ANY)
    assert len(incidents.all) == 3


def test_below_its_severity_nothing_becomes_an_incident_and_one_that_gets_worse_is_told_again() -> None:
    assert fold(ANY, (finding(severity="info"), NOW_NS))[1] == []
    worse = [(finding(1, severity="warning"), NOW_NS), (finding(2, severity="critical"), NOW_NS + 1)]
    incidents, said = fold(ANY, *worse, (finding(3, severity="critical"), NOW_NS + 2))
    assert said == ["open", "worse"] and only(incidents).severity == "critical"


def test_what_is_less_grave_counts_and_leaves_what_the_incident_says() -> None:
    grave = finding(1, severity="critical", trace_id=trace(1), message="grave words")
    light = finding(2, severity="warning", trace_id=trace(2), message="light words")
    one = only(fold(ANY, (grave, NOW_NS), (light, NOW_NS + 1))[0])
    assert (one.count, one.trace_count, one.severity, one.message) == (2, 2, "critical", "grave words")
    assert one.trace_id == trace(1).hex()


def test_a_rate_and_a_duration_have_to_be_reached_first() -> None:
    rate = Policy([Rule(rate="3 in 1m")])
    slow = [(finding(n), NOW_NS + n * 40 * SECOND_NS) for n in range(1, 6)]
    assert fold(rate, *slow)[1] == []
    assert fold(rate, *slow, (finding(9), slow[-1][1] + SECOND_NS))[1] == ["open"]
    lasting = Policy([Rule(for_="5m")])
    assert fold(lasting, *((finding(n), NOW_NS + n * MINUTE_NS) for n in range(1, 6)))[1] == []
    assert fold(lasting, *((finding(n), NOW_NS + n * MINUTE_NS) for n in range(1, 8)))[1] == ["open"]


def test_it_is_over_when_nothing_came_for_so_long_and_what_comes_then_is_another() -> None:
    policy = Policy([Rule(close_after="10m", repeat="4m")])
    incidents, _ = fold(policy, (finding(1), NOW_NS))
    first = only(incidents).id
    assert told(incidents.pass_time(NOW_NS + 5 * MINUTE_NS, policy)) == ["repeat"]
    assert told(incidents.pass_time(NOW_NS + 6 * MINUTE_NS, policy)) == []
    assert told(incidents.pass_time(NOW_NS - 99 * MINUTE_NS, policy)) == []  # the clock was set back
    (closed,) = incidents.pass_time(NOW_NS + 10 * MINUTE_NS, policy)
    assert (closed.action, closed.incident.state, incidents.all) == ("close", "closed", [])
    incidents.take(finding(1), "svc", NOW_NS + 11 * MINUTE_NS, policy)
    assert only(incidents).id != first


def test_a_pending_one_ends_without_a_word() -> None:
    policy = Policy([Rule(rate="3 in 1m", close_after="5m")])
    incidents, _ = fold(policy, (finding(1), NOW_NS))
    assert incidents.pass_time(NOW_NS + 5 * MINUTE_NS, policy) == [] and incidents.all == []


def lasting(number: int = 1, ended_ns: int = 0, **more: Any) -> Finding:
    return finding(number, attributes={ENDED_AT: ended_ns}, **more)


def test_what_lasts_holds_its_incident_open_until_it_is_over_and_that_is_told_once() -> None:
    policy = Policy([Rule(close_after="10m")])
    incidents, said = fold(policy, (lasting(1, agent="a"), NOW_NS), (lasting(2, agent="a"), NOW_NS + 1))
    assert said == ["open"] and incidents.pass_time(NOW_NS + 60 * MINUTE_NS, policy) == []
    incidents = Incidents(incidents.all)  # over a restart
    over = [lasting(n, NOW_NS + MINUTE_NS, agent="a", message=f"over {n}") for n in (1, 2)]
    assert incidents.take(over[1], "svc", NOW_NS + 61 * MINUTE_NS, policy) == []
    (closed,) = incidents.take(over[0], "svc", NOW_NS + 62 * MINUTE_NS, policy)
    assert (closed.action, closed.incident.message, incidents.all) == ("close", "over 2", [])
    assert [incidents.take(one, "svc", NOW_NS + 63 * MINUTE_NS, policy) for one in over] == [[], []]
    assert incidents.all == [] and incidents.pass_time(NOW_NS + 99 * MINUTE_NS, policy) == []


def test_an_end_does_not_close_what_else_goes_wrong_and_one_that_never_comes_holds_nothing_open_for_ever() -> None:
    policy = Policy([Rule(close_after="10m")])
    incidents, _ = fold(policy, (lasting(1), NOW_NS), (finding(2), NOW_NS + MINUTE_NS))
    assert incidents.take(lasting(1, NOW_NS), "svc", NOW_NS + 2 * MINUTE_NS, policy) == []
    assert told(incidents.pass_time(NOW_NS + 11 * MINUTE_NS, policy)) == ["close"]
    incidents, _ = fold(policy, (lasting(1), NOW_NS))
    assert told(incidents.pass_time(NOW_NS + 8 * 24 * 60 * MINUTE_NS, policy)) == ["close"]


def test_what_is_marked_in_a_run_is_marked_for_all_and_a_mute_ends() -> None:
    found = finding(1, agent="a")
    incidents, _ = fold(ANY, (found, NOW_NS))
    one, key = only(incidents), alert_key(found)
    assert told(incidents.mark(Marked(found.trace_id, NOW_NS, key, "acknowledge"))) == ["acknowledge"]
    assert one.shown_state(NOW_NS) == "acknowledged"
    assert told(incidents.take(finding(2, agent="a"), "svc", NOW_NS + 1, ANY)) == []
    incidents.mark(Marked(found.trace_id, NOW_NS, key, "reopen"))
    assert one.shown_state(NOW_NS) == "open"
    until_ns = NOW_NS + MINUTE_NS
    incidents.mark(Marked(found.trace_id, NOW_NS, key_of_agent("cascade", "a"), "mute", until_ns=until_ns))
    assert (one.shown_state(NOW_NS), one.shown_state(until_ns)) == ("muted", "open")
    assert incidents.mark(Marked(trace(9), NOW_NS, key, "acknowledge")) == []


def test_a_mute_outlives_its_incident_and_counts_for_what_opens_in_its_place() -> None:
    found, later = finding(1, agent="a"), finding(2, agent="a", trace_id=trace(2))
    incidents, _ = fold(ANY, (found, NOW_NS))
    incidents.mark(Marked(found.trace_id, NOW_NS, alert_key(found), "mute"))
    assert told(incidents.pass_time(NOW_NS + 40 * MINUTE_NS, ANY)) == ["close"]
    incidents = Incidents((), incidents.mutes)  # over a restart
    assert told(incidents.take(later, "svc", NOW_NS + 50 * MINUTE_NS, ANY)) == []
    assert only(incidents).shown_state(NOW_NS + 50 * MINUTE_NS) == "muted"
    incidents.mark(Marked(later.trace_id, NOW_NS, alert_key(later), "reopen"))
    assert told(incidents.pass_time(NOW_NS + 51 * MINUTE_NS, ANY)) == ["open"]


def test_a_finding_that_is_taken_back_is_none_and_the_last_one_ends_its_incident() -> None:
    one, other = finding(1, agent="a", severity="warning"), finding(2, agent="a", severity="warning")
    incidents, _ = fold(ANY, (one, NOW_NS), (other, NOW_NS))
    late = [msgspec.structs.replace(each, severity="info", message="it was late") for each in (one, other)]
    assert told(incidents.take(late[0], "svc", NOW_NS + 1, ANY)) == [] and only(incidents).count == 1
    assert told(incidents.take(late[0], "svc", NOW_NS + 2, ANY)) == [] and only(incidents).count == 1
    incidents = Incidents(incidents.all)  # over a restart
    (over,) = incidents.take(late[1], "svc", NOW_NS + 3, ANY)
    assert (over.action, over.incident.message, incidents.all) == ("close", "it was late", [])
    assert fold(ANY, (late[0], NOW_NS))[1] == []
    rate = Policy([Rule(rate="2 in 1m")])
    assert fold(rate, (one, NOW_NS), (late[0], NOW_NS), (other, NOW_NS))[1] == []


def test_a_clock_that_was_ahead_keeps_nothing_waiting_until_it_is_there_again() -> None:
    policy, day_ns = Policy([Rule(for_="5m", close_after="10m", repeat="5m")]), 24 * 60 * MINUTE_NS
    incidents, said = fold(policy, *((finding(n), NOW_NS + day_ns + n * MINUTE_NS) for n in range(3)))
    assert said == []
    for minute in range(7):
        said += told(incidents.take(finding(9 + minute), "svc", NOW_NS + minute * MINUTE_NS, policy))
    assert said == ["open"]
    for ahead in ([], [(finding(n), NOW_NS + day_ns + n * MINUTE_NS) for n in range(7)]):
        incidents = fold(policy, *ahead)[0] if ahead else incidents
        after = [told(incidents.pass_time(NOW_NS + minute * MINUTE_NS, policy)) for minute in range(7, 20)]
        assert [action for actions in after for action in actions][-2:] == ["repeat", "close"], after


def test_what_is_muted_before_it_comes_is_told_when_the_mute_ends() -> None:
    found = finding(1, agent="a")
    incidents = Incidents()
    incidents.mark(Marked(found.trace_id, NOW_NS, key_of_kind("cascade"), "mute", until_ns=NOW_NS + MINUTE_NS))
    incidents = Incidents((), incidents.mutes)  # over a restart
    assert told(incidents.take(found, "svc", NOW_NS + 1, ANY)) == []
    assert told(incidents.take(finding(1, trace_id=trace(2), agent="b"), "svc", NOW_NS + 1, ANY)) == ["open"]
    assert told(incidents.pass_time(NOW_NS + MINUTE_NS, ANY)) == ["open"]


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trajectory.alerting.incidents.MAX_INCIDENTS", 2)
    monkeypatch.setattr("trajectory.alerting.incidents._MAX_MUTES", 2)
    incidents, said = fold(ANY, *((finding(n, agent=f"a{n}"), NOW_NS + n) for n in range(3)))
    assert said == ["open", "open", "open", "close"] and [one.agent for one in incidents.all] == ["a1", "a2"]
    for n in range(3):
        incidents.mark(Marked(trace(9), NOW_NS, f"key-{n}", "mute"))
    assert [name.split()[1] for name, _ in incidents.mutes] == ["key-1", "key-2"]


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), st.sampled_from(["info", "warning", "critical"]),
                          st.integers(0, 40)), max_size=30), st.integers(0, 30))  # fmt: skip
def test_incidents_go_on_after_a_restart_as_if_there_had_been_none(
    story: list[tuple[int, int, str, int]], at: int
) -> None:
    policy = Policy([Rule(rate="2 in 10m", close_after="20m", group_by=["kind", "agent"])])
    whole, said = Incidents(), []
    parted, said_parted = Incidents(), []
    now_ns = NOW_NS
    for number, (span, agent, severity, minutes) in enumerate(story):
        if number == at:
            parted = Incidents(parted.all, parted.mutes)
        now_ns += minutes * MINUTE_NS
        one = finding(span, severity=severity, agent=f"a{agent}", value=str(number))
        for incidents, into in ((whole, said), (parted, said_parted)):
            into += [(c.action, c.incident.id) for c in incidents.pass_time(now_ns, policy)]
            into += [(c.action, c.incident.id) for c in incidents.take(one, "", now_ns, policy)]
    assert said == said_parted
    assert {i.id: i.count for i in whole.all} == {i.id: i.count for i in parted.all}


def test_a_message_is_bounded_and_holds_neither_control_codes_nor_secrets() -> None:
    key = "sk-ant-api03-" + "Zm9vYmFyYmF6cXV4" * 6 + "AA"
    evil = finding(1, agent="\x1b[31mred\x07", message=f"leaked {key} \x1b]0;x\x07" + "long " * 500, kind="k" * 999)
    message = message_of(only(fold(ANY, (evil, NOW_NS))[0]), "open")
    assert key[:20] not in str(message) and not any(c in str(message) for c in "\x1b\x07")
    assert len(message.line) < 800 and message.link.startswith("trajectory://")
