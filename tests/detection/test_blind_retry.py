"""Rules of `tool.blind_retry`."""

import random
from typing import Any

import msgspec
import pytest

from tests.detection.asking import calls_to_judge, judged, last
from tests.detection.stories import DOWN
from tests.scenarios import Scenario
from trajectory.detection.attempts import failed_by
from trajectory.detection.blind_retry import BlindRetries
from trajectory.model.fact import Finding, Payload, SpanEnded, SpanStarted
from trajectory.model.words import INPUT_TOKENS, Severity, SpanKind

BAD = "Error: 404 Not Found: no hotel H99"
BOOM = "Error: the engine coughed"


def found(run: Scenario) -> list[Finding]:
    return last(judged(run, [BlindRetries])[1])


def severities(run: Scenario) -> list[str]:
    return [f.severity for f in found(run)]


def tried(*results: Any, waits_s: tuple[float, ...] = (), name: str = "book", **more: Any) -> Scenario:
    """One call, made as often as there are results; a pair is an exception."""
    run = Scenario()
    with run.agent("worker", task="Book H99."):
        for turn, result in enumerate(results):
            run.passes(waits_s[turn - 1] if 0 < turn <= len(waits_s) else 0)
            run.says(f"Try {turn}.")
            is_error = isinstance(result, tuple)
            run.tool(name, {"hotel": "H99"}, None if is_error else result, error=result if is_error else None, **more)
        run.says("Done.")
    return run


def test_a_series_is_one_finding_that_names_tool_agent_count_error_and_cost() -> None:
    run = tried(BOOM, BOOM, BOOM, BOOM)
    (finding,) = found(run)
    tools = sorted(s.span_id for s in run.trace().spans.values() if s.kind == SpanKind.TOOL)
    assert (finding.severity, finding.agent, finding.value) == (Severity.WARNING, "worker", BOOM)
    assert finding.message == (
        f"book in worker#1 was called 4 times with the same arguments and failed each time with “{BOOM}”; "
        "nothing had changed in between (repeating took 3.0 s)"
    )
    assert (finding.root_span_id, finding.span_id, finding.path) == (tools[0], tools[-1], tools)
    assert finding.evidence[0].text == 'arguments: {"hotel":"H99"}'


def test_a_series_grows_under_one_key() -> None:
    said = judged(tried(BOOM, BOOM, BOOM, BOOM), [BlindRetries])[1]
    assert [f.severity for f in said] == [Severity.INFO, Severity.WARNING, Severity.WARNING]
    assert len({f.key for f in said}) == 1


def test_the_first_repetition_is_for_information_after_a_fault_that_may_pass() -> None:
    assert severities(tried(DOWN, DOWN)) == [Severity.INFO]
    assert severities(tried(("TimeoutError", "no answer in 5 s"), ("TimeoutError", "no answer in 5 s"))) == [
        Severity.INFO
    ]
    assert severities(tried(DOWN, DOWN, DOWN)) == [Severity.WARNING]


@pytest.mark.parametrize(
    "said",
    [
        BAD, "HTTP 400 Bad Request", "Error: 403 Forbidden", ("ValidationError", "nights must be an integer"),
        ("PermissionError", "denied"), "Error: user not found", '{"error": "payment does not add up"}',
        "Error: invalid id, please try again",
    ],
)  # fmt: skip
def test_the_first_repetition_is_a_warning_where_the_request_itself_is_at_fault(said: Any) -> None:
    assert severities(tried(said, said)) == [Severity.WARNING]


def test_one_failure_is_no_series() -> None:
    assert found(tried(BAD)) == []
    assert found(tried(BAD, "booked")) == []


def test_a_series_that_ends_in_success_is_for_information() -> None:
    (finding,) = found(tried(BOOM, BOOM, BOOM, "booked"))
    assert (finding.severity, finding.message.endswith("; then it succeeded")) == (Severity.INFO, True)


@pytest.mark.parametrize(
    "results",
    [
        ("pending", "pending", "pending", "pending"),
        ({"status": "in progress"}, {"status": "in progress"}, {"status": "in progress"}, "booked"),
        ({"code": 202}, {"code": 202}, {"code": 202}),
        ([], [], [], []),
        ({"page": 1}, {"page": 2}, {"page": 3}),
        ("Error: 10 % done, then it crashed", "Error: 20 % done, then it crashed", "Error: 30 % done, then it crashed"),
        (DOWN, "Error: 500 out of memory", DOWN, "Error: 500 out of memory"),
        ("Error: job still running, retry later",) * 5,
        ("Error: 429 Too Many Requests. Please try again later.",) * 5,
    ],
)  # fmt: skip
def test_polling_paging_and_whatever_differs_are_no_blind_retries(results: tuple[Any, ...]) -> None:
    assert found(tried(*results)) == []


