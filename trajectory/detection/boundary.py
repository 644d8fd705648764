"""What stands on either side of a delegation: what the delegator had been asked, what it sent, what the delegatee got.

Invariant: only captured content is compared. Where a side was not captured, the boundary says why (`hidden`) and nothing is
concluded from it: not observable is not passed. Called by the detectors of lost and altered context and by `observability`.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from trajectory.detection.items import Item, items_in
from trajectory.detection.reader import Knowledge, Reader, reader_of
from trajectory.detection.words import stems
from trajectory.graph.delegations import Delegation
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace
from trajectory.model.words import EVENT_CONTEXT, Slot, SpanKind

_MAX_CALLS_COUNT = 8  # model calls that are read on each side: the first ones, and the last, which holds the history


@dataclass(frozen=True)
class Boundary:
    """One delegation's two sides. `asked` are payloads in which the delegator was asked for something, `known` all that it
    had in view, `sent` the task as given, `received` what the delegatee had in view. `hidden` says what was not captured."""

    delegation: Delegation
    asked: tuple[bytes, ...]
    known: Knowledge
    sent: Knowledge
    received: Knowledge
    asked_texts: tuple[str, ...]
    parameters: frozenset[str]  # stems of the names of what the delegatee's tools take
    hidden: str = ""

    @property
    def asked_items(self) -> list[Item]:
        """The values in what the delegator was asked."""
        return [item for text in self.asked_texts for item in items_in(text)]

    @property
    def task_stems(self) -> set[str]:
        return self.sent.stems or self.received.stems


def boundary_of(delegation: Delegation, trace: Trace) -> Boundary:
    """The boundary of a delegation, as far as it was captured."""
    reader = reader_of(trace)
    source, target = delegation.source, delegation.target
    given = _given(source) if source is not None else []
    calls = _calls(source, delegation.sent_ns) if source is not None else []
    seen = [d for span in calls for d in span.digests(Slot.INPUT)]
    known = Knowledge(reader, [*given, *seen, *(_in_view(source, delegation.sent_ns) if source is not None else ())])
    sent = _task(delegation, target, reader)
    received = _received(delegation, target, reader)
    asked = tuple(dict.fromkeys([*given, *seen]))
    return Boundary(
        delegation,
        asked,
        known,
        sent,
        received,
        tuple(reader.asked(d) for d in asked),
        _parameters(target, reader) if target is not None else frozenset(),
        _hidden(source, known, sent, received),
    )


def is_ripe(delegation: Delegation) -> bool:
    """Whether both sides have said enough to be compared: the delegatee has thought, or is done."""
    target = delegation.target
    if target is None:
        return False
    return bool(target.end_ns or delegation.returned_ns) or any(
        s.kind == SpanKind.MODEL and s.digests(Slot.INPUT) for s in target.spans.values()
    )


def observability(trace: Trace) -> list[tuple[str, bytes, str]]:
    """(check, delegation id, reason) for each check that a delegation's captured content does not allow."""
    unseen: list[tuple[str, bytes, str]] = []
    for delegation in trace.delegations():
        hidden = boundary_of(delegation, trace).hidden
        if hidden:
            unseen += [(check, delegation.delegation_id, hidden) for check in ("context.lost", "context.altered")]
    return unseen


def _hidden(source: Invocation | None, known: Knowledge, sent: Knowledge, received: Knowledge) -> str:
    if source is None:
        return "who delegated is not known"
    if not known.is_known:
        return "what the delegator was asked was not captured"
    if not sent.is_known and not received.is_known:
        return "neither the task nor what the delegatee saw was captured"
    return ""


def _given(invocation: Invocation) -> list[bytes]:
    span = invocation.span
    return span.digests(Slot.TASK) or span.digests(Slot.INPUT) if span is not None else []


def _calls(invocation: Invocation, until_ns: int = 0) -> list[Span]:
    """The model calls that tell what an agent had in view by `until_ns` (0: ever)."""
    calls = [
        s
        for s in invocation.spans.values()
        if s.kind == SpanKind.MODEL and s.digests(Slot.INPUT) and (not until_ns or s.start_ns <= until_ns)
    ]
    calls.sort(key=lambda s: s.order_key)
    return calls if len(calls) <= _MAX_CALLS_COUNT else [*calls[: _MAX_CALLS_COUNT - 1], calls[-1]]


