"""What a message says of its sender's work: a model call counted once, under the sender, and the answers of its tools."""

import json
from itertools import permutations

import pytest

from tests.dialects.build import TRACE_ID, otel_span, request, span_id, traces
from trajectory.detection.judge import TraceJudge
from trajectory.detection.silent_failure import SilentFailures
from trajectory.dialects.otlp import read_request
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.fact import Payload, trace_of

OTHER_TRACE = bytes(range(17, 33))
TEAM = "5b1c8f0e-0d6a-4b53-9a55-6c2a0c1d7e11"
AGENT = otel_span(
    1, "invoke_agent mason", lasts=9, gen_ai__operation__name="invoke_agent", gen_ai__agent__name="mason",
)  # fmt: skip
SENT = otel_span(2, "autogen create output", 1, 1, 0.1, kind=4, messaging__operation="create")
SENT_LATER = otel_span(3, "autogen create output", 1, 5, 0.1, kind=4, messaging__operation="create")


def words(source: str = "mason", used: tuple[int, int] | None = (40, 7), content: object = "Lay it.", **more: object):
    """One message of an agent, as its receiver tells it."""
    usage = {"prompt_tokens": used[0], "completion_tokens": used[1]} if used else None
    return {"id": "m-1", "source": source, "models_usage": usage, "content": content, **more}


def received(number: int, message: object, sent: int = 2, sender: str = f"mason_{TEAM}", at: float = 2.0):
    """A span, in a trace of its own, that received what span `sent` sent."""
    span = otel_span(
        number, "autogen process manager", at=at, lasts=0.1, kind=5, sender_agent_type=sender, message=json.dumps(message),
        links=[(TRACE_ID, span_id(sent), {})],
    )  # fmt: skip
    span.trace_id = OTHER_TRACE
    return span


def call(number: int, **used: int):
    """The span of the call itself, where a client of the model makes one."""
    usage = {f"gen_ai__usage__{key}_tokens": count for key, count in used.items()}
    return otel_span(number, "chat m", 1, 0.5, 0.4, gen_ai__operation__name="chat", gen_ai__request__model="m", **usage)


def folded(*spans) -> Trace:
    """The sender's trace, each span in a request of its own."""
    batches = [b for span in spans for b in read_request(request(span).SerializeToString(), "protobuf").batches]
    return next(trace for trace in traces(batches) if trace.trace_id == TRACE_ID)


def counts(trace: Trace) -> dict[str, tuple[int, int, int]]:
    return {name: (u.model_calls, u.input_tokens, u.output_tokens) for name, u in trace.agents().items()}


def test_a_message_that_says_what_it_used_is_a_model_call_of_its_sender():
    trace = folded(received(9, {"message": words()}), SENT, AGENT)
    assert counts(trace) == {"mason": (1, 40, 7)}
    said = next(span for span in trace.spans.values() if span.kind == "model")
    assert trace.texts(said, "output") == ["Lay it."]


def test_a_message_that_asks_for_tools_is_a_model_call_too():
    asked = [{"id": "c-1", "name": "measure", "arguments": '{"wall": "north"}'}]
    trace = folded(AGENT, SENT, received(9, {"message": words(content=asked)}))
    assert counts(trace) == {"mason": (1, 40, 7)}
    assert trace.delegations() == []


def test_a_message_is_one_call_however_many_receive_it():
    trace = folded(AGENT, SENT, *(received(number, {"message": words()}, at=2 + number) for number in (7, 8, 9)))
    assert counts(trace) == {"mason": (1, 40, 7)}


def test_each_message_is_a_call_of_its_own():
    second = received(9, {"message": words(used=(50, 8), id="m-2")}, sent=3)
    assert counts(folded(AGENT, SENT, SENT_LATER, received(8, {"message": words()}), second)) == {"mason": (2, 90, 15)}


@pytest.mark.parametrize(
    "spans",
    [*permutations((AGENT, SENT, call(5, input=40, output=7), received(9, {"message": words()})))],
)  # fmt: skip
def test_a_call_that_has_its_own_span_is_counted_once_in_any_order(spans):
    assert counts(folded(*spans)) == {"mason": (1, 40, 7)}


def test_what_a_call_used_is_as_the_message_reports_where_its_own_span_does_not_say():
    assert counts(folded(received(9, {"message": words()}), SENT, call(5), AGENT)) == {"mason": (1, 40, 7)}


@pytest.mark.parametrize(
    "message",
    [
        {"response": {"chat_message": words(), "inner_messages": [words(id="m-0")]}},  # what was told before
        {"messages": [words()]},
        {"message": words(source="roofer")},  # passed on by another
        {"message": words(source="mas")},
        {"message": words(used=None)},
        {"message": "models_usage"},
        {"message": {"source": "mason", "models_usage": [1], "content": [{"call_id": ""}, 7]}},
        ["models_usage"],
    ],
)
def test_a_history_or_the_words_of_another_are_no_call_of_the_sender(message):
    assert counts(folded(AGENT, SENT, received(9, message))) == {"mason": (0, 0, 0)}


def test_counts_that_are_none_are_nothing():
    used = {"message": {**words(), "models_usage": {"prompt_tokens": -4, "completion_tokens": "many"}}}
    assert counts(folded(AGENT, SENT, received(9, used))) == {"mason": (1, 0, 0)}


TOOL = otel_span(
    4, "execute_tool measure", 1, 3, 0.5, gen_ai__operation__name="execute_tool", gen_ai__tool__name="measure",
    gen_ai__tool__call__id="c-1",
)  # fmt: skip
ANSWER = [{"name": "measure", "call_id": "c-1", "content": "Error: 503 laser unavailable", "is_error": False}]


@pytest.mark.parametrize(
    "spans", [*permutations((TOOL, SENT, received(9, {"message": words(used=None, content=ANSWER)})))]
)
def test_an_answer_in_a_message_is_read_for_the_call_that_it_names_in_any_order(spans):
    bodies: dict[bytes, tuple[str, bytes]] = {}
    trace = Trace(TRACE_ID, bodies.get)
    judge = TraceJudge(trace, [SilentFailures])
    found = []
    for batch in (b for s in (AGENT, *spans) for b in read_request(request(s).SerializeToString(), "protobuf").batches):
        for fact in batch.facts:
            if isinstance(fact, Payload):
                bodies[fact.digest] = (fact.media_type, fact.body)
            elif trace_of(fact) == TRACE_ID:
                trace.apply(fact, batch.source)
                found += [*judge.observe(fact), *judge.settle(trace.last_ns)]
    assert judge.raised == {}
    assert {tool_name(trace.spans[finding.span_id]) for finding in found} == {"measure"}
