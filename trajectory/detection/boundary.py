"""What stands on either side of a delegation: what the delegator had been asked, what it sent, what the delegatee got.

Invariant: only captured content is compared. Where a side was not captured, the boundary says why (`hidden`) and nothing is
concluded from it: not observable is not passed. Called by the detectors of lost and altered context and by `observability`.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property

from trajectory.detection.items import Item
from trajectory.detection.reader import Knowledge, reader_of
from trajectory.detection.words import stems
from trajectory.graph.delegations import Delegation
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace
from trajectory.model.words import EVENT_CONTEXT, Slot, SpanKind

_MAX_GIVEN_COUNT = 200  # payloads that an agent was given before it delegated, the newest
_MAX_ASKED_COUNT = 100  # payloads of a conversation, from either end, that are read for what they ask


class Boundary:
    """One delegation's two sides, each gathered when it is first asked for: most delegations need few of them.

    `asked` are payloads in which the delegator was asked for something, `known` all that it had in view, `sent` the task as
    given, `received` what the delegatee had in view. `parameters` are the stems of each name of what the delegatee's tools
    take. `hidden` says what was not captured.
    """

    def __init__(self, delegation: Delegation, views: "Views") -> None:
        self.delegation = delegation
        self.asked: list[bytes] = []
        self._known: list[bytes] = []
        self._views = views
        source = delegation.source
        if source is not None:
            seen = views.seen_by(source, delegation.sent_ns)
            given = _given(source) or ([] if seen else views.sent_to(source))
            self.asked = list(dict.fromkeys([*given, *seen[:_MAX_ASKED_COUNT], *seen[-_MAX_ASKED_COUNT:]]))
            gifts = () if seen else views.given_to(source, delegation.sent_ns)
            self._known = [*given, *seen, *gifts, *views.context(source)]

    @cached_property
    def known(self) -> Knowledge:
        return Knowledge(self._views.reader, self._known)

    @cached_property
    def sent(self) -> Knowledge:
        return _task(self.delegation, self.delegation.target, self._views)

    @cached_property
    def received(self) -> Knowledge:
        return _received(self.delegation, self.delegation.target, self._views)

    @cached_property
    def parameters(self) -> list[frozenset[str]]:
        target = self.delegation.target
        return _parameters(target, self._views) if target is not None else []

    @property
    def hidden(self) -> str:
        if self.delegation.source is None:
            return "who delegated is not known"
        if not self.known.is_known:
            return "what the delegator was asked was not captured"
        if not self.sent.is_known and not self.received.is_known:
            return "neither the task nor what the delegatee saw was captured"
        return ""

    @property
    def asked_texts(self) -> list[str]:
        return [self._views.reader.asked(d) for d in self.asked]

    @cached_property
    def asked_items(self) -> list[Item]:
        return [item for d in self.asked for item in self._views.reader.asked_items(d)]

    @property
    def task_stems(self) -> set[str]:
        return self.sent.stems or self.received.stems

    @property
    def task_sentences(self) -> dict[str, frozenset[str]]:
        return self.sent.sentences or self.received.sentences


def boundary_of(delegation: Delegation, trace: Trace, views: "Views | None" = None) -> Boundary:
    """The boundary of a delegation, as far as it was captured. `views` serves many delegations of one trace."""
    return Boundary(delegation, views if views is not None else Views(trace))


class Views:
    """What agents had in view, gathered once for all the delegations of a trace that are looked at together."""

    def __init__(self, trace: Trace) -> None:
        self.reader = reader_of(trace)
        self._trace = trace
        self._calls: dict[int, list[Span]] = {}
        self._contexts: dict[int, list[bytes]] = {}
        self._gifts: dict[int, list[tuple[int, bytes]]] = {}

    def calls(self, invocation: Invocation) -> list[Span]:
        """The model calls whose input was captured, by start."""
        known = self._calls.get(id(invocation))
        if known is None:
            calls = [s for s in invocation.spans.values() if s.kind == SpanKind.MODEL and s.digests(Slot.INPUT)]
            known = self._calls[id(invocation)] = sorted(calls, key=lambda s: s.order_key)
        return known

    def context(self, invocation: Invocation) -> list[bytes]:
        """What an agent was given as context, on its spans or as it worked."""
        known = self._contexts.get(id(invocation))
        if known is None:
            known = self._contexts[id(invocation)] = list(_context(invocation))
        return known

    def given_to(self, invocation: Invocation, until_ns: int) -> list[bytes]:
        """The newest of what was given to an agent by `until_ns`: for agents whose model calls were not captured."""
        known = self._gifts.get(id(invocation))
        if known is None:
            gifts = [*_gifts(invocation), *self._answers.get(id(invocation), ())]
            known = self._gifts[id(invocation)] = sorted(gifts, key=lambda gift: gift[0])
        count = bisect_right(known, until_ns, key=lambda gift: gift[0])
        return [digest for _, digest in known[max(count - _MAX_GIVEN_COUNT, 0) : count]]

    @cached_property
    def _answers(self) -> dict[int, list[tuple[int, bytes]]]:
        """What agents gave back to who called them without a span of its own that says so, each with when it did."""
        found: dict[int, list[tuple[int, bytes]]] = {}
        for d in self._trace.delegations():
            if d.source is not None and d.span is d.target_span and d.returned_ns:
                found.setdefault(id(d.source), []).extend((d.returned_ns, digest) for digest in d.returned_digests())
        return found

    @cached_property
    def _sent(self) -> dict[int, Delegation]:
        return {id(d.target): d for d in self._trace.delegations() if d.target is not None}

    def sent_to(self, invocation: Invocation) -> list[bytes]:
        """The task that an agent was given, as its own delegator sent it: for agents whose own spans do not say."""
        delegation = self._sent.get(id(invocation))
        return delegation.task_digests() if delegation is not None else []

    def seen_by(self, invocation: Invocation, until_ns: int) -> list[bytes]:
        """What the first and the last model call that began by `until_ns` were shown: the last holds the history."""
        calls = self.calls(invocation)
        count = bisect_right(calls, until_ns, key=lambda s: s.start_ns)
        chosen = dict.fromkeys((0, count - 1) if count else ())
        return [d for i in chosen for d in calls[i].digests(Slot.INPUT)]


def is_ripe(delegation: Delegation) -> bool:
    """Whether both sides have said enough to be compared: the delegatee has thought, or is done. A delegatee without spans
    has had nothing but its task, and is done when the delegation is."""
    target = delegation.target
    if target is None:
        return bool(delegation.returned_ns and delegation.returned_digests())
    return bool(target.end_ns or delegation.returned_ns) or any(
        s.kind == SpanKind.MODEL and s.digests(Slot.INPUT) for s in target.spans.values()
    )


def observability(trace: Trace) -> list[tuple[str, bytes, str]]:
    """(check, delegation id, reason) for each check that a delegation's captured content does not allow."""
    unseen: list[tuple[str, bytes, str]] = []
    views = Views(trace)
    for delegation in trace.delegations():
        hidden = boundary_of(delegation, trace, views).hidden
        if hidden:
            unseen += [(check, delegation.delegation_id, hidden) for check in ("context.lost", "context.altered")]
        if not any(views.reader.has(d) for d in delegation.task_digests()):
            unseen += [(check, delegation.delegation_id, no_task(delegation)) for check in _OF_TASKS]
        is_due = delegation.returned_ns and not delegation.is_transfer
        if is_due and not any(views.reader.has(d) for d in delegation.returned_digests()):
            unseen.append(("context.ignored", delegation.delegation_id, _NO_ANSWER))
    return unseen