def _in_view(invocation: Invocation, until_ns: int) -> Iterator[bytes]:
    """What tools, retrieval and delegatees gave an agent by `until_ns`, and what it had as context."""
    for span in invocation.spans.values():
        if span.start_ns <= until_ns and span.kind in (SpanKind.TOOL, SpanKind.RETRIEVAL, SpanKind.DELEGATION):
            yield from span.digests(Slot.RESULT)
            yield from span.digests(Slot.RETURNED)
    yield from _context(invocation)


def _shown(target: Invocation, reader: Reader) -> list[bytes]:
    """What a delegatee's model was shown when it began, and what people told it later. Its own words and its tools' data
    are left out: a word in them is no instruction."""
    calls = _calls(target)
    first = [d for s in calls[:1] for slot in (Slot.SYSTEM, Slot.INPUT) for d in s.digests(slot)]
    later = [d for s in calls[1:] for d in s.digests(Slot.INPUT) if reader.asked(d)]
    return [*first, *later]


def _received(delegation: Delegation, target: Invocation | None, reader: Reader) -> Knowledge:
    """What the delegatee had in view: what its model was shown, which is what counts; else the task as it came."""
    if target is None:
        return Knowledge(reader, delegation.task_digests())
    shown = _shown(target, reader)
    context = _context(target)
    knowledge = Knowledge(reader, [*shown, *context])
    if shown and knowledge.is_known:
        return knowledge
    return Knowledge(reader, [*delegation.task_digests(), *delegation.received_digests(), *context])


def _task(delegation: Delegation, target: Invocation | None, reader: Reader) -> Knowledge:
    """The task as given; where the hand-over carried none, what the delegatee's model was asked first."""
    sent = Knowledge(reader, delegation.task_digests())
    if sent.is_known or target is None:
        return sent
    first = [d for s in _calls(target)[:1] for d in s.digests(Slot.INPUT) if reader.asked(d)]
    return Knowledge(reader, first)


def _context(invocation: Invocation) -> Iterator[bytes]:
    """What an agent was given as context, on its spans or as it worked."""
    for span in invocation.spans.values():
        yield from span.digests(Slot.CONTEXT)
        for event in span.events:
            if event.name == EVENT_CONTEXT:
                yield from (d for digests in event.contents.values() for d in digests)


def _parameters(target: Invocation, reader: Reader) -> frozenset[str]:
    """Stems of the parameter names of the tools that an agent called or was offered; hand-overs are no tools."""
    names: set[str] = set()
    for span in _calls(target)[:1]:
        for digest in span.digests(Slot.TOOLS):
            names |= _offered(reader.text(digest) or "")
    for span in target.spans.values():
        if span.kind == SpanKind.TOOL:
            names.update(_argument_names(reader.text(d) or "" for d in span.digests(Slot.ARGUMENTS)))
    return frozenset(s for name in names for s in stems(name))


def _offered(text: str) -> set[str]:
    definitions = _json(text)
    found: set[str] = set()
    for each in definitions if isinstance(definitions, list) else [definitions]:
        function = each.get("function", each) if isinstance(each, dict) else None
        if not isinstance(function, dict):
            continue
        schema: dict[str, object] = next((function[k] for k in _SCHEMA_KEYS if isinstance(function.get(k), dict)), {})
        properties = schema.get("properties", {})
        names = {str(name) for name in properties} if isinstance(properties, dict) else set()
        if not names & _HANDING_OVER:
            found |= names
    return found


_SCHEMA_KEYS = ("parameters", "input_schema", "inputSchema", "parameters_json_schema")
_HANDING_OVER = frozenset(("task", "agent", "agent_name", "to_agent", "coworker", "message", "note", "request"))


def _argument_names(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        value = _json(text)
        if isinstance(value, dict) and not _HANDING_OVER & value.keys():
            yield from (str(key) for key in value)


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def label_of(delegation: Delegation, trace: Trace) -> tuple[str, str]:
    """How people may call the two sides."""
    source = trace.label(delegation.source) if delegation.source is not None else delegation.source_agent
    target = trace.label(delegation.target) if delegation.target is not None else delegation.target_agent
    return source or "(unknown)", target or "(unknown)"
