"""No trace makes a detector raise: spans in any shape, payloads that are not what they say, text that means harm."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scenarios import Scenario
from trajectory.detection.boundary import observability
from trajectory.detection.contract import registered_detectors
from trajectory.detection.judge import TraceJudge
from trajectory.graph.trace import Trace
from trajectory.model.content import JSON, MESSAGE, TEXT, canonical_json, digest
from trajectory.model.fact import Fact, Source, SpanEnded, SpanEvent, SpanStarted
from trajectory.model.words import DELEGATION_MODE, DELEGATION_TARGET, TOOL_CALL_ID, TOOL_NAME, Slot, SpanKind

_REGISTERED = registered_detectors()
SOURCE = Source(b"hostile-source-1", b"boot-of-hostile1")
TRACE_ID = b"hostile-trace-01"
NAMES = ("planner", "scout", "\x1b[31mred", "")
SPAN_IDS = [bytes([n]) * 8 for n in range(1, 9)]

_SCALARS = st.sampled_from(
    [
        "H99 costs 520 EUR",
        "Error: 503",
        "must be step-free, at most 900 EUR",
        "",
        "\x1b]0;x\x07",
        1,
        -1.5,
        None,
        True,
        "call-1",
    ]
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "parts",
                    "type",
                    "content",
                    "messages",
                    "id",
                    "response",
                    "error",
                    "user",
                    "text",
                    "properties",
                    "function",
                    "name",
                    "parameters",
                    "arguments",
                    "required",
                    "anyOf",
                    "$ref",
                    "enum",
                ]
            ),
            inner
            | st.sampled_from(["user", "tool_call_response", "tool_call", "text", "tool", "planner", "object", "#"]),
            max_size=4,
        )
    ),
    max_leaves=8,
)
_BODIES = st.tuples(st.sampled_from([TEXT, JSON, MESSAGE]), _VALUES.map(canonical_json) | st.binary(max_size=40))


@st.composite
def hostile_facts(draw: st.DrawFn) -> tuple[list[Fact], dict[bytes, tuple[str, bytes]]]:
    bodies = draw(st.lists(_BODIES, min_size=1, max_size=6))
    held = {digest(media, body): (media, body) for media, body in bodies}
    contents = st.dictionaries(
        st.sampled_from([str(s) for s in Slot]), st.lists(st.sampled_from([*held, b"m" * 16]), max_size=3), max_size=3
    )
    attributes: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
        st.sampled_from([DELEGATION_TARGET, DELEGATION_MODE, TOOL_NAME, TOOL_CALL_ID, "error.type"]),
        st.sampled_from([*NAMES, "transfer", "call-1", 7]),
        max_size=3,
    )
    ids, times = st.sampled_from(SPAN_IDS), st.integers(0, 50).map(lambda n: n * 10**9)
    started = st.builds(
        SpanStarted, st.just(TRACE_ID), ids, st.sampled_from([b"", *SPAN_IDS]), times, times,
        st.sampled_from([str(k) for k in SpanKind]), st.sampled_from(NAMES), st.sampled_from(NAMES),
        attributes=attributes, contents=contents,
    )  # fmt: skip
    ended = st.builds(
        SpanEnded, st.just(TRACE_ID), ids, times, times, st.sampled_from(["ok", "error", "unset"]),
        st.sampled_from(["", "Error: 503\nsecond line"]), attributes, contents,
    )  # fmt: skip
    event = st.builds(
        SpanEvent, st.just(TRACE_ID), ids, times, times, st.sampled_from(["thought", "context", "exception"]),
        contents=contents,
    )  # fmt: skip
    return draw(st.lists(started | ended | event, min_size=1, max_size=40)), held


@settings(max_examples=100)
@given(hostile_facts())
def test_no_trace_makes_a_detector_raise(given_facts: tuple[list[Fact], dict[bytes, tuple[str, bytes]]]) -> None:
    facts, bodies = given_facts
    trace = Trace(TRACE_ID, bodies.get)
    judge = TraceJudge(trace, _REGISTERED)
    found = []
    for turn, fact in enumerate(facts):
        trace.apply(fact, SOURCE)
        found += judge.observe(fact)
        found += judge.settle(turn * 10**11)
    found += judge.settle(10**15)
    observability(trace)
    assert judge.raised == {}, judge.faults
    for finding in found:
        assert {finding.span_id, *finding.path, *(e.span_id for e in finding.evidence)} <= trace.spans.keys()
        assert "\n" not in finding.message


_ALL = registered_detectors("goal.drift")
_TEXTS = {
    "ten megabytes": "tides rise at 10:30 and fall by 2.5 m, ref TX-204417. " * 190_000,
    "ten thousand entities": " ".join(
        f"REF-{n} costs {n} EUR by 2026-03-{n % 28 + 1:02d};" for n in range(10_000, 20_000)
    ),
    "a blob": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo0NTY3ODk=" * 100_000,
    "one long word": "a1" * 500_000,
    "zero-width characters": "m\u200bu\u200cs\u200dt not exceed 900\ufeff EUR " * 20_000,
    "right to left": "\u202eيجب ألا يتجاوز السعر 900 EUR بحلول 2026-03-03 " * 20_000,
    "emoji": "🏨👩‍👩‍👧 must be at most 3 🛏️ for 2 nights " * 20_000,
    "open brackets": "[" * 200_000,
    "digits": "1" * 300_000,
    "blanks": " \t" * 150_000,
    "lines": "-\n" * 150_000,
    "old and new": "from AB-1234 to AB-1235, not AB-1236 but " * 10_000,
}


@pytest.mark.parametrize("name", _TEXTS)
def test_no_text_makes_a_detector_slow_or_raise(name: str) -> None:
    text = _TEXTS[name]
    run = Scenario()
    with run.agent("lead", task=text, system=text[:100_000]):
        run.says(text)
        with run.delegate("worker", text[::-1]):
            run.tool("look", {"q": text}, {"found": text})
            run.tool("look", {"q": text}, f"Error: {text}")
            run.says(text[1:])
        run.says(text[:-1])
    trace = run.trace()
    judge = TraceJudge(trace, _ALL)
    start = time.process_time()
    found = judge.settle(trace.last_ns)
    assert time.process_time() - start < 30  # the square of it would take hours
    assert judge.raised == {}
    assert all(len(f.message) < 1000 and "\n" not in f.message for f in found)


@pytest.mark.parametrize(
    "body",
    [
        b'tool_call_response and "tool_call", no JSON',
        b'["tool_call_response", "tool_call"]',
        b'{"role": "user", "parts": 7, "said": ["tool_call_response", "tool_call"]}',
        b'{"role": "user", "parts": "tool_call_response", "type": "tool_call"}',
        b'{"role": "user", "parts": {"type": "tool_call_response"}, "content": ["tool_call"]}',
        b'{"role": 7, "parts": [7, {"type": "tool_call"}, {"type": "tool_call", "name": 5}, {"type": "tool_call_response"}]}',
        b'{"role": "user", "content": {"type": "tool_call_response"}}',
        b'{"messages": [{"messages": [{"messages": [{"messages": [{"messages": [{"role": "user", "parts": 7}]}]}]}]}]}',
        b'[{"role": "user", "parts": 7}, {"role": "user", "content": 7}, 7]',
        b'[7, {"function": 5}, {"function": {"name": 5, "parameters": 5}}, {"name": "ask", "parameters": {"properties": [5]}}]',
        b'["step", {"step": 5}, {"step": "look"}, 7, [], "!"]',
        b"[" * 50_000 + b'"tool_call_response", "tool_call"',
        b'{"a":' * 50_000 + b'"tool_call_response"',
    ],
)
def test_no_body_makes_a_detector_raise(body: bytes) -> None:
    for media in (MESSAGE, JSON, TEXT):
        trace = Trace(TRACE_ID, {b"d" * 16: (media, body)}.get)
        judge = TraceJudge(trace, _ALL)
        contents = {str(slot): [b"d" * 16] for slot in Slot}
        kinds = (SpanKind.AGENT, SpanKind.MODEL, SpanKind.TOOL, SpanKind.MODEL, SpanKind.DELEGATION, SpanKind.AGENT)
        facts: list[Fact] = []
        for at, kind in enumerate(kinds):
            above = b"" if at == 0 else SPAN_IDS[4 if at == 5 else 0]
            named = {TOOL_CALL_ID: "call-1", DELEGATION_TARGET: "scout"}
            name = "scout" if at == 5 else "planner"
            start = SpanStarted(
                TRACE_ID, SPAN_IDS[at], above, at + 1, 0, kind, name, name, attributes=named, contents=contents
            )
            facts += [start, SpanEvent(TRACE_ID, SPAN_IDS[at], at + 1, 0, "plan", contents=contents)]
        facts += [SpanEnded(TRACE_ID, SPAN_IDS[at], at + 2, 0, "ok", "", {}, contents) for at in range(6)]
        for fact in facts:
            trace.apply(fact, SOURCE)
            judge.observe(fact)
        judge.settle(10**12)
        assert judge.raised == {}, judge.faults


def test_delegations_without_text_are_no_findings() -> None:
    run = Scenario()
    with run.agent("lead", task=""), run.delegate("worker", ""):
        run.says("")
    trace = run.trace()
    assert TraceJudge(trace, _ALL).settle(trace.last_ns) == []
