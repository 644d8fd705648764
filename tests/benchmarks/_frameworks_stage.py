"""The stage of the frameworks' programs: the scripted model, and a tap on the wire in front of the receiver, on one port.

Invariant: what is known to be true comes from here (the model's own count, the tools' own count) and never from spans; spans are
passed on byte for byte, and read here only to tell what was on the wire at all. Used by `frameworks`.
"""

import contextlib
import gzip
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.benchmarks import _frameworks_script as script
from tests.benchmarks._frameworks_script import Script


@dataclass(slots=True)
class Run:
    """One run of a program: the truth, as model and tools counted it, and what came over the wire meanwhile."""

    name: str
    script: Script
    tools: list[str] = field(default_factory=list)
    outcome: str = "unfinished"
    said: str = ""
    spans: list[Span] = field(default_factory=list)

    def delegations(self) -> list[tuple[str, str, str]]:
        """(source, target, mode) of each time that an answer gave work to an agent which then asked the model."""
        mode = "transfer" if self.script.shape == "handoff" else "call"
        calls = self.script.calls
        return [
            (c.agent, c.to, mode) for i, c in enumerate(calls) if c.to and any(d.agent == c.to for d in calls[i + 1 :])
        ]

    @property
    def trouble(self) -> str:
        """Why the run says nothing: only a tool that raises may end one early."""
        if self.script.variant == "raise":
            return ""
        unasked = {"dispatcher", "diagnostician", "buyer"} - {call.agent for call in self.script.calls}
        return self.said if self.outcome != "done" else f"nobody asked for {', '.join(unasked)}" if unasked else ""

    def trace_ids(self) -> set[str]:
        return {span.trace_id.hex() for span in self.spans}

    def texts(self) -> Iterator[str]:
        """Every text and number on the wire, as text."""
        for span in self.spans:
            yield span.name
            for group in (span, *span.events, *span.links):
                for attribute in group.attributes:
                    yield from _texts(attribute.value)

    def is_marked(self) -> bool:
        """Whether any span says that something failed."""
        return any(
            s.status.code == Status.STATUS_CODE_ERROR or any(e.name == "exception" for e in s.events)
            for s in self.spans
        )

    def is_root_marked(self) -> bool:
        """Whether a span with nothing above it says that it failed."""
        known = {span.span_id for span in self.spans}
        return any(s.status.code == Status.STATUS_CODE_ERROR for s in self.spans if s.parent_span_id not in known)


def _texts(value: AnyValue) -> Iterator[str]:
    which = value.WhichOneof("value")
    if which == "array_value":
        for item in value.array_value.values:
            yield from _texts(item)
    elif which == "kvlist_value":
        for pair in value.kvlist_value.values:
            yield from _texts(pair.value)
    elif which:
        yield str(getattr(value, which))


class Stage:
    """Listens on a free port of this machine until it is left; `receiver` is where spans are passed on to."""

    def __init__(self, receiver: str) -> None:
        self.receiver = receiver
        self.runs: list[Run] = []
        self.trouble: list[str] = []
        self._run_of: dict[bytes, Run] = {}
        stage = self

        class Handler(_Handler):
            def __init__(self, *given: Any) -> None:
                self.stage = stage
                super().__init__(*given)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def keep(self, span: Span) -> None:
        """Notes a span with the run in which its trace began: some end long after, when a generator is thrown away."""
        if self.runs:
            self._run_of.setdefault(span.trace_id, self.runs[-1]).spans.append(span)

    def __enter__(self) -> "Stage":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stage: Stage

    def do_POST(self) -> None:
        body = self._body()
        path = self.path.partition("?")[0]
        if path.startswith("/v1/") and path.rpartition("/")[2] in ("traces", "logs", "metrics"):
            self._pass_on(path, body)
            return
        asked = json.loads(body or b"{}")
        if path == "/begin":
            self.stage.runs.append(Run(asked["run"], Script(asked["run"])))
            self._reply({})
        elif path == "/end":
            run = self.stage.runs[-1]
            run.tools, run.outcome, run.said = asked["tools"], asked["outcome"], asked["said"]
            self._reply({})
        else:
            self._say(path, asked)

    def do_GET(self) -> None:
        self._reply(
            {"object": "list", "data": [{"id": "gpt-4.1", "object": "model", "created": 0, "owned_by": "stage"}]}
        )

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # clients drop the connections that they kept
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: a benchmark prints its own."""

    def _say(self, path: str, asked: dict[str, Any]) -> None:
        part = self.stage.runs[-1].script
        model = str(asked.get("model", "gpt-4.1"))
        if path.endswith("/chat/completions"):
            call = part.answer(*script.chat_asked(asked))
            if asked.get("stream"):
                self._stream(list(script.chat_stream(call, model)))
            else:
                self._reply(script.chat_answer(call, model))
        elif path.endswith("/responses") and not asked.get("stream"):
            self._reply(script.responses_answer(part.answer(*script.responses_asked(asked)), model))
        elif path.endswith(":generateContent"):
            self._reply(script.gemini_answer(part.answer(*script.gemini_asked(asked)), "gemini"))
        else:
            self.stage.trouble.append(f"no answer for {path}")
            self._reply({"error": {"message": f"no {path} here"}}, 404)

    def _pass_on(self, path: str, body: bytes) -> None:
        if path.endswith("/traces"):
            plain = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            request = ExportTraceServiceRequest.FromString(plain)
            for span in (s for r in request.resource_spans for g in r.scope_spans for s in g.spans):
                self.stage.keep(span)
        kept = ("Content-Type", "Content-Encoding")
        headers = {name: value for name in kept if (value := self.headers.get(name))}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self.stage.receiver + path, body, headers), timeout=30
            ) as got:
                self._send(got.status, got.headers.get("Content-Type", ""), got.read())
        except urllib.error.HTTPError as refused:
            self.stage.trouble.append(f"the receiver answered {refused.code} to {path}")
            self._send(refused.code, "", b"")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline().strip() or b"0", 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _reply(self, answer: dict[str, Any], status: int = 200) -> None:
        self._send(status, "application/json", json.dumps(answer).encode())

    def _stream(self, chunks: list[dict[str, Any]]) -> None:
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
        self._send(200, "text/event-stream", "".join([*lines, "data: [DONE]\n\n"]).encode())

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type or "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
