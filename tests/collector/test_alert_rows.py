"""What is said of an alert beyond its findings: the way from agent to agent, how far it came, and what is not known."""

from typing import Any

import msgspec
import pytest

from tests.scenarios import Scenario
from trajectory.collector.alert_rows import alert_rows
from trajectory.collector.folded import FoldedTrace
from trajectory.collector.rows import TraceRows
from trajectory.detection.cascade import Cascades
from trajectory.model.fact import Evidence, Fact, Finding, Found, Payload
from trajectory.view.rows import AlertRow

HOSTILE = "\x1b[31mred\x1b]0;title\x07\u202eevil\n\x00<b>[bold]"


def told(captures_content: bool = True) -> Scenario:
    """A planner asks research, whose page fails; research makes a price up, the planner passes it to a writer and on."""
    run = Scenario(captures_content=captures_content)
    with run.agent("planner", task="What is the rate?"):
        with run.delegate("research", task="Find the rate."):
            run.tool("fetch_page", {"url": "x"}, result="Error: 503 Service Unavailable")
            run.says("The rate is 4711.25 EUR.")
        with run.delegate("writer", task="Write that the rate is 4711.25 EUR."):
            run.says("We pay 4711.25 EUR.")
        run.says("The answer is 4711.25 EUR.")
    return run


def rows_of(run: Scenario, *findings: Finding, is_live: bool = False) -> TraceRows:
    facts: list[Fact] = [*run.facts, *(Found(run.now_ns, finding) for finding in findings)]
    bodies = {f.digest: (f.media_type, f.body) for f in run.facts if isinstance(f, Payload)}
    folded = FoldedTrace(run.trace_id, bodies.get, [Cascades] if not findings else [])
    for fact in facts:
        if not isinstance(fact, Payload):
            folded.apply(fact, run.source)
    for finding in [] if findings else folded.settle(run.now_ns):
        folded.apply(Found(run.now_ns, finding), run.source)
    return TraceRows(folded, run.now_ns, is_live)


def named(run: Scenario, *names: str) -> list[bytes]:
    """Ids of the first spans of these names."""
    spans = run.trace().spans.values()
    return [next(span.span_id for span in spans if span.name == name) for name in names]


def chats_of(run: Scenario) -> list[bytes]:
    """Ids of the model calls: of research, of the writer, of the planner."""
    return [span.span_id for span in run.trace().spans.values() if span.name == "chat"]


def found(run: Scenario, path: list[bytes], **more: Any) -> Finding:
    return Finding(
        more.pop("kind", "cascade"),
        more.pop("severity", "critical"),
        0.9,
        run.trace_id,
        path[0] if path else named(run, "fetch_page")[0],
        more.pop("message", "it went wrong"),
        root_span_id=path[0] if path else b"",
        path=path,
        **more,
    )


def the_alert(rows: TraceRows) -> AlertRow:
    return next(row for row in alert_rows(rows) if row.kind == "cascade")


def test_a_path_says_at_each_change_of_agent_how_the_fault_came_and_by_which_delegation() -> None:
    run = told()
    sent = [d.delegation_id for d in run.trace().delegations()]
    chats = chats_of(run)
    path = [*named(run, "fetch_page"), chats[0], sent[1], chats[1], chats[2]]
    alert = the_alert(rows_of(run, found(run, path)))
    assert [(step.label, step.way) for step in alert.path] == [
        ("research#1", ""),
        ("research#1", ""),
        ("planner#1", "answer"),
        ("writer#1", "task"),
        ("planner#1", "answer"),
    ]
    assert [step.delegation_id for step in alert.path] == ["", "", sent[0].hex(), sent[1].hex(), sent[1].hex()]
    assert alert.ending == "answer"
    assert alert.affected_agents == ["research#1", "planner#1", "writer#1"]
    assert alert.path[1].text == "The rate is 4711.25 EUR."