def test_waiting_as_long_as_the_tool_says_is_not_blind_and_not_waiting_is() -> None:
    limited = "HTTP 429 Too Many Requests\nRetry-After: 30"
    assert found(tried(limited, limited, limited, "booked", waits_s=(31, 31, 31))) == []
    assert severities(tried(limited, limited, limited)) == [Severity.WARNING]


def test_waits_that_grow_are_for_information() -> None:
    assert severities(tried(DOWN, DOWN, DOWN, DOWN, waits_s=(1, 4, 16))) == [Severity.INFO]
    assert severities(tried(DOWN, DOWN, DOWN, DOWN, waits_s=(9, 4, 1))) == [Severity.WARNING]


def test_ids_times_and_durations_in_an_error_do_not_make_it_another() -> None:
    one = "Error: boom at 2026-03-01T10:00:00Z after 5.01 s (request 3f2b8c1e-1a2b-4c3d-9e8f-001122334455)"
    other = "Error: boom at 2026-03-01T10:00:09Z after 5.20 s (request 99aa8c1e-1a2b-4c3d-9e8f-001122334455)"
    assert failed_by(one, one).alike == failed_by(other, other).alike
    assert severities(tried(one, other, one)) == [Severity.WARNING]


def between(*steps: Any) -> Scenario:
    run = Scenario()
    with run.agent("worker", task="Fix the build."):
        run.tool("run_tests", {"path": "."}, BOOM)
        for step in steps:
            step(run)
        run.says("Once more.")
        run.tool("run_tests", {"path": "."}, BOOM)
    return run


def _tool_that_asks_an_agent(run: Scenario) -> None:
    asks = run.opens(SpanKind.TOOL, "ask_helper", contents={"arguments": [{"task": "Mend it."}]})
    run.ends(run.opens(SpanKind.AGENT, "helper", agent="helper", under="ask_helper"))
    run.ends(asks, result="Mended.")


def _delegates(run: Scenario) -> None:
    with run.delegate("helper", "Mend it."):
        run.says("Mended.")


@pytest.mark.parametrize(
    ("step", "count"),
    [
        (lambda run: run.tool("edit_file", {"path": "a"}, "ok"), 0),
        (lambda run: run.tool("login", {}, "welcome"), 0),
        (lambda run: run.tool("shell", {"run": "make"}, "exitcode: 2 (execution failed)"), 0),
        (_delegates, 0),
        (_tool_that_asks_an_agent, 0),
        (lambda run: run.hears("Try it now, I have restarted it."), 0),
        (lambda run: run.tool("read_file", {"path": "a"}, "x = 1"), 1),
        (lambda run: run.tool("think", {"thought": "hm"}, ""), 1),
        (lambda run: run.tool("edit_file", {"path": "a"}, "Error: 403 Forbidden"), 1),
        (lambda run: run.hears(f"Your call failed: {BOOM}. Fix it."), 1),
    ],
)  # fmt: skip
def test_what_may_have_changed_something_ends_a_series(step: Any, count: int) -> None:
    assert len(found(between(step))) == count


def test_other_arguments_another_tool_or_another_agent_are_other_calls() -> None:
    run = Scenario()
    with run.agent("root"):
        run.tool("book", {"hotel": "H1"}, BAD)
        run.tool("book", {"hotel": "H2"}, BAD)
        run.tool("reserve", {"hotel": "H1"}, BAD)
        with run.delegate("other", "Book H1."):
            run.tool("book", {"hotel": "H1"}, BAD)
    assert found(run) == []


def test_another_writing_of_the_same_arguments_is_the_same_call() -> None:
    run = Scenario()
    with run.agent("worker"):
        run.tool("book", {"hotel": "H1", "nights": 2}, BAD)
        run.tool("book", '{"nights": 2.0, "hotel": "H1"}', BAD)
    assert severities(run) == [Severity.WARNING]


def test_arguments_that_are_not_at_hand_are_the_same_where_their_digest_is() -> None:
    run = tried(BAD, BAD)
    given = {d for f in run.facts if isinstance(f, SpanStarted) for d in f.contents.get("arguments", [])}
    run.facts = [f for f in run.facts if not (isinstance(f, Payload) and f.digest in given)]
    (finding,) = found(run)
    assert finding.evidence[0].text == "arguments: "


