"""OTLP out and in again gives the same graph: whatever facts told of a trace, for stories and for facts that nobody tells."""

import io
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.detection.asking import judged, last
from tests.detection.stories import CLEAN, FAULTY, Story, stuck
from tests.export.build import START_NS, TRACE_ID, fold
from tests.export.strategies import calm, wild
from tests.export.test_otlp import told
from tests.scenarios import Scenario
from trajectory.detection.contract import registered_detectors
from trajectory.detection.judge import TraceJudge
from trajectory.dialects.otlp import Media, read_request
from trajectory.dialects.ours import OPERATIONS
from trajectory.export.contract import Subject
from trajectory.export.otlp import OTLP_JSON, OTLP_PROTOBUF, request_of
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.content import digest, encode, encode_message
from trajectory.model.fact import (
    Batch,
    Fact,
    Payload,
    Source,
    SpanEnded,
    SpanEvent,
    SpanLinked,
    SpanStarted,
    SpanUpdated,
)
from trajectory.model.lists import LIST, Lists, expand
from trajectory.model.words import Slot, SpanKind

STORIES = {**{name: story for name, (story, _) in FAULTY.items()}, **CLEAN, "stuck": stuck}
MEDIA: list[Media] = ["json", "protobuf"]
SOURCES = [Source(name * 16, b"b" * 16, {"service.name": name.decode()}) for name in (b"a", b"b")]
every_media = pytest.mark.parametrize("media", MEDIA)


def through(trace: Trace, media: Media) -> tuple[list[Batch], Trace]:
    """A trace written and read: the facts that came, and their fold."""
    out = io.BytesIO()
    (OTLP_JSON if media == "json" else OTLP_PROTOBUF).write(Subject(trace), out)
    read = read_request(out.getvalue(), media)
    assert read.quarantined == []
    return read.batches, fold(read.batches, trace.trace_id)


def bodies(trace: Trace, contents: dict[str, list[bytes]]) -> dict[str, Any]:
    """What slots hold, body by body; an empty slot says no more than none."""
    digests = {slot: expand(entries, trace.payload_source) for slot, entries in contents.items()}
    held = {str(slot): [body for one in those if (body := trace.body(one))] for slot, those in digests.items()}
    return {slot: said for slot, said in held.items() if said}


def all_of(trace: Trace, span: Span) -> dict[str, Any]:
    """Everything that a span's facts told."""
    events = [(e.at_ns, e.name, str(e.surface), e.attributes, bodies(trace, e.contents)) for e in span.events]
    links = [(link.at_ns, str(link.kind), link.to_trace_id, link.to_span_id, link.attributes) for link in span.links]
    return {
        "place": (span.parent_id, span.is_placeholder, span.is_open, trace.span_label(span)),
        "what": (str(span.kind), span.name, span.agent, str(span.surface), span.service),
        "times": (span.start_ns, span.end_ns),
        "end": (str(span.status), span.message, span.error_type, span.error_text),
        "attributes": span.attributes,
        "contents": bodies(trace, span.contents),
        "streamed": "" if Slot.OUTPUT in span.contents else span.partial_text,
        "events": events,
        "links": links,
    }


def assert_same(before: Trace, after: Trace) -> None:
    heard = {key: span for key, span in before.spans.items() if not span.is_unheard}
    assert {key for key, span in after.spans.items() if not span.is_unheard} == set(heard)
    for key, span in heard.items():
        assert all_of(after, after.spans[key]) == all_of(before, span)
    assert told(after) == told(before)


@every_media
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_a_story_comes_back_as_the_same_graph_and_is_judged_alike(story: Story, media: Media) -> None:
    run = story()
    before, said = judged(run, registered_detectors())
    batches, after = through(before, media)
    assert_same(before, after)
    judge = TraceJudge(after, registered_detectors())
    again = [
        f for batch in batches for fact in batch.facts if not isinstance(fact, Payload) for f in judge.observe(fact)
    ]
    again += judge.settle(before.last_ns)
    assert [(f.key, f.severity, f.agent) for f in last(again)] == [(f.key, f.severity, f.agent) for f in last(said)]


def test_a_second_way_out_and_in_changes_nothing() -> None:
    run = FAULTY["escaped"][0]()
    once = through(run.trace(), "json")[1]
    assert_same(once, through(once, "protobuf")[1])


def test_what_a_message_has_room_for_is_not_said_twice() -> None:
    run = Scenario()
    with run.agent("planner", task="Find a hotel"):
        run.says("I found H99.")
    assert request_of(run.trace()).SerializeToString().count(b"I found H99.") == 2  # said, and returned