_OF_TASKS = ("context.invented", "context.leaked", "context.mixed", "context.stale")
_NO_ANSWER = "what came back was not captured"


def no_task(delegation: Delegation) -> str:
    """Why there is no task to judge: its text is missing, or the hand-off told of none, as one without arguments does."""
    return (
        "the task was not captured"
        if delegation.task_digests()
        else "work was handed on without a task, or none was captured"
    )


def _given(invocation: Invocation) -> list[bytes]:
    return invocation.asked_digests()


def _gifts(invocation: Invocation) -> Iterator[tuple[int, bytes]]:
    """What tools, retrieval and delegatees gave an agent, with the start of the span that gave it."""
    for span in invocation.spans.values():
        if span.kind in (SpanKind.TOOL, SpanKind.RETRIEVAL, SpanKind.DELEGATION):
            yield from ((span.start_ns, d) for slot in (Slot.RESULT, Slot.RETURNED) for d in span.digests(slot))


def _shown(target: Invocation, views: Views) -> list[bytes]:
    """What a delegatee's model was shown when it began, and what people told it later. Its own words and its tools' data
    are left out: a word in them is no instruction."""
    calls = views.calls(target)
    begun = [d for s in calls[:1] for slot in (Slot.SYSTEM, Slot.INPUT) for d in s.digests(slot)]
    first = [d for d in begun if not views.reader.is_data(d)]
    later = [d for s in calls[1:][-1:] for d in s.digests(Slot.INPUT) if views.reader.asked(d)]
    return [*first, *later]


def _received(delegation: Delegation, target: Invocation | None, views: Views) -> Knowledge:
    """What the delegatee had in view: what its model was shown, which is what counts; else the task as it came."""
    if target is None:
        return Knowledge(views.reader, delegation.task_digests())
    shown = _shown(target, views)
    context = views.context(target)
    knowledge = Knowledge(views.reader, [*shown, *context])
    if shown and knowledge.is_known:
        return knowledge
    return Knowledge(views.reader, [*delegation.task_digests(), *delegation.received_digests(), *context])


def _task(delegation: Delegation, target: Invocation | None, views: Views) -> Knowledge:
    """The task as given; where the hand-over carried none, what the delegatee's model was asked first."""
    sent = Knowledge(views.reader, delegation.task_digests())
    if sent.is_known or target is None:
        return sent
    first = [d for s in views.calls(target)[:1] for d in s.digests(Slot.INPUT) if views.reader.asked(d)]
    return Knowledge(views.reader, first)


def _context(invocation: Invocation) -> Iterator[bytes]:
    for span in invocation.spans.values():
        yield from span.digests(Slot.CONTEXT)
        for event in span.events:
            if event.name == EVENT_CONTEXT:
                yield from (d for digests in event.contents.values() for d in digests)


def _parameters(target: Invocation, views: Views) -> list[frozenset[str]]:
    """Stems of each of the parameter names of the tools that an agent called or was offered; hand-overs are no tools."""
    names: set[str] = set()
    for span in views.calls(target)[:1]:
        for digest in span.digests(Slot.TOOLS):
            names |= _offered(views.reader.text(digest) or "")
    for span in target.spans.values():
        if span.kind == SpanKind.TOOL:
            names.update(_argument_names(views.reader.text(d) or "" for d in span.digests(Slot.ARGUMENTS)))
    return [frozenset(stems(name)) for name in sorted(names)]


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
