"""The spans of one trace, each under its parent, and whose work each is.

Invariant: where a span stands and whose it is follows from what the spans say and not from their order of arrival; a cycle is
cut at its first span, whoever came last; and a span that comes costs no more than the part of the tree that it moves. The
lowest part of a `Trace`; `fold` brings the facts.
"""

from trajectory.graph.changes import Changes
from trajectory.graph.invocation import Invocation
from trajectory.graph.keys import PayloadSource
from trajectory.graph.pairing import target_named
from trajectory.graph.span import Span
from trajectory.model.lists import expand
from trajectory.model.words import DELEGATION_GRADE, Grade, SpanKind

_PARTING = frozenset((SpanKind.TOOL, SpanKind.DELEGATION))
_AGENT, _DELEGATION = SpanKind.AGENT.value, SpanKind.DELEGATION.value  # bare texts are compared fastest
_KEPT_LISTS = 64


class Tree:
    """Spans under parents, and under the invocations of agents that own them. `structure_version` grows where either moves."""

    def __init__(self, trace_id: bytes, payload: PayloadSource) -> None:
        self.trace_id = trace_id
        self.structure_version = 0
        self.spans: dict[bytes, Span] = {}
        self._payload = payload
        self._expanded: dict[bytes, list[bytes]] = {}
        self._parentless: dict[bytes, Span] = {}
        self._changes = Changes()
        self._cut: dict[bytes, Span] = {}  # spans whose parent stands below them: each cycle is cut at its first span
        self._loose: dict[tuple[str, str], Invocation] = {}
        self._owned: dict[bytes, Invocation] = {}  # agent span id → the invocation that it is
        self._sent_to: dict[bytes, Invocation] = {}  # declared delegation → its target, without span

    def _new(self, span_id: bytes) -> Span:
        span = self.spans[span_id] = self._parentless[span_id] = Span(self.trace_id, span_id, self._expand)
        return span

    def _expand(self, entries: list[bytes]) -> list[bytes]:
        """The bodies' digests behind a list, the last lists kept: detectors read them again and again."""
        (entry,) = entries
        digests = self._expanded.get(entry)
        if digests is None:
            digests = expand(entries, self._payload)
            if digests:
                self._expanded[entry] = digests
            if len(self._expanded) > _KEPT_LISTS:
                del self._expanded[next(iter(self._expanded))]
        return digests

    # --- placing -------------------------------------------------------------------------------------------------------

    def _place_again(self, span: Span) -> None:
        """Settles the place of a span that a second start tells of otherwise, and of cycles that this opens or turns."""
        former = span.parent
        self._unhang(span)
        if former is not None and former.is_unheard and not former.children:
            del self.spans[former.span_id], self._parentless[former.span_id]
        for cut in [c for c in self._cut.values() if c is not span]:
            del self._cut[cut.span_id]
            self._place(cut, deep=True)
        self._cut.pop(span.span_id, None)
        self._place(span, deep=True)

    def _place(self, span: Span, deep: bool = False) -> None:
        """Hangs a started span under its parent, a placeholder if need be, and settles whose work it is."""
        if span.parent_id and span.parent_id != span.span_id:
            parent = self.spans.get(span.parent_id) or self._new(span.parent_id)
            if self._is_above(span, parent):
                self._cut_cycle(span, parent)
            else:
                self._hang(span, parent)
        self._own(span, deep or span.kind in _PARTING)

    def _hang(self, span: Span, parent: Span) -> None:
        parent.hang(span)
        del self._parentless[span.span_id]

    def _unhang(self, span: Span) -> None:
        if span.parent is not None:
            self._changes.note(span.parent)
            span.parent.unhang(span)
            self._parentless[span.span_id] = span

    @staticmethod
    def _is_above(span: Span, below: Span) -> bool:
        """Whether `span` is above `below`: hanging it there would close a cycle. A childless span is above nobody."""
        return bool(span.children) and any(a is span for a in below.ancestors())

    def _cut_cycle(self, span: Span, parent: Span) -> None:
        """Makes a root of the earliest span in the cycle that `span` would close under `parent`, whoever came last."""
        cycle = [span, parent]
        while (above := cycle[-1].parent) is not None and above is not span:
            cycle.append(above)
        first = min(cycle, key=lambda s: s.order_key)
        self._cut[first.span_id] = first
        if first is not span:
            self._unhang(first)
            self._hang(span, parent)
            self._own(first, deep=True)

    # --- owning --------------------------------------------------------------------------------------------------------

    def _own(self, span: Span, deep: bool = False) -> None:
        """Settles the owners of a span and of everything under it that its place changes.

        Below an owner that stays, nothing changes, unless `deep`: a tool or delegation that is new between two agent spans
        of one name parts them into two invocations.
        """
        pending = [span]
        while pending:
            moved = pending.pop()
            owner = self._owner_of(moved)
            if owner is moved.owner and moved is not span and (not deep or moved.kind == SpanKind.AGENT):
                continue
            if owner is not moved.owner:
                self._give(moved, owner)
            pending.extend(moved.children)

    def _give(self, span: Span, owner: Invocation | None) -> None:
        if span.owner is not None:
            span.owner.spans.pop(span.span_id, None)
            span.owner.changed()
        span.owner = owner
        self._changes.note(span)
        if owner is not None:
            owner.spans[span.span_id] = span
            owner.changed()
        self.structure_version += 1

    def _owner_of(self, span: Span) -> Invocation | None:
        above = self._above(span)
        if span.is_placeholder or not (span.agent or span.kind == _AGENT):
            return above
        if span.kind != _AGENT:
            return above or self._loose_of(span)
        name = span.agent or span.name
        if above is not None and above.span is not None and above.agent == name and self._continues(span, above.span):
            return above
        own = self._owned.get(span.span_id)
        if own is None or own.agent != name:
            own = self._owned[span.span_id] = Invocation(name, span.service, span)
        own.service = span.service
        return own

    def _loose_of(self, span: Span) -> Invocation:
        """The one invocation of an agent, within a service, whose steps have no agent span above them."""
        key = (span.service, span.agent)
        if key not in self._loose:
            self._loose[key] = Invocation(span.agent, span.service, None)
        return self._loose[key]

    def _above(self, span: Span) -> Invocation | None:
        """Whose work a span's place makes it: under a delegation that its sender only declares, the named target's."""
        parent = span.parent
        if parent is None:
            return None
        if parent.kind != _DELEGATION or parent.attributes.get(DELEGATION_GRADE) != Grade.DECLARED:
            return parent.owner
        target = target_named(parent)
        known = self._sent_to.get(parent.span_id)
        if target and (known is None or known.agent != target):
            known = self._sent_to[parent.span_id] = Invocation(target, parent.service, None, parent)
        return known if target else parent.owner

    @staticmethod
    def _continues(span: Span, outer: Span) -> bool:
        """Whether an agent span inside one of the same agent is the same invocation: frameworks wrap an agent's run twice,
        but a delegation or a tool between the two makes it a second run."""
        between = (SpanKind.TOOL, SpanKind.DELEGATION)
        return next((above is outer for above in span.ancestors() if above is outer or above.kind in between), False)