text = wild.map(lambda some: some.encode("utf-8", "replace").decode())
whole = st.integers(-(1 << 63), (1 << 63) - 1)
leaves = st.none() | st.booleans() | whole | st.floats(allow_nan=False, allow_infinity=False) | text
values = st.recursive(leaves, lambda v: st.lists(v, max_size=2) | st.dictionaries(text, v, max_size=2), max_leaves=4)
meant = st.sampled_from(
    [
        "gen_ai.agent.name", "gen_ai.operation.name", "gen_ai.input.messages", "gen_ai.tool.name", "gen_ai.tool.call.result",
        "gen_ai.usage.input_tokens", "gen_ai.conversation.id", "session.id", "error.type", "otel.scope.name", "input.value",
        "openinference.span.kind", "traceloop.span.kind", "logfire.span_type", "_dd.partial_version", "link.type", "metadata",
        "trajectory.title", "trajectory.delegation.target", "trajectory.delegation.grade", "trajectory.delegation.mode",
        "trajectory.usage.rollup_input_tokens",
    ]
)  # fmt: skip
words = st.sampled_from(["AGENT", "chat", "pending_span", "observed", "declared", "transfer", "researcher", "7"])
attributes = st.dictionaries(text, values, max_size=3) | st.dictionaries(meant, words | whole, max_size=4)
trace_ids, zero = st.just(TRACE_ID), st.just(0)
instants = st.integers(1, 60).map(lambda s: START_NS + s * 1_000_000_000)
ids = st.sampled_from([bytes(7) + bytes([n]) for n in range(1, 6)])
slots = st.sampled_from([str(slot) for slot in Slot] + ["a slot of tomorrow"])
messages = st.builds(lambda role, said: {"role": role, "content": said}, st.sampled_from(["user", "tool"]), text)
contents = st.dictionaries(slots, st.lists(text | values | messages, min_size=1, max_size=6), max_size=2)
kinds = st.sampled_from(["agent", "model", "tool", "retrieval", "delegation", "other", "a kind of tomorrow"])
names = text.filter(bool) | st.sampled_from(["planner", "researcher", "transfer_to_researcher"])
events = names | st.sampled_from(["exception", "gen_ai.choice"])
pieces = st.fixed_dictionaries({"text": text})
statuses = st.sampled_from(["unset", "ok", "error"])
surfaces = st.sampled_from(["cognitive", "operational", "contextual", "coordination"])
links = st.sampled_from(["retry_of", "caused", "follows", "a link of tomorrow"])
above, agents = ids | st.just(b""), names | st.just("")
starts = st.builds(
    SpanStarted, trace_ids, ids, above, instants, zero, kinds, names, agents, surfaces, attributes, contents
)
ends = st.builds(SpanEnded, trace_ids, ids, instants, zero, statuses, text, attributes, contents)
happenings = st.builds(SpanEvent, trace_ids, ids, instants, zero, events, surfaces, attributes, contents)
deltas = st.builds(SpanEvent, trace_ids, ids, instants, zero, st.just("delta"), attributes=pieces)
updates = st.builds(SpanUpdated, trace_ids, ids, instants, zero, attributes, contents)
linked = st.builds(SpanLinked, trace_ids, ids, instants, links, trace_ids, ids, attributes)
facts = st.lists(starts | ends | happenings | deltas | updates | linked, min_size=1, max_size=14)


class Telling:
    """Facts whose contents are values, told with their bodies at hand; long slots as lists."""

    def __init__(self) -> None:
        self.held: dict[bytes, tuple[str, bytes]] = {}
        self.lists = Lists()

    def trace(self, told: list[Any]) -> Trace:
        trace = Trace(TRACE_ID, self.held.get)
        for number, fact in enumerate(told):
            trace.apply(self.settled(fact), SOURCES[number % 2])
        return trace

    def settled(self, fact: Any) -> Fact:
        if isinstance(fact, SpanLinked):
            return fact
        by_slot = {slot: self.entries([self.body(value) for value in said]) for slot, said in fact.contents.items()}
        fields = {name: getattr(fact, name) for name in fact.__struct_fields__}
        return cast(Fact, type(fact)(**{**fields, "contents": by_slot}))

    def body(self, value: Any) -> bytes:
        media, body = encode_message(value) if isinstance(value, dict) and "role" in value else encode(value)
        self.held[digest(media, body)] = (media, body)
        return digest(media, body)

    def entries(self, digests: list[bytes]) -> list[bytes]:
        if len(digests) < 4:
            return digests
        entry, body = self.lists.entry(digests)
        if body:
            self.held[digest(LIST, body)] = (LIST, body)
        return [entry]


@every_media
@pytest.mark.parametrize("kind", [str(kind) for kind in SpanKind])
def test_a_span_that_names_its_operation_itself_keeps_its_contents(kind: str, media: Media) -> None:
    own = {
        "gen_ai.operation.name": OPERATIONS.get(kind, "x"),
        "gen_ai.tool.name": "fetch",
        "gen_ai.agent.name": "planner",
    }
    said = {str(slot): [f"what {slot} holds"] for slot in Slot}
    started = SpanStarted(
        TRACE_ID, bytes(7) + b"a", b"", START_NS, 0, kind, "fetch", "planner", attributes=own, contents=said
    )
    before = Telling().trace([started, SpanEnded(TRACE_ID, started.span_id, START_NS + 1, 0, "ok", contents=said)])
    assert_same(before, through(before, media)[1])


@every_media
@settings(calm, max_examples=50)
@given(facts)
def test_any_telling_comes_back_as_the_same_graph(media: Media, some: list[Any]) -> None:
    before = Telling().trace(some)
    assert_same(before, through(before, media)[1])


@every_media
def test_an_end_by_a_clock_that_was_set_back_comes_back_as_it_was(media: Media) -> None:
    started = SpanStarted(TRACE_ID, bytes(7) + b"a", b"", START_NS, 0, SpanKind.TOOL, "fetch", "planner")
    before = Telling().trace([started, SpanEnded(TRACE_ID, started.span_id, START_NS - 7, 0, "ok")])
    _, after = through(before, media)
    assert after.spans[started.span_id].end_ns == START_NS - 7
