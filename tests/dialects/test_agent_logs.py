"""Log records of coding agents without spans: what they tell of, in any order and number of requests."""

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dialects.build import BASE_NS, SECOND_NS, edges, traces
from tests.dialects.coding_build import state
from trajectory.dialects.logs import facts_of
from trajectory.dialects.raw import RawLog
from trajectory.graph.trace import Trace
from trajectory.model.fact import Batch, Source
from trajectory.model.words import INPUT_TOKENS
from trajectory.protocol.codec import encode_facts

SOURCE = Source(bytes(16), bytes(16), {"service.name": "claude-code"})


def record(name: str, at_s: float, **attributes: Any) -> RawLog:
    """A record as Claude Code sends it: its whole name in the body, its short one among the attributes."""
    said = {"session.id": "s-1", "prompt.id": "p-1", "event.name": name.partition(".")[2]}
    said |= {key.replace("__", "."): value for key, value in attributes.items()}
    return RawLog(b"", b"", BASE_NS + int(at_s * SECOND_NS), body=name, attributes=said)


def codex(name: str, at_s: float, **attributes: Any) -> RawLog:
    said = {"conversation.id": "t-1", "event.name": f"codex.{name}"}
    said |= {key.replace("__", "."): value for key, value in attributes.items()}
    return RawLog(b"", b"", BASE_NS + int(at_s * SECOND_NS), attributes=said)


TURN = [
    record("claude_code.user_prompt", 0, prompt="Fix it", prompt_length=6),
    record(
        "claude_code.api_request", 3, model="claude-x", duration_ms=2500, input_tokens=10, output_tokens=20, cache_read_tokens=100
    ),
    record("claude_code.tool_decision", 3.1, tool_name="Bash", decision="accept", source="config"),
    record(
        "claude_code.tool_result", 5, tool_name="Bash", success="false", duration_ms=1500, error="exit 1",
        tool_parameters='{"c": "x"}',
    ),
    record("claude_code.api_error", 6, model="claude-x", error="overloaded", status_code=529, duration_ms=100),
    record(
        "claude_code.api_request", 9, model="claude-x", duration_ms="1000", input_tokens=5, output_tokens=6,
        query_source="subagent", agent__name="Explore",
    ),
    record("claude_code.api_request", 11, model="claude-x", duration_ms=1000, input_tokens=1, output_tokens=2),
]  # fmt: skip


def fold(*requests: list[RawLog]) -> list[Trace]:
    return traces(Batch(SOURCE, 0, facts_of(records)) for records in requests)


def test_records_of_a_prompt_are_a_trace_with_calls_tools_and_errors() -> None:
    (trace,) = fold(TURN)
    assert (trace.title, trace.session_id) == ("Fix it", "s-1")
    main = trace.agents()["Claude Code"]
    assert (main.model_calls, main.tool_calls, main.input_tokens, main.output_tokens) == (3, 1, 111, 22)
    assert trace.root is not None and trace.root.duration_ns == 11 * SECOND_NS
    (tool,) = (s for s in trace.spans.values() if s.kind == "tool")
    assert (tool.name, tool.status, tool.message, tool.duration_ns) == ("Bash", "error", "exit 1", 1_500_000_000)
    assert trace.texts(tool, "arguments") == ['{"c":"x"}']
    (failed,) = (s for s in trace.spans.values() if s.kind == "model" and s.is_error)
    assert (failed.message, failed.error_type) == ("overloaded", "529")
    assert {e.name for e in trace.root.events} == {"user_prompt", "tool_decision"}


def test_what_is_guessed_says_so() -> None:
    (trace,) = fold(TURN)
    assert all("trajectory.inferred" in s.attributes for s in trace.spans.values())
    assert edges(trace) == [("Claude Code", "Explore", "call", "inferred")]


def test_prompts_and_sessions_are_kept_apart() -> None:
    other = record("claude_code.user_prompt", 20, prompt="Next", prompt__id="p-2")
    another = record("claude_code.user_prompt", 20, prompt="Else", session__id="s-2", prompt__id="")
    assert sorted(t.title for t in fold([*TURN, other, another])) == ["Else", "Fix it", "Next"]