def test_a_call_that_waited_for_an_agent_is_a_delegation_s_matter() -> None:
    run = tried(BAD, BAD, name="ask_booker")
    assert len(found(run)) == 1
    calls = [s for s in run.trace().spans.values() if s.kind == SpanKind.TOOL]
    at_ns = calls[-1].start_ns + 1
    run.facts += [
        SpanStarted(run.trace_id, b"a-worker", b"", at_ns, 0, "agent", "booker", "booker"),
        SpanEnded(run.trace_id, b"a-worker", at_ns + 1, 0, "ok"),
    ]
    assert [d.target_agent for d in run.trace().delegations()] == ["booker"]
    assert judged(run, [BlindRetries], settle_every=10**6)[1] == []


def test_calls_at_the_same_time_are_no_repetition() -> None:
    run = Scenario()
    with run.agent("worker"):
        first = run.tool("book", {"hotel": "H1"}, BAD)
        run.tool("book", {"hotel": "H1"}, BAD)
    assert len(found(run)) == 1
    ends = [f for f in run.facts if isinstance(f, SpanEnded) and f.span_id == first]
    run.facts = [msgspec.structs.replace(f, at_ns=run.now_ns) if f in ends else f for f in run.facts]
    assert found(run) == []


def test_answers_that_only_the_model_was_shown_count() -> None:
    assert severities(tried(BAD, BAD, shown_only=True)) == [Severity.WARNING]


def test_the_tokens_of_the_model_calls_that_asked_again_are_counted() -> None:
    run = tried(BAD, BAD, BAD)
    models = {s.span_id for s in run.trace().spans.values() if s.kind == SpanKind.MODEL}
    run.facts = [
        SpanEnded(f.trace_id, f.span_id, f.at_ns, f.mono_ns, f.status, f.message, {INPUT_TOKENS: 100}, f.contents)
        if isinstance(f, SpanEnded) and f.span_id in models
        else f
        for f in run.facts
    ]
    (finding,) = found(run)
    assert "(repeating took 2.0 s and 200 tokens)" in finding.message


def test_the_tokens_of_a_call_that_is_told_twice_are_counted_once() -> None:
    run = Scenario()
    with run.agent("worker", task="Book H99."):
        for _ in range(3):
            outer = run.opens(SpanKind.MODEL, "llm", attributes={INPUT_TOKENS: 100})
            run.ends(run.opens(SpanKind.MODEL, "chat", under="llm", attributes={INPUT_TOKENS: 100}))
            run.ends(outer)
            run.tool("book", {"hotel": "H99"}, BAD)
    (finding,) = found(run)
    assert finding.message.endswith(" and 200 tokens)")


def test_nothing_is_said_where_arguments_or_results_were_not_captured() -> None:
    run = Scenario(captures_content=False)
    with run.agent("worker"):
        for _ in range(4):
            run.tool("book", {"hotel": "H1"}, BAD)
            run.tool("book", {"hotel": "H1"}, error=("ValueError", "bad"))
    assert found(run) == []


def busy() -> Scenario:
    run = Scenario()
    with run.agent("planner", task="Find hotels."):
        for turn in range(3):
            with run.delegate(f"scout {turn % 2}", f"part {turn}"):
                for attempt in range(3):
                    run.says(f"Try {attempt}.")
                    run.tool("search", {"part": turn}, BAD)
                    run.tool("look", {"part": turn}, BOOM, shown_only=True)
                run.tool("edit", {"part": turn}, "ok")
                run.tool("search", {"part": turn}, BAD)
                run.tool("search", {"part": turn}, BAD)
                run.tool("search", {"part": turn}, "3 hits")
                run.says("Enough.")
    return run


@pytest.mark.parametrize("seed", range(5))
def test_order_and_repetition_change_nothing(seed: int) -> None:
    run = busy()
    facts = [f for f in run.facts if not isinstance(f, Payload)]
    expected = found(run)
    assert len(expected) == 9
    chance = random.Random(seed)
    mixed = facts + chance.sample(facts, len(facts) // 2)
    chance.shuffle(mixed)
    assert last(judged(run, [BlindRetries], mixed, settle_every=len(mixed))[1]) == expected
    late = {f.key: f for f in judged(run, [BlindRetries], mixed, settle_every=8)[1] if f.value == BAD}
    stands = {key: (f.severity, f.message) for key, f in late.items() if "taken back" not in f.message}
    assert stands == {f.key: (f.severity, f.message) for f in expected if f.value == BAD}


def calls_for(count: int) -> int:
    """What so many repetitions of one failing call cost the detector, in calls of our own functions."""
    run = Scenario()
    with run.agent("worker"):
        for _ in range(count):
            run.says("Again.", knows=[])
            run.tool("book", {"hotel": "H99"}, BOOM)
            run.tool("look_up", {"hotel": "H99"}, "it is there")
    return calls_to_judge(run, BlindRetries, 50)


def test_a_repetition_costs_the_same_however_long_the_series_is() -> None:
    assert calls_for(600) < 1.5 * 4 * calls_for(150)
