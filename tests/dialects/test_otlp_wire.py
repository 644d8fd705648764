"""The wire: protobuf and JSON read the same, ids and numbers in all their forms, and what is broken is told apart."""

import base64
import json
from typing import Any

import pytest
from google.protobuf import json_format

from tests.dialects.build import BASE_NS, SECOND_NS, TRACE_ID, facts, otel_span, request, span_id, traces
from trajectory.dialects.otlp import MAX_REASONS, read_request
from trajectory.errors import WireError
from trajectory.model.fact import Payload, SpanEnded, SpanEvent, SpanLinked, SpanStarted
from trajectory.protocol.codec import decode_facts, encode_facts


def as_json(message: Any) -> Any:
    """A request as OTLP's JSON: protobuf's own, with hexadecimal ids and enumerations as numbers."""
    document = json_format.MessageToDict(message, use_integers_for_enums=True)

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                if key in ("traceId", "spanId", "parentSpanId"):
                    node[key] = base64.b64decode(value).hex()
                else:
                    walk(value)
        elif isinstance(node, list):
            for item in node:
                walk(item)

    walk(document)
    return document


def read_json(document: Any):
    return read_request(json.dumps(document).encode(), "json")


def rich():
    return request(
        otel_span(
            1, "chat m", 0, 0, 2, kind=3, gen_ai__operation__name="chat", gen_ai__request__model="m",
            gen_ai__usage__input_tokens=7, gen_ai__response__finish_reasons=["stop"], nested={"a": [1, 2.5, True]},
            gen_ai__input__messages='[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]',
            events=[("gen_ai.custom", {"n": 1})], links=[(b"\1" * 16, b"\2" * 8, {"why": "retry"})],
        ),
        otel_span(2, "execute_tool f", 1, 1, 1, error="boom", gen_ai__operation__name="execute_tool"),
        scope="ünïcode", service__version="2",
    )  # fmt: skip


def test_json_and_protobuf_of_one_request_are_the_same_facts():
    message = rich()
    protobuf = read_request(message.SerializeToString(), "protobuf")
    assert read_json(as_json(message)) == protobuf
    (batch,) = protobuf.batches
    assert decode_facts(encode_facts(batch.facts)) == batch.facts


def test_json_takes_numbers_or_text_enumeration_names_and_unknown_fields():
    document = as_json(rich())
    span = document["resourceSpans"][0]["scopeSpans"][0]["spans"][1]
    expected = read_json(document)
    span["startTimeUnixNano"] = int(span["startTimeUnixNano"])
    span["kind"] = "SPAN_KIND_INTERNAL"
    span["status"]["code"] = "STATUS_CODE_ERROR"
    span["droppedAttributesCount"] = 0
    document["someday"] = {"new": 1}
    assert read_json(document) == expected


def test_json_takes_whole_fractions_enumerations_in_digits_and_maps():
    document = as_json(rich())
    expected = read_json(document)
    first, second = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    first["endTimeUnixNano"] = float(first["endTimeUnixNano"])
    second["status"]["code"] = "2"
    second["parentSpanId"] = first["spanId"]
    first["links"].append({"traceId": "zz", "spanId": "00"})
    first["parentSpanId"] = "0" * 16
    assert read_json(document) == expected


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({"intValue": "12"}, 12),
        ({"intValue": "twelve"}, "twelve"),
        ({"intValue": 12.0}, 12),
        ({"intValue": [1]}, None),
        ({"someValue": 1, "stringValue": "x"}, "x"),
        ({"someValue": 1}, None),
        ({"kvlistValue": {"values": [{"key": "a", "value": {"boolValue": True}}]}}, {"a": True}),
        ({"arrayValue": {"values": [{"doubleValue": 0.5}, {"bytesValue": "aGk="}]}}, [0.5, "aGk="]),
    ],
)
def test_a_value_in_json_is_read_in_all_its_forms(value, read):
    document = as_json(request(otel_span(1, "x", note="y")))
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"][0]["value"] = value
    (batch,) = read_json(document).batches
    assert batch.facts[0].attributes.get("note") == read


def test_a_span_becomes_start_events_links_and_end():
    told = facts(*rich().resource_spans[0].scope_spans[0].spans)
    kinds = [type(fact) for fact in told]
    assert kinds == [Payload, SpanStarted, SpanEvent, SpanLinked, SpanEnded, SpanStarted, SpanEnded]
    start, end = told[1], told[4]
    assert (start.trace_id, start.span_id, start.parent_id) == (TRACE_ID, span_id(1), b"")
    assert (start.at_ns, end.at_ns) == (BASE_NS, BASE_NS + 2 * SECOND_NS)
    assert start.attributes["nested"] == {"a": [1, 2.5, True]}
    assert end.attributes["gen_ai.usage.input_tokens"] == 7


def test_payloads_come_before_the_facts_that_name_them_and_once():
    message = '[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]'
    told = facts(
        *(otel_span(n, "chat m", gen_ai__operation__name="chat", gen_ai__input__messages=message) for n in (1, 2))
    )
    assert [type(f) for f in told] == [Payload, SpanStarted, SpanEnded, SpanStarted, SpanEnded]
    assert told[1].contents == told[3].contents == {"input": [told[0].digest]}


def test_a_span_without_an_end_stays_open():
    span = otel_span(1, "work")
    span.end_time_unix_nano = 0
    assert [type(fact) for fact in facts(span)] == [SpanStarted]


