"""Hypothesis strategies: any facts that can travel, and the texts that agents would send to break a format."""

import math

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from trajectory.model.fact import (
    Batch,
    Evidence,
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
)

BREAKERS = [
    "",
    " ",
    "a\x00b\x1b[31mred\x07",
    "]]>&amp;<script>alert(1)</script>",
    '"; digraph { evil } //',
    "back\\slash\\",
    "new\nline\r\n\ttab",
    "| pipe ` tick ``` fence",
    '"] --> evil["',
    "end",
    "1. list",
    "[click](javascript:alert(1)) ![x](http://e/x.png)",
    "<b>bold</b> https://example.com www.example.com",
    "\u202egnp.exe\u202c",
    "\ud800 half",
    "\ufffe\uffff\x85",
    "😀 東京 e\u0301",
    "graph", "node", "%%{init: {}}%%", "#quot;", "-->",
]  # fmt: skip

calm = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no bug

wild = st.sampled_from(BREAKERS) | st.text(max_size=24)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
number = st.integers(-(1 << 63), (1 << 64) - 1)
trace_ids = st.binary(min_size=16, max_size=16)
span_ids = st.binary(min_size=8, max_size=8)
instants = st.integers(0, (1 << 63) - 1)
leaves = (
    st.none() | st.booleans() | number | st.floats(allow_nan=False) | text | st.binary(max_size=9) | st.just("$bytes")
)
keys = text | st.sampled_from(["$bytes", "$map", "$float", "$"])
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(keys, inner, max_size=3)
        | st.dictionaries(number | text, inner, max_size=3)
    ),
    max_leaves=6,
)
attributes = st.dictionaries(keys, values, max_size=3)
contents = st.dictionaries(text, st.lists(trace_ids, max_size=2), max_size=2)
evidence = st.lists(st.builds(Evidence, span_ids, text), max_size=2)
confidence = st.floats(0, 1) | st.just(math.inf)
findings = st.builds(
    Finding, text, text, confidence, trace_ids, span_ids, text, agent=text, value=text, root_span_id=st.just(b"") | span_ids,
    path=st.lists(span_ids, max_size=2), evidence=evidence, at_ns=instants,
)  # fmt: skip
facts = st.one_of(
    st.builds(
        SpanStarted, trace_ids, span_ids, st.just(b"") | span_ids, instants, number, text, text,
        agent=text, attributes=attributes, contents=contents,
    ),
    st.builds(SpanEnded, trace_ids, span_ids, instants, number, status=text, message=text, attributes=attributes),
    st.builds(SpanEvent, trace_ids, span_ids, instants, number, text, attributes=attributes, contents=contents),
    st.builds(SpanUpdated, trace_ids, span_ids, instants, number, attributes, contents),
    st.builds(SpanLinked, trace_ids, span_ids, instants, text, trace_ids, span_ids, attributes),
    st.builds(Payload, trace_ids, text, st.binary(max_size=30) | text.map(str.encode)),
    st.builds(Heartbeat, instants, number, st.lists(span_ids, max_size=2)),
    st.builds(Gap, instants, number, text),
    st.builds(Found, instants, findings),
    st.builds(Marked, trace_ids, instants, text, text, text),
)  # fmt: skip
sources = st.builds(Source, trace_ids, trace_ids, attributes)
batches = st.builds(Batch, sources, st.integers(0, 1 << 62), st.lists(facts, max_size=5))
