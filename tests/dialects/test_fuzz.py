"""Nothing that comes from outside crashes a dialect: it reads, is set aside, or is refused with our own errors."""

import contextlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dialects.build import otel_span, raw, request, traces
from trajectory.dialects.chat import conversation_of
from trajectory.dialects.chat_facts import batch_of
from trajectory.dialects.otlp import read_request
from trajectory.dialects.raw import RawEvent
from trajectory.dialects.sniff import read_file
from trajectory.dialects.spans import Stored, facts_of
from trajectory.dialects.values import clean, decoded, plain, unflatten
from trajectory.errors import ImportFormatError, WireError
from trajectory.protocol.codec import decode_facts, encode_facts

KEYS = st.sampled_from([
    "gen_ai.operation.name", "gen_ai.agent.name", "gen_ai.agent.id", "gen_ai.input.messages", "gen_ai.output.messages",
    "gen_ai.system_instructions", "gen_ai.tool.name", "gen_ai.tool.call.arguments", "gen_ai.tool.call.result",
    "gen_ai.usage.input_tokens", "gen_ai.response.finish_reasons", "gen_ai.workflow.nodes", "gen_ai.transfer.target.name",
    "openinference.span.kind", "agent.name", "graph.node.id", "graph.node.parent_id", "tool.name", "metadata",
    "input.value", "output.value", "llm.input_messages.0.message.role", "llm.input_messages.0.message",
    "llm.input_messages.x", "llm.output_messages.0.message.tool_calls.0.tool_call", "llm.tools.0.tool.json_schema",
    "llm.tools.0.tool", "retrieval.documents.0.document.content", "llm.token_count.prompt", "traceloop.span.kind",
    "traceloop.entity.name", "traceloop.entity.input", "traceloop.entity.output", "gen_ai.prompt.0.content",
    "gen_ai.completion.0", "llm.request.functions.0.parameters", "ai.operationId", "ai.prompt", "ai.toolCall.args",
    "ai.response.toolCalls", "ai.prompt.tools", "pydantic_ai.all_messages", "final_result", "error.type", "session.id",
    "logfire.span_type", "logfire.pending_parent_id", "_dd.partial_version",
])  # fmt: skip
WORDS = st.sampled_from([
    "invoke_agent", "chat", "execute_tool", "AGENT", "LLM", "TOOL", "CHAIN", "agent", "tool", "task", "handoff",
    "ai.generateText", "ai.toolCall", "ai.generateText.doGenerate", "pending_span", "ParentCommand", "transfer_to_x",
    "{'a': (1, 2)}", '{"role": "user"}', '[{"role": "tool", "content": [{"toolResult": 5}]}]', '{"messages": [[1]]}',
    '{"lc": 1, "kwargs": {}, "id": 5}', "[[[", "(" * 300, '{"lc_agent_name": 5}', "\x1b]0;x\x07",
])  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ATTRIBUTES = st.dictionaries(KEYS, WORDS | JSON | JSON.map(lambda v: json.dumps(v, default=str)), max_size=10)


@settings(max_examples=100)
@given(
    name=WORDS | st.text(max_size=30), attributes=ATTRIBUTES, events=st.lists(st.tuples(WORDS, ATTRIBUTES), max_size=2)
)
def test_any_attributes_at_all_become_facts_that_travel(name, attributes, events):
    span = raw(clean(name), events=[RawEvent(f"gen_ai.{e}", 1, plain(a)) for e, a in events])
    span.attributes = plain(attributes)  # as both wires decode them
    told = facts_of(span, Stored())
    assert told
    encode_facts(told)


@settings(max_examples=150)
@given(st.binary(max_size=300))
def test_any_bytes_at_all_read_or_are_refused(body):
    for media in ("protobuf", "json"):
        with contextlib.suppress(WireError):
            read_request(body, media)
    with contextlib.suppress(ImportFormatError):
        read_file(body, "file")


@settings(max_examples=100)
@given(at=st.integers(0, 400), byte=st.integers(0, 255))
def test_a_spoiled_byte_breaks_nothing_but_its_own_span(at, byte):
    body = bytearray(
        request(otel_span(1, "chat m", gen_ai__operation__name="chat"), otel_span(2, "x")).SerializeToString()
    )
    body[at % len(body)] = byte
    with contextlib.suppress(WireError):
        for batch in read_request(bytes(body), "protobuf").batches:
            assert decode_facts(encode_facts(batch.facts)) == batch.facts


@settings(max_examples=100)
@given(JSON)
def test_any_json_at_all_reads_or_is_refused(value):
    with contextlib.suppress(ImportFormatError):
        traces(read_file(json.dumps({"resourceSpans": value, "spans": value}).encode(), "file").batches)
    with contextlib.suppress(ImportFormatError):
        traces(read_file(json.dumps(value).encode(), "file").batches)


ENTRY = st.fixed_dictionaries(
    {"content": st.text(max_size=20) | JSON, "role": WORDS | st.sampled_from(["user", "tool", "A (-> B)", "delegation"])},
    optional={"agent": st.text(max_size=5) | st.sampled_from("AB"), "to": st.sampled_from("AB"), "tool_calls": JSON,
              "timestamp": JSON},
)  # fmt: skip


@settings(max_examples=80)
@given(st.lists(ENTRY, min_size=1, max_size=8))
def test_any_log_at_all_keeps_every_step(entries):
    conversation = conversation_of({"steps": entries})
    assert conversation is not None
    batch = batch_of(conversation)
    encode_facts(batch.facts)
    (trace,) = traces([batch])
    assert len([s for s in trace.spans.values() if "trajectory.step" in s.attributes]) == len(entries)
    assert trace.open_count == 0
    assert len(trace.roots) == 1


@given(st.dictionaries(st.text(alphabet="ab.01", max_size=8).map(lambda k: "p." + k), st.integers(), max_size=6))
def test_flattened_keys_that_contradict_each_other_are_read_as_far_as_they_go(attributes):
    unflatten(attributes, "p")


@given(st.text(alphabet="{}[]()'\",:1a \\", max_size=60))
def test_text_that_looks_like_a_literal_stays_text_or_is_read(text):
    decoded(text)