def test_both_ends_of_a_hand_over_are_named_with_their_numbers_in_the_direction_of_the_work() -> None:
    run = told()
    sent = [d.delegation_id for d in run.trace().delegations()]
    chats = chats_of(run)
    findings = [
        found(run, [], kind="context.lost", agent="research", peer_agent="planner"),
        found(run, [], kind="context.stale", agent="planner", peer_agent="writer"),
        found(run, [], kind="flow.orphan", agent="planner", peer_agent="editor"),
    ]
    spans = [chats[0], sent[1], chats[2]]
    findings = [msgspec.structs.replace(each, span_id=at) for each, at in zip(findings, spans, strict=True)]
    said = {row.kind: row.summary.partition("  ")[0] for row in alert_rows(rows_of(run, *findings))}
    assert said == {
        "context.lost": "planner#1 ⇢ research#1",
        "context.stale": "planner#1 ⇢ writer#1",
        "flow.orphan": "editor ⇢ planner#1",
    }


def test_the_real_detectors_cascade_ends_in_the_answer_and_knows_its_gate() -> None:
    alert = the_alert(rows_of(told()))
    assert alert.ending == "answer"
    assert alert.path[0].name == "fetch_page"
    ways = [step.way for step in alert.path if step.way]
    assert ways and "words" not in ways
    assert "writer#1" not in [step.label for step in alert.path]
    assert [(step.label, step.text) for step in alert.beside if step.way] == [("writer#1", "We pay 4711.25 EUR.")]


def test_an_exception_that_went_up_ends_the_run_and_shows_above_when_it_came_there() -> None:
    run = Scenario()
    boom = ("ValueError", "no such row")
    with run.agent("planner", task="go", error=boom), run.delegate("research", task="look", error=boom):
        run.tool("query", {"q": 1}, error=boom)
    alert = the_alert(rows_of(run))
    assert alert.ending == "run"
    assert [step.way for step in alert.path if step.way] == ["error"]
    times = [step.at_ns for step in alert.path]
    assert times == sorted(times)
    assert {step.status for step in alert.path} == {"error"}


def test_a_step_says_what_its_evidence_quotes_before_what_came_out() -> None:
    run = told()
    path = named(run, "fetch_page", "chat")
    alert = the_alert(rows_of(run, found(run, path, evidence=[Evidence(path[1], "rate is 4711.25")])))
    assert alert.path[1].text == "rate is 4711.25"
    assert "503" in alert.path[0].text


@pytest.mark.parametrize(
    ("severity", "is_live", "ending"), [("warning", False, "stopped"), ("critical", False, "answer")]
)
def test_where_a_path_ended_is_said(severity: str, is_live: bool, ending: str) -> None:
    run = told()
    assert the_alert(rows_of(run, found(run, named(run, "fetch_page", "chat"), severity=severity))).ending == ending


def test_a_run_that_goes_on_leaves_open_whether_the_answer_is_reached() -> None:
    run = told()
    run.opens("agent", "late", agent="late")
    rows = rows_of(run, found(run, named(run, "fetch_page", "chat"), severity="warning"), is_live=True)
    alert = the_alert(rows)
    assert alert.ending == "open"
    assert "whether it reaches the answer: the run goes on" in alert.unknown


def test_what_a_detector_says_of_the_extent_is_taken_and_what_has_another_shape_is_not() -> None:
    run = told()
    path = named(run, "fetch_page", "chat")
    beside = chats_of(run)[1]
    extent = {
        "affected_spans": [path[0].hex(), beside.hex(), "no hex", 7],
        "affected_count": 9,
        "reached_answer": False,
    }
    alert = the_alert(rows_of(run, found(run, path, attributes=extent)))
    assert (alert.ending, alert.affected_spans) == ("stopped", 9)
    assert [step.label for step in alert.beside] == ["writer#1"]
    wrong = {"affected_spans": "all", "affected_count": "many", "reached_answer": "yes"}
    alert = the_alert(rows_of(run, found(run, path, attributes=wrong)))
    assert (alert.ending, alert.affected_spans, alert.beside) == ("stopped", 2, [])


