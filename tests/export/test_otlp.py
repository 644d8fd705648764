"""OTLP is what OpenTelemetry's own messages parse, and what our own import reads back as the same trace."""

import io
import json
from typing import Any

import pytest
from google.protobuf.json_format import Parse
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.detection.asking import judged
from tests.detection.stories import invented
from tests.export.build import TRACE_ID, Scene, fold, trip
from tests.export.strategies import attributes, calm, wild
from trajectory.detection.cascade import Cascades
from trajectory.dialects.otlp import read_request
from trajectory.export.contract import Exporter, Subject
from trajectory.export.otlp import OTLP_JSON, OTLP_PROTOBUF
from trajectory.graph.trace import Trace
from trajectory.model.fact import Found, SpanEvent, SpanLinked
from trajectory.model.lists import expand
from trajectory.model.words import Slot


def written(exporter: Exporter, scene: Scene) -> bytes:
    out = io.BytesIO()
    exporter.write(scene.subject(), out)
    return out.getvalue()


def parsed(scene: Scene) -> Any:
    request = ExportTraceServiceRequest()
    request.ParseFromString(written(OTLP_PROTOBUF, scene))
    return request


def spans_of(request: Any) -> dict[bytes, Any]:
    return {s.span_id: s for group in request.resource_spans for scope in group.scope_spans for s in scope.spans}


def strings(span: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in span.attributes}


def event_told(trace: Trace, event: SpanEvent) -> list[Any]:
    expanded = {slot: expand(entries, trace.payload_source) for slot, entries in event.contents.items()}
    held = {slot: [trace.text(digest) for digest in digests] for slot, digests in expanded.items()}
    return [event.name, event.at_ns, event.surface, event.attributes, held]


def told(trace: Trace) -> dict[str, Any]:
    """All that a person asks of a trace."""
    return {
        "agents": {name: [getattr(usage, f) for f in usage.__slots__] for name, usage in trace.agents().items()},
        "delegations": [
            (d.source_agent, d.target_agent, d.mode, d.grade, d.reason, d.state) for d in trace.delegations()
        ],
        "tasks": [trace.text(digest) for d in trace.delegations() for digest in d.task_digests()],
        "returned": [trace.text(digest) for d in trace.delegations() for digest in d.returned_digests()],
        "tools": {name: [(s.status, s.error_type) for s in spans] for name, spans in trace.tools().items()},
        "errors": [s.span_id for s in trace.root_errors()],
        "session": trace.session_id,
        "title": trace.title,
        "state": trace.state,
        "times": {s.span_id: (s.start_ns, s.end_ns, s.kind, s.parent_id, s.surface) for s in trace.spans.values()},
        "messages": {s.span_id: (s.name, s.message, s.error_text) for s in trace.spans.values()},
        "events": {s.span_id: [event_told(trace, e) for e in s.events] for s in trace.spans.values()},
        "links": {s.span_id: [(link.kind, link.to_span_id) for link in s.links] for s in trace.spans.values()},
    }


@pytest.mark.parametrize(("exporter", "media"), [(OTLP_JSON, "json"), (OTLP_PROTOBUF, "protobuf")])
def test_our_import_reads_back_the_same_trace(exporter: Exporter, media: Any) -> None:
    scene = trip()
    read = read_request(written(exporter, scene), media)
    assert read.quarantined == []
    assert told(fold(read.batches)) == told(scene.trace())


def same_bodies(scene: Scene) -> None:
    before, after = scene.trace(), fold(read_request(written(OTLP_JSON, scene), "json").batches)
    for span in before.spans.values():
        read = after.spans[span.span_id]
        for slot, digests in span.contents.items():
            assert list(map(after.body, read.digests(slot))) == list(map(before.body, digests)), (span, slot)


def test_content_comes_back_body_by_body() -> None:
    same_bodies(trip())