def test_an_end_before_the_start_is_moved_to_the_start():
    span = otel_span(1, "work")
    span.end_time_unix_nano = span.start_time_unix_nano - 5
    assert facts(span)[-1].at_ns == span.start_time_unix_nano


def test_a_pending_record_opens_the_span_above_it_and_the_final_one_ends_it():
    pending = otel_span(
        9, "invoke_agent a", 1, 0, 0, logfire__span_type="pending_span", logfire__pending_parent_id="0" * 16,
        gen_ai__operation__name="invoke_agent", gen_ai__agent__name="a",
    )  # fmt: skip
    final = otel_span(1, "invoke_agent a", 0, 0, 2, gen_ai__operation__name="invoke_agent", gen_ai__agent__name="a")
    opened = read_request(request(pending).SerializeToString(), "protobuf").batches
    (trace,) = traces(opened)
    assert (len(trace.spans), trace.open_count, list(trace.agents())) == (1, 1, ["a"])
    (trace,) = traces([*opened, *read_request(request(final).SerializeToString(), "protobuf").batches])
    assert (len(trace.spans), trace.open_count) == (1, 0)


def test_a_partial_record_opens_its_span_and_the_final_one_ends_it():
    partial = read_request(
        request(otel_span(1, "work", _dd__partial_version=1)).SerializeToString(), "protobuf"
    ).batches
    (trace,) = traces(partial)
    assert (len(trace.spans), trace.open_count) == (1, 1)
    (trace,) = traces([*partial, *read_request(request(otel_span(1, "work")).SerializeToString(), "protobuf").batches])
    assert (len(trace.spans), trace.open_count) == (1, 0)


@pytest.mark.parametrize("above", ["", "zz", "12", "0" * 16])
def test_a_pending_record_that_names_no_span_above_opens_a_root(above):
    pending = otel_span(9, "work", 1, 0, 0, logfire__span_type="pending_span", logfire__pending_parent_id=above)
    start = facts(pending)[0]
    assert (start.span_id, start.parent_id) == (span_id(1), b"")


def test_the_same_bytes_again_change_nothing():
    batches = read_request(rich().SerializeToString(), "protobuf").batches
    (once,), (twice,) = traces(batches), traces([*batches, *batches])
    assert once.version == twice.version


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.__setattr__("trace_id", b"short"),
        lambda s: s.__setattr__("trace_id", bytes(16)),
        lambda s: s.__setattr__("span_id", b""),
        lambda s: s.__setattr__("parent_span_id", b"odd"),
        lambda s: s.__setattr__("start_time_unix_nano", 1 << 63),
    ],
)
def test_a_bad_span_is_set_aside_with_its_reason_and_its_neighbours_are_kept(spoil):
    bad, good = otel_span(1, "bad one"), otel_span(2, "good")
    spoil(bad)
    result = read_request(request(bad, good).SerializeToString(), "protobuf")
    assert [f.name for f in result.batches[0].facts if isinstance(f, SpanStarted)] == ["good"]
    (reason,) = result.quarantined
    assert "bad one" in reason


def test_of_many_bad_spans_the_first_reasons_are_kept_and_all_are_counted():
    bad = [otel_span(number, "bad", trace_id_is=number) for number in range(1, 300)]
    for span in bad:
        span.trace_id = b"short"
    result = read_request(request(*bad).SerializeToString(), "protobuf")
    assert (len(result.quarantined), result.rejected_count) == (MAX_REASONS, 299)


def test_a_bad_span_in_json_is_set_aside_too():
    document = as_json(rich())
    document["resourceSpans"][0]["scopeSpans"][0]["spans"] += [
        {"traceId": "zz"},
        "no span",
        {"name": "x", "traceId": 5},
    ]
    result = read_json(document)
    assert len(result.quarantined) == 3
    assert sum(isinstance(f, SpanStarted) for f in result.batches[0].facts) == 2


@pytest.mark.parametrize("body", [b"\x0a\xff\xff", b"\xff" * 40, rich().SerializeToString()[:-9]])
def test_truncated_or_foreign_protobuf_is_refused(body):
    with pytest.raises(WireError, match="protobuf"):
        read_request(body, "protobuf")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b'"x"', b'{"resourceSpans": 5}', b'{"resourceLogs": []}', b"\xff\xfe{}"]
)
def test_truncated_or_foreign_json_is_refused(body):
    with pytest.raises(WireError, match=r"JSON|resourceSpans"):
        read_request(body, "json")


def test_an_empty_request_is_no_error():
    assert read_request(b"", "protobuf").batches == []
    assert read_request(b"{}", "json").batches == []


def test_two_instances_of_a_service_are_two_sources_and_one_instance_is_one():
    def source(instance: str):
        made = request(otel_span(1, "x"), service__instance__id=instance)
        return read_request(made.SerializeToString(), "protobuf").batches[0].source

    assert source("a").emitter_id == source("a").emitter_id
    assert source("a").emitter_id != source("b").emitter_id
    assert source("a").service == "trips"


def test_lone_surrogates_in_json_do_not_break_facts():
    document = as_json(request(otel_span(1, "x", note="y")))
    span = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["name"] = "\ud800"
    span["attributes"][0]["value"] = {"stringValue": "a\udfff"}
    (batch,) = read_json(document).batches
    assert decode_facts(encode_facts(batch.facts)) == batch.facts
