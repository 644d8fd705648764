"""The facts of one trace folded into its tree: what each fact changes, and what has to be worked out anew for it.

Invariant: `fold(facts)` depends on the set of facts, not on their order or repetition. The middle part of a `Trace`, which is
what is read of it.
"""

from collections.abc import Callable
from typing import Any

from trajectory.graph.echoes import neighbours
from trajectory.graph.keys import ID_NAMES, PayloadSource
from trajectory.graph.pairing import target_named
from trajectory.graph.span import Span
from trajectory.graph.tree import Tree
from trajectory.model.fact import (
    Fact,
    Finding,
    Found,
    Heartbeat,
    Marked,
    Source,
    SpanEnded,
    SpanEvent,
    SpanLinked,
    SpanStarted,
    SpanUpdated,
)
from trajectory.model.words import DELEGATION_GRADE, DELEGATION_TARGET, SESSION_ID, TITLE, Slot, SpanKind

_STRUCTURAL = frozenset(k.value for k in (SpanKind.AGENT, SpanKind.DELEGATION, SpanKind.TOOL))
_DELEGATION, _OTHER = SpanKind.DELEGATION.value, SpanKind.OTHER.value  # bare texts are compared fastest
_NAMES = frozenset((SESSION_ID, TITLE))


class Fold(Tree):
    """A tree of spans that facts are folded into. `version` grows with each fact that changed anything."""

    def __init__(self, trace_id: bytes, payload: PayloadSource) -> None:
        super().__init__(trace_id, payload)
        self.version = 0
        self._remark_count = 0
        self.findings: dict[str, Finding] = {}
        self.found_at_ns: dict[str, int] = {}
        self.marks: dict[str, Marked] = {}
        self.heard_ns: dict[bytes, int] = {}  # emitter id → last sign of life, by its wall clock
        self.first_ns = 0
        self.last_ns = 0
        self.open_count = 0
        self.has_contents = False  # whether any fact named a payload
        self._failed: dict[bytes, Span] = {}
        self._named: dict[str, dict[bytes, Span]] = {SESSION_ID: {}, TITLE: {}}  # attribute → the spans that have it
        self._source: Source | None = None  # who told of the latest start, and its service
        self._service = ""

    def apply(self, fact: Fact, source: Source) -> Span | None:
        """Folds one fact of this trace; returns the span that it changed, None where it changed none."""
        apply = _APPLY.get(type(fact))
        return apply(self, fact, source) if apply is not None else None

    def _apply_start(self, fact: SpanStarted, source: Source) -> Span | None:
        self._pass(fact.at_ns, source)
        if source is not self._source:
            self._source, self._service = source, source.service
        if fact.contents:
            self.has_contents = True
        known = self.spans.get(fact.span_id)
        if known is not None:
            return self._start_known(known, fact, source)
        span = self.spans[fact.span_id] = Span(self.trace_id, fact.span_id, self._expand)
        span.start(fact, source, self._service)
        self.version += 1
        self.open_count += 1
        if span.parent_id and span.parent_id != span.span_id:
            (self.spans.get(span.parent_id) or self._new(span.parent_id)).hang(span)  # nothing is under it: no cycle
        else:
            self._parentless[span.span_id] = span
        owner = self._owner_of(span)
        if owner is not None:
            self._give(span, owner)
        if not _NAMES.isdisjoint(fact.attributes):
            self._note_names(span)
        return self._changed(span)

    def _start_known(self, span: Span, fact: SpanStarted, source: Source) -> Span | None:
        """Starts a span that something is known of already: its end, its children, or another start."""
        was_open, was_placeholder = span.is_open, span.is_placeholder
        if not span.start(fact, source, self._service):
            return None
        self.version += 1
        self.open_count += span.is_open - was_open
        if was_placeholder:
            self._place(span)
        else:
            self._place_again(span)
        self._note_names(span)
        self._changed(span)
        span.recast_count = self._changes.count
        return span

    def _apply_end(self, fact: SpanEnded, source: Source) -> Span | None:
        span = self.spans.get(fact.span_id) or self._new(fact.span_id)
        self._pass(fact.at_ns, source)
        was_open, told = span.is_open, _told_by(span)
        if not span.end(fact):
            return None
        self.version += 1
        self.open_count -= was_open
        if span.is_error:
            self._failed[span.span_id] = span
        elif self._failed:
            self._failed.pop(span.span_id, None)
        if was_open and not fact.attributes and not fact.contents:
            return self._changed(span)
        return self._told_again(span, fact, told)

    def _apply_update(self, fact: SpanUpdated, source: Source) -> Span | None:
        span = self.spans.get(fact.span_id) or self._new(fact.span_id)
        self._pass(fact.at_ns, source)
        told = _told_by(span)
        if not span.update(fact):
            return None
        self.version += 1
        return self._told_again(span, fact, told)

    def _apply_event(self, fact: SpanEvent, source: Source) -> Span | None:
        span = self.spans.get(fact.span_id) or self._new(fact.span_id)
        self._pass(fact.at_ns, source)
        if not span.event(fact):
            return None
        self.version += 1
        if fact.contents:
            self.has_contents = True
        return self._changed(span)

    def _apply_link(self, fact: SpanLinked, source: Source) -> Span | None:
        span = self.spans.get(fact.span_id) or self._new(fact.span_id)
        self._pass(fact.at_ns, source)
        if not span.link(fact):
            return None
        self.version += 1
        self.structure_version += 1
        return self._changed(span)

    def _told_again(self, span: Span, fact: SpanEnded | SpanUpdated, told: tuple[object, str] | None) -> Span:
        """Follows up on attributes that may have changed, and with them whose work is under a span."""
        if fact.contents:
            self.has_contents = True
            if Slot.INPUT in fact.contents:  # what an agent was asked may be what a call asked
                self.structure_version += 1
        if told != _told_by(span):
            for child in span.children:
                self._own(child, deep=True)
        self._note_names(span)
        return self._changed(span)

    def _changed(self, span: Span) -> Span:
        """Forgets what was worked out of a span that has changed."""
        self._changes.note(span)
        for other in neighbours(span):
            self._changes.note(other)
        if span.owner is not None:
            span.owner.changed()
        elif span.children:
            self._recount(span)
        if (
            span.kind in _STRUCTURAL
            or (DELEGATION_TARGET in span.attributes and target_named(span))
            or (span.kind == _OTHER and not ID_NAMES.isdisjoint(span.attributes))
        ):
            self.structure_version += 1
        return span

    def _pass(self, at_ns: int, source: Source) -> None:
        """Notes an instant at which something of this trace happened, and who told of it."""
        if at_ns:
            if at_ns > self.last_ns:
                self.last_ns = at_ns
            if at_ns < self.first_ns or not self.first_ns:
                self.first_ns = at_ns
            if at_ns > self.heard_ns.get(source.emitter_id, 0):
                self.heard_ns[source.emitter_id] = at_ns

    def _apply_mark(self, fact: Marked, source: Source) -> None:
        known = self.marks.get(fact.alert_key)
        if known is None or (known.at_ns, repr(known)) < (fact.at_ns, repr(fact)):
            self.marks[fact.alert_key] = fact
            self.version += 1
            self._remark_count += 1

    def _apply_beat(self, fact: Heartbeat, source: Source) -> None:
        if fact.at_ns > self.heard_ns.get(source.emitter_id, 0):
            self.heard_ns[source.emitter_id] = fact.at_ns

    def _apply_found(self, fact: Found, source: Source) -> None:
        finding = fact.finding
        known, known_ns = self.findings.get(finding.key), self.found_at_ns.get(finding.key, -1)
        if known is None or (known_ns, repr(known)) < (fact.at_ns, repr(finding)):
            self.findings[finding.key] = finding
            self.found_at_ns[finding.key] = fact.at_ns
            self.version += 1
            self._remark_count += 1

    def _note_names(self, span: Span) -> None:
        for name, spans in self._named.items():
            if span.attributes.get(name) and not span.is_placeholder:
                spans[span.span_id] = span
            elif spans:
                spans.pop(span.span_id, None)

    @staticmethod
    def _recount(span: Span) -> None:
        """Forgets the counts that a changed span without owner is in: those of calls that it wraps for others."""
        pending = [*span.children]
        while pending:
            changed = pending.pop()
            if changed.owner is not None:
                changed.owner.changed()
            elif changed.kind == SpanKind.MODEL:
                pending.extend(changed.children)


def _told_by(span: Span) -> tuple[object, str] | None:
    """What a delegation span says that decides whose work is under it."""
    if span.kind != _DELEGATION:
        return None
    return span.attributes.get(DELEGATION_GRADE), target_named(span)


_APPLY: dict[type[Fact], Callable[[Fold, Any, Source], Span | None]] = {
    SpanStarted: Fold._apply_start,
    SpanEnded: Fold._apply_end,
    SpanUpdated: Fold._apply_update,
    SpanEvent: Fold._apply_event,
    SpanLinked: Fold._apply_link,
    Found: Fold._apply_found,
    Marked: Fold._apply_mark,
    Heartbeat: Fold._apply_beat,
}
