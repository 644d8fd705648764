"""How a trace's parts read as one line of text: names, previews, titles.

Invariant: every text that leaves here is clean (one line, no control codes) and bounded. Called by whoever makes rows or
prints.
"""

import json
from heapq import nsmallest

from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.content import MESSAGE
from trajectory.model.fact import SpanEvent
from trajectory.model.words import (
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    REPORTED_INPUT_TOKENS,
    REPORTED_OUTPUT_TOKENS,
    Slot,
    SpanKind,
)
from trajectory.view.text import clean

PREVIEW_CHARS = 240
TITLE_CHARS = 80
_LOOKED_AT = 8  # spans, for what was asked
_READ_CHARS = 20_000  # of an object, for the words in it
STEP_WORDS: dict[str, str] = {SpanKind.DELEGATION: "delegate", SpanKind.AGENT: "agent", SpanKind.OTHER: "step"}


def preview(text: str) -> str:
    """A body in one line: a JSON object with one text in it reads as that text."""
    if text.startswith("{") and len(text) < 4 * PREVIEW_CHARS:
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if isinstance(value, dict) and len(value) == 1:
            (only,) = value.values()
            text = only if isinstance(only, str) else text
    cut = text[:PREVIEW_CHARS]
    return clean(" ".join(cut.split()) + ("…" if len(text) > PREVIEW_CHARS else ""))


def name_of(span: Span) -> str:
    """What a person calls a span: the tool's name, else the span's own; what is only known by its children says so."""
    if span.is_placeholder:
        return "(not seen yet)"
    return clean(tool_name(span) if span.kind == SpanKind.TOOL else span.name)


def tokens_of(span: Span) -> int:
    """What a model call used, as its span says or a message reports."""
    if span.kind != SpanKind.MODEL:
        return 0
    keys = (INPUT_TOKENS, OUTPUT_TOKENS, REPORTED_INPUT_TOKENS, REPORTED_OUTPUT_TOKENS)
    return int(sum(span.number(key) for key in keys))


def event_text(trace: Trace, event: SpanEvent) -> str:
    """What an event says: its content, else its attributes."""
    texts = [text for digests in event.contents.values() for digest in digests[:3] if (text := trace.text(digest))]
    if texts:
        confidence = event.attributes.get("trajectory.confidence")
        sure = f"  ({confidence:.2f})" if isinstance(confidence, float) else ""
        return preview(" ".join(texts)) + sure
    if event.name == "exception":
        said = event.attributes.get("exception.message", "")
        return preview(f"{event.attributes.get('exception.type', 'error')}: {said}")
    pairs = "  ".join(f"{k}={v}" for k, v in event.attributes.items())
    return preview(f"{event.name}  {pairs}")


def title_of(trace: Trace, goal: str) -> str:
    """What to call a trace in a list: its title, else its goal (`goal_of`), else the root's name."""
    root = trace.root
    if trace.title and (root is None or trace.title != root.name):
        return preview(trace.title)
    if goal:
        return goal if len(goal) <= TITLE_CHARS else f"{goal[: TITLE_CHARS - 1].rstrip()}…"
    return name_of(root) if root is not None else ""


def goal_of(trace: Trace) -> str:
    """What was asked for: the root's task or input, else the first thing that an agent or a model was asked.

    What a framework hands on as an object of its own says it to nobody: it counts only where there are no words.
    """
    root = trace.root
    if root is None or not trace.has_contents:
        return ""
    first = _asked(trace, root, Slot.TASK)[:1]  # of several tasks the first; of a conversation what was said last
    told = first + [texts[-1] for slot in (Slot.INPUT, Slot.ARGUMENTS) if (texts := _asked(trace, root, slot))]
    told[:1] = [_words_of(text) for text in told[:1]]
    if not told or _is_structure(told[0]):
        asked = (s for s in trace.spans.values() if s.digests(Slot.TASK) or s.digests(Slot.INPUT))
        for span in nsmallest(_LOOKED_AT, asked, key=lambda s: s.order_key):
            told += (_asked(trace, span, Slot.TASK) or _asked(trace, span, Slot.INPUT))[:1]
    previews = [preview(text) for text in told]
    said = next((text for text in previews if not _is_structure(text)), previews[0] if previews else "")
    return "" if said in ("null", "None") else said


def _asked(trace: Trace, span: Span, slot: str) -> list[str]:
    """What stands in a slot, without a model's standing instructions: they ask for nothing yet."""
    asking = (d for d in span.digests(slot) if not _instructs(trace.body(d)))
    return [text for digest in asking if (text := trace.text(digest)) is not None]


def _instructs(held: tuple[str, bytes] | None) -> bool:
    """Whether a body is a message of the system's or the developer's; canonical JSON ends with the role."""
    return held is not None and held[0] == MESSAGE and held[1].endswith((b'"role":"system"}', b'"role":"developer"}'))


def _words_of(text: str) -> str:
    """The one text in several words that an object holds among its fields, such as a function's arguments; else the text."""
    if not text.startswith("{") or len(text) >= _READ_CHARS:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    said = [v for v in value.values() if isinstance(v, str) and " " in v.strip()] if isinstance(value, dict) else []
    return said[0] if len(said) == 1 else text


def _is_structure(text: str) -> bool:
    return text[:1] in ("{", "[") or text in ("null", "None")