@settings(max_examples=40)
@given(seed=st.integers(0, 1 << 32), size=st.integers(1, 7))
def test_the_order_and_the_number_of_requests_change_nothing(seed: int, size: int) -> None:
    shuffled = TURN * 2
    Random(seed).shuffle(shuffled)
    requests = [shuffled[at : at + size] for at in range(0, len(shuffled), size)]
    assert _ended(fold(*requests)) == _ended(fold(TURN))


def _ended(found: list[Trace]) -> Any:
    return state({trace.trace_id: trace for trace in found})


def test_a_redacted_prompt_is_no_title() -> None:
    (trace,) = fold([codex("user_prompt", 0, prompt="[REDACTED]", prompt_length=9)])
    assert trace.title == "invoke_agent Codex"


def test_codex_counts_the_tokens_of_an_answer_and_no_piece_of_it() -> None:
    (trace,) = fold([
        codex("conversation_starts", 0, model="gpt-x", approval_policy="never"),
        codex("user_prompt", 1, prompt="Count"),
        codex("api_request", 2, attempt=0, duration_ms="300", http__response__status_code=200),
        codex("sse_event", 3, event__kind="response.output_text.delta", duration_ms="5"),
        codex("sse_event", 4, event__kind="response.completed", model="gpt-x", input_token_count="100", output_token_count="7",
              cached_token_count=60),
        codex("tool_result", 6, tool_name="shell", call_id="k1", arguments='{"command": ["ls"]}', duration_ms="900",
              success="true", output="a"),
        codex("api_request", 7, attempt=1, duration_ms="10", http__response__status_code=500, error__message="boom"),
    ])  # fmt: skip
    usage = trace.agents()["Codex"]
    assert (usage.model_calls, usage.tool_calls, usage.input_tokens, usage.output_tokens) == (2, 1, 100, 7)
    assert sum(s.number(INPUT_TOKENS) for s in trace.spans.values()) == 100
    (tool,) = (s for s in trace.spans.values() if s.kind == "tool")
    assert (trace.texts(tool, "result"), tool.attributes["gen_ai.tool.call.id"], tool.status) == (["a"], "k1", "unset")
    assert [s.message for s in trace.spans.values() if s.is_error] == ["boom"]
    assert trace.root is not None and [e.name for e in trace.root.events] == [
        "conversation_starts", "user_prompt", "api_request"
    ]  # fmt: skip


def test_an_agent_that_nobody_has_seen_is_read_by_the_words_that_it_uses() -> None:
    answer = {"session.id": "x", "input_token_count": 3, "output_token_count": 4}
    call = {"session.id": "x", "function_name": "grep", "success": True}
    (trace,) = fold([
        RawLog(b"", b"", BASE_NS, "my_coder.api_response", attributes=answer),
        RawLog(b"", b"", BASE_NS, "my_coder.tool_call", attributes=call),
    ])  # fmt: skip
    assert (trace.agents()["my_coder"].input_tokens, list(trace.tools())) == (3, ["grep"])


def test_records_without_session_and_of_other_programs_stay_out() -> None:
    assert facts_of([RawLog(b"", b"", BASE_NS, "claude_code.api_request", attributes={"model": "x"})]) == []
    assert facts_of([RawLog(b"", b"", BASE_NS, "shop.order_placed", attributes={"session.id": "x"})]) == []
    assert facts_of([RawLog(b"", b"", BASE_NS, body="claude_code. says hello", attributes={"session.id": "x"})]) == []


@settings(max_examples=150)
@given(
    name=st.sampled_from(["claude_code.user_prompt", "claude_code.api_request", "codex.tool_result", "codex.sse_event", "x."]),
    attributes=st.dictionaries(
        st.sampled_from([
            "session.id", "conversation.id", "prompt.id", "duration_ms", "input_tokens", "output_token_count", "success", "error",
            "status_code", "tool_name", "arguments", "output", "prompt", "event.timestamp", "agent.name", "response_text",
        ]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.lists(st.text(max_size=3)),
        max_size=8,
    ),
    at_ns=st.integers(0, (1 << 63) - 1),
)  # fmt: skip
def test_any_attributes_become_facts_that_travel(name: str, attributes: dict[str, Any], at_ns: int) -> None:
    encode_facts(facts_of([RawLog(b"", b"", at_ns, name, attributes={"session.id": "s", **attributes})]))