@settings(calm, max_examples=12)
@given(st.lists(wild, min_size=1, max_size=2), st.sampled_from(["model", "agent", "tool", "delegation", "other"]))
def test_any_content_in_any_slot_comes_back(texts: list[str], kind: str) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    messages = [{"role": role, "content": text} for role in ("user", "assistant") for text in texts]
    for values in (texts, messages, [{"q": texts}], ["{'a': 1}", '{"b": 2}'], [b"\xff\x00"]):
        for slot in Slot:
            scene = Scene()
            scene.span(kind, "x", agent="x", **{slot: values})
            same_bodies(scene)


def test_json_has_hexadecimal_ids_numbers_for_enums_and_text_for_64_bits() -> None:
    document = json.loads(written(OTLP_JSON, trip()))
    spans = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    tool = next(span for span in spans if span["name"] == "search")
    assert tool["traceId"] == TRACE_ID.hex() and len(tool["spanId"]) == len(tool["parentSpanId"]) == 16
    assert tool["kind"] == 1 and tool["status"]["code"] == 2
    assert tool["startTimeUnixNano"] == "1790000002000000000"
    tokens = [a["value"] for s in spans for a in s["attributes"] if a["key"] == "gen_ai.usage.input_tokens"]
    assert tokens == [{"intValue": "100"}, {"intValue": "100"}]


def test_json_and_protobuf_say_the_same() -> None:
    document = json.loads(written(OTLP_JSON, trip()))
    for group in document["resourceSpans"]:
        for span in group["scopeSpans"][0]["spans"]:
            for holder in (span, *span.get("links", ())):
                for key in {"traceId", "spanId", "parentSpanId"} & set(holder):
                    holder[key] = _base64(holder[key])
    assert Parse(json.dumps(document), ExportTraceServiceRequest()) == parsed(trip())


def _base64(text: str) -> str:
    import base64

    return base64.b64encode(bytes.fromhex(text)).decode()


def test_each_process_is_a_resource_and_each_span_keeps_its_place() -> None:
    scene = trip()
    request, trace = parsed(scene), scene.trace()
    services = [
        a.value.string_value for g in request.resource_spans for a in g.resource.attributes if a.key == "service.name"
    ]
    assert services == ["travel", "booking"]
    spans = spans_of(request)
    assert {key: span.parent_span_id for key, span in spans.items()} == {k: s.parent_id for k, s in trace.spans.items()}
    assert {span.kind for span in spans.values() if strings(span)["trajectory.span.kind"] == "model"} == {3}


def test_spans_speak_the_genai_conventions() -> None:
    by_name = {span.name: strings(span) for span in spans_of(parsed(trip())).values()}
    assert by_name["coordinator"]["gen_ai.operation.name"] == "invoke_agent"
    assert by_name["coordinator"]["gen_ai.agent.name"] == "coordinator"
    assert by_name["search"]["gen_ai.operation.name"] == "execute_tool"
    assert json.loads(by_name["search"]["gen_ai.tool.call.arguments"]) == {"city": "Rome"}
    assert by_name["search"]["gen_ai.tool.call.result"] == "Error: 503"
    assert by_name["to booker"]["gen_ai.transfer.mode"] == "pass_control"
    assert by_name["to booker"]["gen_ai.transfer.target.name"] == "booker"
    first = next(strings(s) for s in spans_of(parsed(trip())).values() if "gen_ai.system_instructions" in strings(s))
    assert json.loads(first["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief."}]
    (message,) = json.loads(first["gen_ai.output.messages"])
    assert message["role"] == "assistant" and message["parts"][0]["name"] == "find"


def test_a_nested_agent_without_a_delegation_span_is_still_a_delegation() -> None:
    scene = Scene()
    root = scene.span("agent", "boss", agent="boss")
    tool = scene.span("tool", "ask", root, arguments=["the task"], result=["the answer"])
    scene.span("agent", "aide", tool, agent="aide")
    assert told(fold(read_request(written(OTLP_JSON, scene), "json").batches)) == told(scene.trace())


@pytest.mark.parametrize("grade", ["observed", "declared", "inferred"])
@pytest.mark.parametrize("mode", ["call", "transfer"])
def test_a_delegation_keeps_its_mode_and_grade(mode: str, grade: str) -> None:
    scene = Scene()
    root = scene.span("agent", "boss", agent="boss")
    scene.delegate(root, "aide", sender="boss", mode=mode, grade=grade)
    scene.span("delegation", "to nobody", root, attributes={"trajectory.delegation.target": "nobody"}, task=["lost"])
    assert told(fold(read_request(written(OTLP_PROTOBUF, scene), "protobuf").batches)) == told(scene.trace())


