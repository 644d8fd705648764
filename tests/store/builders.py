"""Facts for the tests of stores: small ones by hand, any ones by Hypothesis, and what a store must make of them.

Invariant: a payload here has its true digest, and trace and span ids their true lengths, as the intake sees to it.
"""

from collections.abc import Iterable, Sequence

from hypothesis import strategies as st

from trajectory.model.content import TEXT, digest
from trajectory.model.fact import (
    Batch,
    Evidence,
    Fact,
    Finding,
    Found,
    Gap,
    Heartbeat,
    Marked,
    Payload,
    Source,
    SpanEnded,
    SpanEvent,
    SpanLinked,
    SpanStarted,
    SpanUpdated,
    trace_of,
)
from trajectory.store.contract import Reader

TRACE_A, TRACE_B, TRACE_C = (bytes([n]) * 16 for n in (0xA0, 0xB0, 0xB1))
SPAN = b"s" * 8
SOURCE = Source(b"e" * 16, b"b" * 16, {"service.name": "planner"})
OTHER = Source(b"f" * 16, b"c" * 16, {"service.name": "search", "host.name": "héllo"})


class StoppedClock:
    """A clock that a test sets."""

    def __init__(self, at_ns: int = 1) -> None:
        self.at_ns = at_ns

    def now_ns(self) -> int:
        return self.at_ns


def started(
    trace_id: bytes = TRACE_A, at_ns: int = 10, contents: Sequence[bytes] = (), name: str = "work"
) -> SpanStarted:
    return SpanStarted(
        trace_id, SPAN, b"", at_ns, 0, "agent", name, contents={"input": list(contents)} if contents else {}
    )


def ended(trace_id: bytes = TRACE_A, at_ns: int = 20) -> SpanEnded:
    return SpanEnded(trace_id, SPAN, at_ns, 0, "ok")


def payload(text: str) -> Payload:
    return Payload(digest(TEXT, text.encode()), TEXT, text.encode())


def finding(
    trace_id: bytes = TRACE_A, kind: str = "context.lost", severity: str = "warning", at_ns: int = 5, value: str = "x"
) -> Finding:
    return Finding(
        kind, severity, 0.5, trace_id, SPAN, "was lost", value=value, at_ns=at_ns, evidence=[Evidence(SPAN, "e")]
    )


def facts_in(batches: Iterable[Batch]) -> list[Fact]:
    return [fact for batch in batches for fact in batch.facts]


def assert_holds(reader: Reader, sent: dict[Source, list[Fact]]) -> None:
    """The store holds exactly the facts that each source sent, in its order, and gives them back by trace and as a whole."""
    everything = list(reader.all_batches())
    for source, facts in by_source(everything).items():
        assert facts == without_payloads(sent[source])
    assert len(facts_in(everything)) == sum(len(without_payloads(facts)) for facts in sent.values())
    for trace_id in {trace_of(fact) for facts in sent.values() for fact in facts} - {b""}:
        for source, facts in by_source(reader.facts(trace_id)).items():
            assert facts == [fact for fact in without_payloads(sent[source]) if trace_of(fact) == trace_id]
        assert trace_id in reader.trace_ids()
    for fact in (fact for facts in sent.values() for fact in facts if isinstance(fact, Payload)):
        assert reader.payload(fact.digest) == (fact.media_type, fact.body)


def by_source(batches: Iterable[Batch]) -> dict[Source, list[Fact]]:
    found: dict[tuple[bytes, bytes], tuple[Source, list[Fact]]] = {}
    for batch in batches:
        key = (batch.source.emitter_id, batch.source.boot_id)
        found.setdefault(key, (batch.source, []))[1].extend(batch.facts)
    return {HashableSource.of(source): facts for source, facts in found.values()}


class HashableSource(Source, frozen=True):
    """A source that can be a key, although its resource is a dictionary."""

    @classmethod
    def of(cls, source: Source) -> "HashableSource":
        return cls(source.emitter_id, source.boot_id, source.resource)

    def __hash__(self) -> int:
        return hash((self.emitter_id, self.boot_id))


def without_payloads(facts: Iterable[Fact]) -> list[Fact]:
    return [fact for fact in facts if not isinstance(fact, Payload)]


# Hypothesis

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | _texts
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=5,
)
_attributes = st.dictionaries(_texts, _values, max_size=3)
_traces = st.sampled_from([TRACE_A, TRACE_B, TRACE_C])
_spans = st.binary(min_size=8, max_size=8)
_times = st.integers(0, (1 << 63) - 1)
_digests = st.binary(min_size=16, max_size=16)
_contents = st.dictionaries(_texts, st.lists(_digests, max_size=3), max_size=2)
_payloads = st.builds(
    lambda media_type, body: Payload(digest(media_type, body), media_type, body), _texts, st.binary(max_size=200)
)
_findings = st.builds(Finding, _texts, _texts, st.floats(0, 1), _traces, _spans, _texts, value=_texts, at_ns=_times)

facts: st.SearchStrategy[Fact] = st.one_of(
    st.builds(
        SpanStarted, _traces, _spans, _spans, _times, _times, _texts, _texts, _texts, _texts, _attributes, _contents
    ),
    st.builds(SpanEnded, _traces, _spans, _times, _times, _texts, _texts, _attributes, _contents),
    st.builds(SpanEvent, _traces, _spans, _times, _times, _texts, _texts, _attributes, _contents),
    st.builds(SpanUpdated, _traces, _spans, _times, _times, _attributes, _contents),
    st.builds(SpanLinked, _traces, _spans, _times, _texts, _traces, _spans, _attributes),
    _payloads,
    st.builds(Heartbeat, _times, _times, st.lists(_spans, max_size=3)),
    st.builds(Gap, _times, st.integers(1, 100), _texts),
    st.builds(Found, _times, _findings),
    st.builds(Marked, _traces, _times, _texts, _texts, _texts),
)


Sending = tuple[dict[Source, list[Fact]], list[list[Batch]]]


@st.composite
def sendings(draw: st.DrawFn) -> Sending:
    """What two sources sent, and the appends in which it comes: cut anywhere, interleaved, parts of it more than once."""
    sent: dict[Source, list[Fact]] = {
        HashableSource.of(source): draw(st.lists(facts, max_size=12)) for source in (SOURCE, OTHER)
    }
    coming: list[list[Batch]] = [[]]
    positions = dict.fromkeys(sent, 0)
    while any(positions[source] < len(sent[source]) for source in sent):
        source = draw(st.sampled_from([s for s in sent if positions[s] < len(sent[s])]))
        first = draw(st.integers(0, positions[source]))  # below the position: sent before
        last = draw(st.integers(positions[source] + 1, len(sent[source])))
        plain = Source(source.emitter_id, source.boot_id, source.resource)
        coming[-1].append(Batch(plain, first, sent[source][first:last]))
        positions[source] = last
        if draw(st.booleans()):
            coming.append([])
    return sent, coming
