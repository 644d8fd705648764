"""Tools' answers where the tools' own spans did not capture them: as the next model call was shown them, or a message sent on.

Invariant: an answer is taken for a call's only by the call's id; each span's newest messages are looked through once, and only
while an answer is wanted. Called by the detectors that read tools' answers.
"""

import json
from collections.abc import Iterator

from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.content import MESSAGE, message_text
from trajectory.model.words import TOOL_CALL_ID, Slot, SpanKind

_MAX_WANTED_COUNT = 1000
_MAX_SHOWN_COUNT = 32  # messages at the end of a span's, among which answers are looked for


class ShownAnswers:
    """The answers that are still wanted, and the spans that may show them: model calls, and steps that sent messages on."""

    def __init__(self) -> None:
        self._wanted: dict[str, bytes] = {}
        self._models: dict[bytes, None] = {}
        self._senders: dict[bytes, None] = {}
        self._sent: dict[
            str, bytes
        ] = {}  # call → the message with its answer, sent before the call's own span was known

    def note(self, span: Span) -> None:
        """Notes a finished tool call whose result was not captured, or a span that may show one."""
        if span.kind == SpanKind.TOOL and span.end_ns and not span.is_error and not span.digests(Slot.RESULT):
            call_id = str(span.attributes.get(TOOL_CALL_ID, ""))
            if call_id and len(self._wanted) < _MAX_WANTED_COUNT:
                self._wanted[call_id] = span.span_id
        elif span.kind == SpanKind.MODEL and span.digests(Slot.INPUT):
            self._models[span.span_id] = None
        elif span.kind == SpanKind.OTHER and span.contents.get(Slot.OUTPUT) and len(self._senders) < _MAX_WANTED_COUNT:
            self._senders[span.span_id] = None

    def found(self, trace: Trace) -> Iterator[tuple[Span, str]]:
        """Tool spans with the answers that came up since the last time. What is sent is sent once, so it waits for its call;
        a talk is shown to the model again."""
        models, self._models = self._models, {}
        if not self._wanted:
            return
        senders, self._senders = self._senders, {}
        shown = [(span_id, Slot.INPUT) for span_id in models] + [(span_id, Slot.OUTPUT) for span_id in senders]
        for span_id, slot in shown:
            for digest in trace.spans[span_id].digests(slot)[-_MAX_SHOWN_COUNT:]:
                for call_id, text in answers_in(trace.body(digest)):
                    tool_id = self._wanted.pop(call_id, None)
                    if tool_id is not None:
                        yield trace.spans[tool_id], text
                    elif slot == Slot.OUTPUT and len(self._sent) < _MAX_WANTED_COUNT:
                        self._sent[call_id] = digest
        for call_id in [c for c in self._wanted if c in self._sent]:
            tool_id, digest = self._wanted.pop(call_id), self._sent.pop(call_id)
            yield from ((trace.spans[tool_id], text) for c, text in answers_in(trace.body(digest)) if c == call_id)


def answers_in(body: tuple[str, bytes] | None) -> Iterator[tuple[str, str]]:
    """The tools' answers in a message, as (call id, text)."""
    if body is None or body[0] != MESSAGE or b"tool_call_response" not in body[1]:
        return
    try:
        parts = json.loads(body[1]).get("parts") or ()
    except (ValueError, RecursionError, AttributeError):
        return
    for part in parts:
        if isinstance(part, dict) and part.get("type") == "tool_call_response":
            yield str(part.get("id", "")), message_text({"parts": [part]})