def test_an_open_span_has_no_end() -> None:
    request = parsed(trip())
    assert [span.name for span in spans_of(request).values() if span.end_time_unix_nano == 0] == ["quote"]


@calm
@given(attributes, wild)
def test_any_attribute_and_any_text_is_written(some: dict[str, Any], text: str) -> None:
    scene = Scene()
    root = scene.span("agent", text, agent=text, attributes=some, input=[text], message=text, status="error")
    scene.event(root, text, 1, text=text)
    scene.span("tool", text, root, result=[text], arguments=[b"\xff\x00"])
    read = read_request(written(OTLP_JSON, scene), "json")
    assert read.quarantined == [] and sum(len(batch.facts) for batch in read.batches) >= 4
    assert len(spans_of(parsed(scene))) == 2


@calm
@given(st.lists(wild, max_size=3))
def test_bodies_that_are_no_text_come_back(texts: list[str]) -> None:
    scene = Scene()
    scene.span("other", "blob", context=[b"\xff\xfe", *(t.encode("utf-8", "replace") for t in texts)])
    after = fold(read_request(written(OTLP_PROTOBUF, scene), "protobuf").batches)
    ((span,), (before,)) = after.spans.values(), scene.trace().spans.values()
    assert [after.body(d) for d in span.digests("context")] == [scene.bodies[d] for d in before.digests("context")]


def test_links_that_were_worked_out_are_written_and_not_read_again() -> None:
    subject = Subject(_cascading())
    out = io.BytesIO()
    OTLP_JSON.write(subject, out)
    spans = [s for g in json.loads(out.getvalue())["resourceSpans"] for c in g["scopeSpans"] for s in c["spans"]]
    kinds = {attribute["value"]["stringValue"] for span in spans for link in span.get("links", ())
             for attribute in link["attributes"] if attribute["key"] == "trajectory.link.kind"}  # fmt: skip
    assert kinds == {"caused", "used_value_of"}
    (batch,) = read_request(out.getvalue(), "json").batches
    assert not [fact for fact in batch.facts if isinstance(fact, SpanLinked)]


def _cascading() -> Trace:
    run = invented()
    trace, said = judged(run, [Cascades])
    for finding in said:
        trace.apply(Found(run.now_ns, finding), run.source)
    return trace


def test_a_hand_over_to_several_agents_names_none_of_them_as_whom_it_went_to() -> None:
    scene = Scene()
    asks = scene.span("delegation", "ask both", scene.span("agent", "boss", agent="boss"), task=["find one"])
    for name in ("researcher", "scout"):
        scene.span("agent", name, asks, agent=name)
    assert [d.target_agent for d in scene.trace().delegations()] == ["researcher", "scout"]
    (span,) = [s for s in spans_of(parsed(scene)).values() if s.name == "ask both"]
    assert not {"researcher", "scout"} & set(strings(span).values())
    assert told(fold(read_request(written(OTLP_JSON, scene), "json").batches)) == told(scene.trace())


def test_a_body_that_is_not_at_hand_is_left_out_and_one_that_is_no_json_is_told_as_its_text() -> None:
    scene = Scene()
    tool = scene.span("tool", "t", attributes={"gen_ai.tool.name": "t"}, arguments=["gone"], result=[{"a": 1}])
    scene.event(tool, "thought", 1, said="gone too")
    bodies = dict(scene.bodies)
    scene.bodies.clear()
    for key, (media, body) in bodies.items():
        if b"gone" not in body:
            scene.bodies[key] = (media, b"{no json")
    (span,) = spans_of(parsed(scene)).values()
    assert strings(span)["gen_ai.tool.call.result"] == "{no json"
    assert "gone" not in str(span) and "gen_ai.tool.call.arguments" not in strings(span)
    assert [event.name for event in span.events] == ["thought"]
