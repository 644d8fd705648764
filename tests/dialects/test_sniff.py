"""Files: each known format is told by its content, and everything else is refused with path, line and reason."""

import gzip
import json

import pytest

from tests.dialects.build import otel_span, request, traces
from tests.dialects.test_otlp_wire import as_json
from trajectory.dialects import sniff
from trajectory.dialects.jsonl import write_jsonl
from trajectory.dialects.sniff import read_file
from trajectory.errors import ImportFormatError

MESSAGE = request(otel_span(1, "invoke_agent a", gen_ai__operation__name="invoke_agent", gen_ai__agent__name="a"))
PROTOBUF = MESSAGE.SerializeToString()
OTLP_JSON = json.dumps(as_json(MESSAGE)).encode()
CHAT = json.dumps({"steps": [{"agent": "a", "role": "agent", "content": "x"}]}).encode()
CONSOLE = {
    "name": "invoke_agent a",
    "context": {"trace_id": "0x" + "1" * 32, "span_id": "0x" + "2" * 16},
    "kind": "SpanKind.INTERNAL",
    "parent_id": None,
    "start_time": "2026-01-01T00:00:00.000001Z",
    "end_time": "2026-01-01T00:00:01Z",
    "status": {"status_code": "ERROR", "description": "boom"},
    "attributes": {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"},
    "events": [{"name": "e", "timestamp": "2026-01-01T00:00:00.5Z", "attributes": {}}],
    "links": [{"context": {"trace_id": "0x1", "span_id": "0x2"}}],
    "resource": {"attributes": {"service.name": "trips"}},
}
LISTED = {
    "schema": "some-spans",
    "spans": [
        {
            "name": "agent", "trace_id": "1" * 32, "span_id": "2" * 16, "parent_span_id": None,
            "start_time_unix_ns": 1, "end_time_unix_ns": 2, "status": {"status_code": "OK"},
            "attributes": {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"},
        }
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (PROTOBUF, "otlp"),
        (OTLP_JSON, "otlp"),
        (json.dumps(as_json(MESSAGE), indent=2).encode(), "otlp"),
        (OTLP_JSON + b"\n" + OTLP_JSON + b"\n\n", "otlp"),
        (b"\n  " + OTLP_JSON, "otlp"),
        (b"\xef\xbb\xbf" + OTLP_JSON, "otlp"),
        (gzip.compress(PROTOBUF, mtime=0), "otlp"),
        (gzip.compress(OTLP_JSON, mtime=0), "otlp"),
        (json.dumps(CONSOLE).encode(), "otlp"),
        (json.dumps([CONSOLE, CONSOLE]).encode(), "otlp"),
        (json.dumps(CONSOLE).encode() + b"\n" + json.dumps(CONSOLE).encode(), "otlp"),
        (json.dumps(LISTED).encode(), "otlp"),
        (CHAT, "chat"),
        (CHAT + b"\n" + CHAT, "chat"),
        (CHAT + b"\r" + CHAT, "chat"),
        (json.dumps([json.loads(CHAT)]).encode(), "chat"),
        (json.dumps([{"role": "assistant", "content": "x", "name": "a"}]).encode(), "chat"),
        (b"".join(write_jsonl(read_file(PROTOBUF, "x").batches)), "jsonl"),
    ],
)
def test_a_format_is_told_by_its_content(data, found):
    contents = read_file(data, "file")
    assert contents.format == found
    assert contents.notes == []
    assert [list(trace.agents()) for trace in traces(contents.batches)] == [["a"]]


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b"", 0, "empty"),
        (b" \n ", 0, "empty"),
        (gzip.compress(b"", mtime=0), 0, "empty"),
        (gzip.compress(OTLP_JSON, mtime=0)[:-12], 0, "cut"),
        (b"\x1f\x8bjunk", 0, "gzip"),
        (PROTOBUF[:-4], 0, "protobuf"),
        (b"\x00\x01\x02\xff" * 20, 0, "protobuf"),
        (b"hello world", 0, "protobuf"),
        (OTLP_JSON[:-4], 1, "cut"),
        (OTLP_JSON + b"\n" + OTLP_JSON[:40], 2, "cut"),
        (CHAT + b"\n\nnonsense\n", 3, "JSON"),
        (json.dumps(LISTED, indent=1).encode()[:-30], 16, "cut"),
        (b'{"a": 1}', 0, "unknown"),
        (CHAT + b'\n{"a": 1}', 2, "unknown"),
        (b"[1, 2]", 0, "unknown"),
        (b'{"steps": []}', 0, "unknown"),
        (b'{"resourceSpans": []}', 0, "nothing"),
        (b'{"resourceLogs": []}', 0, "hold no spans"),
        (b"[" * 100_000, 1, "deep"),
        (b'{"x": "\xff"}', 1, "UTF-8"),
        (CHAT + b"\n" + b"[" * 100_000, 2, "deep"),
    ],
)
def test_anything_else_is_refused_with_its_line_and_a_reason(data, line, reason):
    with pytest.raises(ImportFormatError, match=reason) as refused:
        read_file(data, "some/file")
    assert (refused.value.path, refused.value.line) == ("some/file", line)
    assert "\n" not in str(refused.value)


