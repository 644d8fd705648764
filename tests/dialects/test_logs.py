"""Log records beside spans: what they say of a model call, whatever else happened, and what is wrong with one."""

import json
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tests.dialects.build import BASE_NS, TRACE_ID, span_id
from trajectory.dialects.logs import facts_of
from trajectory.dialects.otlp import read_logs
from trajectory.dialects.raw import RawLog
from trajectory.model.content import text_of
from trajectory.model.fact import Fact, Payload, SpanEvent, SpanUpdated


def record(event: str = "", body: Any = None, **more: Any) -> RawLog:
    return RawLog(TRACE_ID, span_id(1), BASE_NS, event, body=body, **more)


def said(told: list[Fact]) -> dict[str, list[str]]:
    """What the one update says, by slot."""
    bodies = {fact.digest: text_of(fact.media_type, fact.body) for fact in told if isinstance(fact, Payload)}
    (update,) = [fact for fact in told if isinstance(fact, SpanUpdated)]
    return {slot: [bodies[address] for address in addresses] for slot, addresses in update.contents.items()}


def test_the_messages_of_a_call_are_one_update_though_each_is_a_record() -> None:
    calls = [{"id": "1", "function": {"name": "rooms", "arguments": "{}"}}]
    told = facts_of([
        record("gen_ai.system.message", {"content": "be brief"}),
        record("gen_ai.user.message", {"content": "a hotel in Lyon"}),
        record("gen_ai.user.message", "and a bike"),
        record("gen_ai.choice", {"message": {"role": "assistant", "content": "I look", "tool_calls": calls}}),
    ])  # fmt: skip
    assert said(told) == {
        "system": ["be brief"], "input": ["a hotel in Lyon", "and a bike"], "output": ["I look\nrooms({})"],
    }  # fmt: skip


def test_the_details_of_a_call_may_come_as_a_record_too() -> None:
    details = {
        "gen_ai.input.messages": '[{"role": "user", "content": "Lyon?"}]',
        "gen_ai.output.messages": [{"role": "assistant", "content": "Lyon."}],
    }
    told = facts_of([record("gen_ai.client.inference.operation.details", attributes=details)])
    assert said(told) == {"input": ["Lyon?"], "output": ["Lyon."]}


def test_another_record_is_an_event_that_names_its_scope() -> None:
    told = facts_of([record("cache.miss", scope="shop", severity=17)])
    (event,) = [fact for fact in told if isinstance(fact, SpanEvent)]
    assert (event.name, event.attributes) == ("cache.miss", {"severity": "error", "otel.scope.name": "shop"})


def request_of(media: str, *records: dict[str, Any]) -> bytes:
    """A request with these records, in fields of protobuf's names."""
    if media == "json":
        spelled = [{k: v.hex() if isinstance(v, bytes) else v for k, v in each.items()} for each in records]
        return json.dumps({"resource_logs": [{"scope_logs": [{"log_records": spelled}]}]}).encode()
    made = ExportLogsServiceRequest()
    logs = made.resource_logs.add().scope_logs.add()
    for each in records:
        logs.log_records.add(**each)
    return made.SerializeToString()


@pytest.mark.parametrize("media", ["json", "protobuf"])
@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ({"trace_id": b"short"}, "trace id has 5 bytes"),
        ({"span_id": b"short"}, "span id 5"),
        ({"time_unix_nano": (1 << 63) + 1}, "time "),
    ],
)
def test_a_bad_record_is_set_aside_with_its_reason_and_its_neighbours_are_kept(media, field, reason) -> None:
    good = {"trace_id": TRACE_ID, "span_id": span_id(1), "time_unix_nano": BASE_NS, "event_name": "good"}
    result = read_logs(request_of(media, good | {"event_name": "bad"} | field, good), media)
    assert [fact.name for fact in result.batches[0].facts if isinstance(fact, SpanEvent)] == ["good"]
    (told,) = result.quarantined
    assert "bad" in told and reason in told


def test_a_record_in_json_that_is_no_object_is_set_aside_too() -> None:
    body = b'{"resourceLogs": [{"scopeLogs": [{"logRecords": ["x", {"traceId": "zz"}]}]}]}'
    assert [reason.partition(": ")[2] for reason in read_logs(body, "json").quarantined] == [
        "not an object", "trace id is not hexadecimal"
    ]  # fmt: skip
