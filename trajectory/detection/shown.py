"""Tools' answers where the tools' own spans did not capture them: as the next model call was shown them, or a message sent on.

Invariant: an answer is taken for a call's only by the call's id, whichever of the two came first; each span's newest messages are
looked through once, and only where some tool's span lacks its answer. Called by the detectors that read tools' answers.
"""

import json
from collections.abc import Iterator
from typing import TypeVar

from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.content import MESSAGE, message_text
from trajectory.model.lists import newest
from trajectory.model.words import TOOL_CALL_ID, Slot, SpanKind

_MAX_WANTED_COUNT = 1000
_MAX_KEPT_COUNT = 4000  # of each: answers, messages that were read, spans that may show some
_MAX_SHOWN_COUNT = 32  # messages at the end of a span's, among which answers are looked for
_K = TypeVar("_K")
_V = TypeVar("_V")


class ShownAnswers:
    """The answers that are still wanted, those that nobody wanted yet, and the spans that may show more: model calls, and steps
    that sent messages on."""

    def __init__(self) -> None:
        self._wanted: dict[str, bytes] = {}
        self._shown: dict[str, bytes] = {}  # call → the message that shows its answer
        self._read: dict[bytes, None] = {}
        self._showing: dict[tuple[bytes, Slot], None] = {}
        self._is_asked = False

    def note(self, span: Span) -> None:
        """Notes a finished tool call whose result was not captured, or a span that may show one."""
        if span.kind == SpanKind.TOOL and span.end_ns and not span.is_error and not span.contents.get(Slot.RESULT):
            call_id = str(span.attributes.get(TOOL_CALL_ID, ""))
            if call_id and len(self._wanted) < _MAX_WANTED_COUNT:
                self._wanted[call_id] = span.span_id
                self._is_asked = True
        elif span.kind == SpanKind.MODEL and span.contents.get(Slot.INPUT):
            _keep(self._showing, (span.span_id, Slot.INPUT), None)
        elif span.kind == SpanKind.OTHER and span.contents.get(Slot.OUTPUT):
            _keep(self._showing, (span.span_id, Slot.OUTPUT), None)

    def found(self, trace: Trace) -> Iterator[tuple[Span, str]]:
        """Tool spans with the answers that came up since the last time."""
        if not self._is_asked:
            return
        showing, self._showing = self._showing, {}
        for span_id, slot in showing:
            for digest in newest(trace.spans[span_id].contents.get(slot, []), trace.body, _MAX_SHOWN_COUNT):
                if digest not in self._read:
                    _keep(self._read, digest, None)
                    for call_id, _ in answers_in(trace.body(digest)):
                        _keep(self._shown, call_id, digest)
        for call_id in [i for i in self._wanted if i in self._shown]:
            span = trace.spans[self._wanted.pop(call_id)]
            yield from ((span, text) for i, text in answers_in(trace.body(self._shown[call_id])) if i == call_id)


def _keep(held: dict[_K, _V], key: _K, value: _V) -> None:
    """Puts one among the latest."""
    held[key] = value
    if len(held) > _MAX_KEPT_COUNT:
        del held[next(iter(held))]


def answers_in(body: tuple[str, bytes] | None) -> Iterator[tuple[str, str]]:
    """The tools' answers in a message, as (call id, text)."""
    if body is None or body[0] != MESSAGE or b"tool_call_response" not in body[1]:
        return
    try:
        parts = json.loads(body[1]).get("parts")
    except (ValueError, RecursionError, AttributeError):
        return
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict) and part.get("type") == "tool_call_response":
            yield str(part.get("id", "")), message_text({"parts": [part]})