def test_a_file_that_inflates_to_more_than_is_read_is_refused(monkeypatch):
    monkeypatch.setattr(sniff, "MAX_INFLATED_BYTES", 1000)
    assert read_file(gzip.compress(CHAT.ljust(1000), mtime=0), "file").format == "chat"
    with pytest.raises(ImportFormatError, match="inflates to more than 1000 bytes"):
        read_file(gzip.compress(CHAT.ljust(1001), mtime=0), "file")


@pytest.mark.parametrize(
    ("data", "asked"),
    [(CHAT, "otlp"), (CHAT, "jsonl"), (OTLP_JSON, "chat"), (PROTOBUF, "chat"), (PROTOBUF, "jsonl")],
)
def test_another_format_than_asked_for_is_refused(data, asked):
    with pytest.raises(ImportFormatError):
        read_file(data, "file", asked)


def test_a_protobuf_message_whose_length_looks_like_a_brace_is_still_protobuf():
    for padding in range(200):
        made = request(otel_span(1, "x" * padding))
        data = made.SerializeToString()
        if data[1:2] == b"{":
            break
    assert data[:2] == b"\n{"
    assert read_file(data, "file").format == "otlp"


def test_a_bad_span_is_noted_and_its_neighbours_are_read():
    document = {"spans": [*LISTED["spans"], {"name": "bad", "span_id": "zz", "trace_id": "1" * 32}]}
    contents = read_file(json.dumps(document).encode(), "file")
    assert len(contents.notes) == 1 and "bad" in contents.notes[0]
    assert len(contents.batches) == 1


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ({"trace_id": 5}, "id is no text"),
        ({"span_id": "zz"}, "id is not hexadecimal"),
        ({"start_time_unix_ns": "a Tuesday"}, "neither a number nor ISO"),
        ({"end_time_unix_ns": [1, 2, 3]}, "time is not a whole number"),
        ({"start_time_unix_ns": [1 << 62, 0]}, "time out of range"),
    ],
)
def test_what_is_wrong_with_a_span_of_a_list_is_said(field, reason):
    bad = LISTED["spans"][0] | {"name": "bad"} | field
    contents = read_file(json.dumps({"spans": [*LISTED["spans"], bad, "no span"]}).encode(), "file")
    assert [reason in note for note in contents.notes] == [True, False] and "not an object" in contents.notes[1]


def test_a_span_of_a_list_has_its_time_kind_and_status_in_numbers_too():
    told = {"start_time_unix_ns": [7, 5], "end_time_unix_ns": [8, 0], "kind": 3, "status": {"code": 2}}
    bad_link = {"context": {"trace_id": "zz", "span_id": "2"}}
    told["links"] = [bad_link, {"trace_id": "3" * 32, "span_id": "4" * 16}]
    contents = read_file(json.dumps({"spans": [LISTED["spans"][0] | told]}).encode(), "file")
    span = traces(contents.batches)[0].root
    assert (span.start_ns, span.end_ns) == (7_000_000_005, 8_000_000_000)
    assert (str(span.status), span.attributes["otel.span.kind"]) == ("error", "client")
    assert [link.to_span_id.hex() for link in span.links] == ["4" * 16]


def test_console_spans_keep_times_status_and_resource():
    contents = read_file(json.dumps(CONSOLE).encode(), "file")
    (trace,) = traces(contents.batches)
    span = trace.root
    assert (span.service, str(span.status), span.message) == ("trips", "error", "boom")
    assert span.end_ns - span.start_ns == 999_999_000