def test_other_alerts_that_name_a_span_of_the_path_are_related_and_no_others() -> None:
    run = told()
    path = named(run, "fetch_page", "chat")
    other = found(run, [path[0]], kind="tool.silent_failure", severity="warning")
    apart = found(run, [chats_of(run)[2]], kind="stalled")
    alert = the_alert(rows_of(run, found(run, path), other, apart))
    assert [key.partition(":")[0] for key in alert.related] == ["tool.silent_failure"]


def test_an_alert_without_a_path_reached_nothing() -> None:
    run = told()
    alert = the_alert(rows_of(run, found(run, [])))
    assert (alert.path, alert.ending, alert.affected_spans, alert.affected_agents) == ([], "", 0, [])


def test_only_a_fault_that_is_followed_has_an_ending_and_a_task_shows_when_it_came() -> None:
    run = told()
    sent = run.trace().delegations()[0]
    assert sent.target_span is not None
    finding = found(run, [sent.delegation_id, sent.target_span.span_id], kind="context.lost")
    (alert,) = alert_rows(rows_of(run, finding))
    assert [(step.way, step.at_ns) for step in alert.path][1] == ("task", sent.received_ns)
    assert alert.ending == ""
    assert any("only cascades are followed" in text for text in alert.unknown)


def test_what_is_not_proved_is_said() -> None:
    run = told(captures_content=False)
    path = [*named(run, "fetch_page"), chats_of(run)[1]]
    alert = the_alert(rows_of(run, found(run, path, grade="inferred")))
    assert alert.path[1].way == "words"
    text = "; ".join(alert.unknown)
    assert "passed on" in text and "no delegation from research#1 is known" in text and "what 2 of 2 steps said" in text


def test_a_path_over_spans_that_are_not_known_keeps_those_that_are() -> None:
    run = told()
    path = [b"unknown1", *named(run, "fetch_page"), b"unknown2"]
    assert [step.name for step in the_alert(rows_of(run, found(run, path))).path] == ["fetch_page"]


def test_hostile_words_of_a_finding_are_clean_in_its_row() -> None:
    run = told()
    path = named(run, "fetch_page")
    finding = found(run, path, message=HOSTILE, value=HOSTILE, evidence=[Evidence(path[0], HOSTILE)])
    alert = the_alert(rows_of(run, finding))
    for text in (alert.message, alert.value, alert.path[0].text, alert.evidence[0].text, alert.summary):
        assert not any(ord(char) < 32 or char in "\u202e\x9b" for char in text)


@pytest.mark.parametrize(("helpers_count", "said"), [(0, ""), (1, " +1 more"), (2, " +2 more"), (25, " +20 or more")])
def test_the_one_line_of_a_cascade_names_its_path_and_counts_who_else_carried_the_value(
    helpers_count: int, said: str
) -> None:
    run = Scenario()
    with run.agent("planner", task="Book a hotel in Lyon."):
        with run.delegate("research", task="Find a hotel."):
            run.tool("search", {"city": "Lyon"}, result="Error: 503 Service Unavailable")
            run.says("I found H99.")
        for name in [f"helper {n}" for n in range(helpers_count)]:
            with run.delegate(name, f"Work on H99, {name}."):
                run.says("H99 is done.")
        run.says("H99 is booked.")
    assert the_alert(rows_of(run)).summary == f"research#1 ▸ planner#1{said}"


def test_the_one_line_of_a_finding_that_names_but_its_agent_says_what_it_is_about() -> None:
    run = told()
    gap = found(run, [], kind="telemetry.gap", agent="trip", value="trip", message="2 facts are missing, from trip.")
    (alert,) = [row for row in alert_rows(rows_of(run, gap)) if row.kind == "telemetry.gap"]
    assert alert.summary.endswith("2 facts are missing, from trip.")
