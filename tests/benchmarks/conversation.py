"""How much a long conversation weighs: on our wire and on our disk, beside the same run as OTLP protobuf.

Invariant: both sides carry the same words in the same number of model spans. OTLP is told as the GenAI conventions ask: each
call's span holds its whole input and its output as JSON in attributes, 512 spans a request at most.
"""

import gzip
import json
import tempfile
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.benchmarks import Row
from tests.benchmarks._rounds import Child, Target, asked, module, noted, percent
from tests.benchmarks._talk import answer, question

NAME = "conversation"
GOAL = "a conversation of 200 turns weighs a twentieth of what OpenTelemetry makes of it"


def run() -> list[Row]:
    """Bytes, which no clock disturbs: one run of each."""
    turns = 200
    request = _request(turns).SerializeToString()
    with Child(module("_sink")) as sink:
        sink.ask("counts")
        said = asked(module("_talk", sink.ready["endpoint"], turns))["said_bytes"]
        wire = sink.ask("counts")["wire_bytes"]
    disk = _stored_bytes(turns)
    target = Target(0.20, 0.05, percent)
    case = f"{turns} turns, {said:,} B said"
    zipped = len(gzip.compress(request))
    return [
        target.row(case, "bytes on the wire", wire / len(request), f"of OTLP protobuf: {wire:,} / {len(request):,} B"),
        target.row(case, "bytes on disk", disk / len(request), f"of OTLP protobuf: {disk:,} / {len(request):,} B"),
        noted(
            case, "bytes on the wire", f"{percent(wire / zipped)} of OTLP protobuf in one gzip: {wire:,} / {zipped:,} B"
        ),
        noted(case, "bytes on the wire", f"{percent(wire / said)} of the words said once: {wire:,} / {said:,} B"),
    ]


def _stored_bytes(turns: int) -> int:
    """The store's files after the collector has stopped."""
    with tempfile.TemporaryDirectory() as room:
        with Child(module("_serve", "collector", Path(room) / "store.db")) as collector:
            asked(module("_talk", collector.ready["endpoint"], turns))
            collector.ask("stop")
        return sum(path.stat().st_size for path in Path(room).glob("store.db*"))


def _request(turns: int) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    heard: list[dict[str, object]] = []
    spans.append(_span(0, "invoke_agent assistant", {"gen_ai.agent.name": "assistant"}))
    for turn in range(turns):
        heard.append(_message("user", question(turn)))
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "gpt-5",
            "gen_ai.conversation.id": "chat-1",
            "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "You help with figures."}]),
            "gen_ai.input.messages": json.dumps(heard, separators=(",", ":")),
            "gen_ai.output.messages": json.dumps([_message("assistant", answer(turn))], separators=(",", ":")),
            "gen_ai.usage.input_tokens": 10 * turn,
            "gen_ai.usage.output_tokens": 100,
        }
        spans.append(_span(turn + 1, "chat gpt-5", attributes))
        heard.append(_message("assistant", answer(turn)))
    return request


def _message(role: str, text: str) -> dict[str, object]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def _span(number: int, name: str, attributes: dict[str, object]) -> Span:
    span = Span(
        trace_id=b"t" * 16,
        span_id=(number + 1).to_bytes(8, "big"),
        parent_span_id=b"" if not number else (1).to_bytes(8, "big"),
        name=name,
        start_time_unix_nano=1_790_000_000_000_000_000 + number,
        end_time_unix_nano=1_790_000_000_900_000_000 + number,
    )
    for key, value in attributes.items():
        held = span.attributes.add(key=key).value
        if isinstance(value, int):
            held.int_value = value
        else:
            held.string_value = str(value)
    return span
