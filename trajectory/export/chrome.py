"""Traces in Chrome's trace event format, for Perfetto and chrome://tracing.

Invariant: on every track slices nest or follow each other, as the format demands; work that overlaps gets a track of its
own beside its agent's. A process is a service, a track an agent's invocation, an arrow a delegation. Times are microseconds
from the trace's first instant, because the format's numbers cannot hold nanoseconds since 1970. Called through
`trajectory.export.contract`. The format: "Trace Event Format", Google, https://perfetto.dev/docs/ ("Other formats").
"""

from typing import Any, BinaryIO

from trajectory.export.contract import TRACE, Subject
from trajectory.export.escape import json_bytes, label
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.words import INPUT_TOKENS, OUTPUT_TOKENS, Slot, SpanKind

_MAX_TEXT = 2000
_COLORS = {"error": "terrible"}  # a colour name of the format
_TEXTS = {
    "task": (Slot.TASK,),
    "arguments": (Slot.ARGUMENTS,),
    "input": (Slot.INPUT,),
    "output": (Slot.OUTPUT, Slot.RESULT, Slot.RETURNED),
}

Event = dict[str, Any]


class ChromeTrace:
    """A JSON object with `traceEvents`."""

    suffix = ".trace.json"
    of = frozenset({TRACE})

    def write(self, subject: Subject, out: BinaryIO) -> None:
        trace = subject.trace
        told = {
            "trace_id": trace.trace_id.hex(),
            "title": label(trace.title, 200),
            "start_unix_nano": str(trace.first_ns),
        }
        out.write(json_bytes({"traceEvents": _events(trace), "displayTimeUnit": "ms", "otherData": told}))


class _Tracks:
    """Which track each span is on: (process, thread) numbers, from 1."""

    def __init__(self, trace: Trace) -> None:
        self.of: dict[bytes, tuple[int, int]] = {}
        self.processes: dict[str, int] = {}
        self.threads: dict[tuple[int, int], str] = {}
        self._open: dict[
            tuple[str, str], list[tuple[int, list[int]]]
        ] = {}  # (service, label) → (thread, ends of open slices)
        self._last_ns = trace.last_ns
        spans = [span for span in trace.spans.values() if not span.is_placeholder]
        for span in sorted(spans, key=lambda s: (s.start_ns, -self.end_ns(s), _depth(s), s.span_id)):
            self._place(span, trace.span_label(span))

    def end_ns(self, span: Span) -> int:
        """A span's end; for an open one the last instant that is known of the trace."""
        return max(span.start_ns, span.end_ns or self._last_ns)

    def _place(self, span: Span, name: str) -> None:
        process = self.processes.setdefault(span.service, len(self.processes) + 1)
        beside = self._open.setdefault((span.service, name), [])
        end_ns = self.end_ns(span)
        for thread, ends in beside:
            while ends and ends[-1] <= span.start_ns:
                ends.pop()
            if not ends or end_ns <= ends[-1]:
                ends.append(end_ns)
                self.of[span.span_id] = (process, thread)
                return
        thread = len(self.threads) + 1
        beside.append((thread, [end_ns]))
        shown = label(name, 80) or "(no agent)"
        self.threads[process, thread] = shown if len(beside) == 1 else f"{shown} ({len(beside)})"
        self.of[span.span_id] = (process, thread)


def _events(trace: Trace) -> list[Event]:
    tracks = _Tracks(trace)
    events: list[Event] = [_named("process_name", pid, 0, label(name, 80)) for name, pid in tracks.processes.items()]
    events += [_named("thread_name", pid, tid, name) for (pid, tid), name in tracks.threads.items()]
    events += [
        {"ph": "M", "name": "thread_sort_index", "pid": p, "tid": t, "args": {"sort_index": t}}
        for p, t in tracks.threads
    ]
    for span in sorted(trace.spans.values(), key=lambda s: s.order_key):
        if span.span_id in tracks.of:
            events.append(_slice(trace, span, tracks))
            events += _instants(trace, span, tracks)
    events += _arrows(trace, tracks)
    return events


def _named(what: str, process: int, thread: int, name: str) -> Event:
    return {"ph": "M", "name": what, "pid": process, "tid": thread, "args": {"name": name or "(no service)"}}


def _slice(trace: Trace, span: Span, tracks: _Tracks) -> Event:
    process, thread = tracks.of[span.span_id]
    event: Event = {
        "ph": "X",
        "name": label(tool_name(span) if span.kind == SpanKind.TOOL else span.name, 120) or "(no name)",
        "cat": label(str(span.kind), 20),
        "ts": _us(span.start_ns - trace.first_ns),
        "dur": _us(tracks.end_ns(span) - span.start_ns),
        "pid": process,
        "tid": thread,
        "args": _arguments(trace, span),
    }
    if span.is_error:
        event["cname"] = _COLORS["error"]
    return event


def _arguments(trace: Trace, span: Span) -> dict[str, Any]:
    said: dict[str, Any] = {
        "span_id": span.span_id.hex(),
        "status": str(span.status),
        "agent": label(span.agent_name, 80),
    }
    if span.is_open:
        said["open"] = True
    if span.message:
        said["message"] = span.message[:_MAX_TEXT]
    for name, key in (("input_tokens", INPUT_TOKENS), ("output_tokens", OUTPUT_TOKENS)):
        if span.number(key):
            said[name] = int(span.number(key))
    for name, slots in _TEXTS.items():
        texts = trace.texts(span, *slots)
        if texts:
            said[name] = "\n".join(texts)[-_MAX_TEXT:]
    return said


def _instants(trace: Trace, span: Span, tracks: _Tracks) -> list[Event]:
    process, thread = tracks.of[span.span_id]
    return [
        {
            "ph": "i", "s": "t", "name": label(event.name, 120) or "(no name)", "cat": "event", "pid": process, "tid": thread,
            "ts": _us(max(0, event.at_ns - trace.first_ns)),
            "args": {label(key, 80): label(str(value), _MAX_TEXT) for key, value in event.attributes.items()},
        }
        for event in span.events
    ]  # fmt: skip


def _arrows(trace: Trace, tracks: _Tracks) -> list[Event]:
    """For each delegation whose two ends are known an arrow, from where it was sent to where it was taken up."""
    events: list[Event] = []
    for delegation in trace.delegations():
        target, sent = delegation.target_span, delegation.span
        if sent is target:  # no span of the sender tells of it: the arrow starts at the work it was sent from
            sent = (delegation.source.span if delegation.source is not None else None) or sent
        if target is None or sent is target or sent.span_id not in tracks.of or target.span_id not in tracks.of:
            continue
        name = f"{label(str(delegation.mode), 20)} ({label(str(delegation.grade), 20)})"
        both = {"cat": "delegation", "name": name, "id": target.span_id.hex()}
        for phase, span in (("s", sent), ("f", target)):
            process, thread = tracks.of[span.span_id]
            at_ns = min(max(span.start_ns, target.start_ns), tracks.end_ns(span)) if phase == "s" else span.start_ns
            event: Event = {**both, "ph": phase, "pid": process, "tid": thread, "ts": _us(at_ns - trace.first_ns)}
            events.append({**event, "bp": "e"} if phase == "f" else event)
    return events


def _depth(span: Span) -> int:
    return sum(1 for _ in span.ancestors())


def _us(elapsed_ns: int) -> float:
    return elapsed_ns / 1000


CHROME_TRACE = ChromeTrace()
