"""The fold of one trace: facts in, structure out, in any order of arrival.

Invariant: `fold(facts)` depends on the set of facts, not on their order or repetition, and folding one more costs no
more than the part of the tree that it moves. Called by the collector's pipeline and by readers of a store; detectors,
views and exports read it and never write.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

from trajectory.graph.delegations import Delegation
from trajectory.graph.faults import root_errors
from trajectory.graph.invocation import Invocation as Invocation
from trajectory.graph.invocation import Usage as Usage
from trajectory.graph.invocation import count_usage, repeated_by, repeats_parent, says_usage
from trajectory.graph.invocation import tool_name as tool_name
from trajectory.graph.keys import ID_NAMES, PayloadSource, call_ids
from trajectory.graph.pairing import derive_delegations, target_named
from trajectory.graph.span import Span
from trajectory.model.content import text_of
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
from trajectory.model.lists import expand
from trajectory.model.words import (
    DELEGATION_GRADE,
    DELEGATION_TARGET,
    SESSION_ID,
    TITLE,
    Grade,
    LinkKind,
    Slot,
    SpanKind,
)

ROLLUP_INPUT_TOKENS = "trajectory.usage.rollup_input_tokens"
ROLLUP_OUTPUT_TOKENS = "trajectory.usage.rollup_output_tokens"
_WORK = frozenset((SpanKind.MODEL, SpanKind.TOOL, SpanKind.RETRIEVAL))
_PARTING = frozenset((SpanKind.TOOL, SpanKind.DELEGATION))
_STRUCTURAL = frozenset(k.value for k in (SpanKind.AGENT, SpanKind.DELEGATION, SpanKind.TOOL))
_AGENT, _DELEGATION, _OTHER = (
    SpanKind.AGENT.value,
    SpanKind.DELEGATION.value,
    SpanKind.OTHER.value,
)  # bare texts are compared fastest
_NAMES = frozenset((SESSION_ID, TITLE))
_TELLING = frozenset(
    (SpanKind.DELEGATION, SpanKind.TOOL, SpanKind.MODEL)
)  # kinds of spans that may tell of a delegation

_KEPT_LISTS = 64
_order_key = attrgetter("order_key")


class Trace:
    """Everything that one root request caused, as far as the facts so far tell.

    `version` grows with each fact that changed anything; `structure_version` only when agents or delegations may have.
    """

    def __init__(self, trace_id: bytes, payload: PayloadSource = lambda digest: None) -> None:
        self.trace_id = trace_id
        self.version = 0
        self.structure_version = 0
        self._remark_count = 0
        self.spans: dict[bytes, Span] = {}
        self.findings: dict[str, Finding] = {}
        self.found_at_ns: dict[str, int] = {}
        self.marks: dict[str, Marked] = {}
        self.heard_ns: dict[bytes, int] = {}  # emitter id → last sign of life, by its wall clock
        self.first_ns = 0
        self.last_ns = 0
        self.open_count = 0
        self.has_contents = False  # whether any fact named a payload
        self._payload = payload
        self._expanded: dict[bytes, list[bytes]] = {}
        self._loose: dict[tuple[str, str], Invocation] = {}
        self._owned: dict[bytes, Invocation] = {}  # agent span id → the invocation that it is
        self._sent_to: dict[bytes, Invocation] = {}  # declared delegation → its target, without span
        self._parentless: dict[bytes, Span] = {}
        self._failed: dict[bytes, Span] = {}
        self._cut: dict[bytes, Span] = {}  # spans whose parent stands below them: each cycle is cut at its first span
        self._named: dict[str, dict[bytes, Span]] = {SESSION_ID: {}, TITLE: {}}  # attribute → the spans that have it
        self._derived_version = -1
        self._root_errors: list[Span] = []
        self._root_errors_version = -1
        self._agents: dict[str, Usage] = {}
        self._agents_version = -1
        self._root: Span | None = None
        self._root_version = -1
        self._delegations: list[Delegation] = []
        self._source: Source | None = None  # who told of the latest start, and its service
        self._service = ""
        self._labels: dict[int, str] = {}
        self._invocations: list[Invocation] = []
        self._vehicles: set[bytes] = set()

    # --- folding -------------------------------------------------------------------------------------------------------

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
        return self._changed(span)

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

    def _new(self, span_id: bytes) -> Span:
        span = self.spans[span_id] = self._parentless[span_id] = Span(self.trace_id, span_id, self._expand)
        return span

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

    def _first_named(self, name: str) -> str:
        """What the earliest of the spans with an attribute says; empty where there is none."""
        first = min(self._named[name].values(), key=lambda s: s.order_key, default=None)
        return str(first.attributes[name]) if first is not None else ""

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
        for above in span.ancestors():
            if above is outer:
                return True
            if above.kind in (SpanKind.TOOL, SpanKind.DELEGATION):
                return False
        return False

    def dissolve(self) -> None:
        """Lets go of every span, so that memory is free at once and not at some later collection; of no use after."""
        for span in self.spans.values():
            span.parent = span.owner = None
            span.children = ()
        vars(self).clear()

    # --- reading -------------------------------------------------------------------------------------------------------

    @property
    def told_version(self) -> int:
        """Grows as `version` does, but not with findings and marks: they tell nothing new of what happened."""
        return self.version - self._remark_count

    @property
    def session_id(self) -> str:
        """The conversation that the outermost span with one names: callees often get another id than their caller."""
        return self._first_named(SESSION_ID)

    @property
    def title(self) -> str:
        """What a person may call this trace: the given title, else the root's name."""
        root = self.root
        return self._first_named(TITLE) or (root.name if root is not None else "")

    @property
    def roots(self) -> list[Span]:
        """Spans with nothing known above them, by start; placeholders included."""
        return sorted(self._parentless.values(), key=_order_key)

    @property
    def root(self) -> Span | None:
        """The earliest root that has started; where every root is a placeholder, the earliest span under one."""
        if self._root_version != self.version:
            started = [s for s in self._parentless.values() if not s.is_placeholder] or [
                s for s in self.spans.values() if not s.is_placeholder
            ]
            self._root, self._root_version = min(started, key=_order_key, default=None), self.version
        return self._root

    @property
    def service(self) -> str:
        root = self.root
        return root.service if root is not None else ""

    @property
    def state(self) -> str:
        """`live` while anything is open, else `failed` where a root ended in error, else `done`."""
        if self.open_count:
            return "live"
        return "failed" if any(s.is_error for s in self._parentless.values()) else "done"

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

    def text(self, digest: bytes) -> str | None:
        """What a payload says; None where the body is not at hand."""
        payload = self._payload(digest)
        return text_of(*payload) if payload is not None else None

    @property
    def payload_source(self) -> PayloadSource:
        """Where bodies come from: for whoever reads them and shall not keep this trace alive."""
        return self._payload

    def body(self, digest: bytes) -> tuple[str, bytes] | None:
        """A payload's media type and bytes; None where it is not at hand."""
        return self._payload(digest)

    def texts(self, span: Span, *slots: str) -> list[str]:
        """What the payloads in these slots say, in order; missing bodies are left out."""
        found = (self.text(digest) for slot in slots for digest in span.digests(slot))
        return [text for text in found if text is not None]

    def invocations(self) -> list[Invocation]:
        """Every time that an agent worked, by start."""
        self._derive()
        return self._invocations

    def delegations(self) -> list[Delegation]:
        """Who gave work to whom, by the time it was sent."""
        self._derive()
        return self._delegations

    def label(self, invocation: Invocation) -> str:
        """`research#2` for the second invocation of research in this trace."""
        self._derive()
        return self._labels.get(id(invocation), invocation.agent)

    def span_label(self, span: Span) -> str:
        """The label of the invocation that a span belongs to; the service's name, or nothing, where there is none."""
        return self.label(span.owner) if span.owner is not None else span.agent or span.service

    def vehicles(self) -> set[bytes]:
        """Ids of the tool and delegation spans that carry a delegation: they are not tools of the agent's work."""
        self._derive()
        return self._vehicles

    def _derive(self) -> None:
        if self._derived_version == self.structure_version:
            return
        self._derived_version = self.structure_version
        working = [i for i in self._owned.values() if i.span is not None and i.span.owner is i]
        working += [i for i in self._loose.values() if i.spans]
        working += [i for i in self._sent_to.values() if any(s.kind in _WORK for s in i.spans.values())]
        self._invocations = sorted(working, key=lambda i: (i.start_ns, i.span_id))
        counts: dict[str, int] = {}
        self._labels = {}
        for invocation in self._invocations:
            counts[invocation.agent] = counts.get(invocation.agent, 0) + 1
            self._labels[id(invocation)] = f"{invocation.agent}#{counts[invocation.agent]}"
        told = [s for s in self.spans.values() if s.kind in _TELLING or (s.kind == _OTHER and call_ids(s))]
        told = [s for s in told if not s.is_placeholder]
        told.sort(key=_order_key)
        self._delegations = derive_delegations(self._invocations, told, self.spans, self._payload)
        self._vehicles = {
            s.span_id for d in self._delegations if d.span.kind in _PARTING for s in (d.span, *repeated_by(d.span))
        }

    def agents(self) -> dict[str, Usage]:
        """Agents that took part, in order of first work, with what they did; also those that only a delegation names."""
        if self._agents_version != self.version:
            self._agents, self._agents_version = self._count_agents(), self.version
        return self._agents

    def _count_agents(self) -> dict[str, Usage]:
        agents: dict[str, Usage] = {}
        for invocation in self.invocations():
            agents.setdefault(invocation.agent, Usage()).add(invocation.usage)
        for delegation in self.delegations():
            for name in (delegation.source_agent, delegation.target_agent):
                if name:
                    agents.setdefault(name, Usage())
        self._use_rollups(agents)
        errors = Counter(s.owner.agent for s in self.root_errors() if s.owner is not None)
        for name, usage in agents.items():
            usage.errors = errors[name]  # where errors began: one that passes through three agents is not three
        return agents

    def _use_rollups(self, agents: dict[str, Usage]) -> None:
        """Takes an agent span's own sum where no model call anywhere under it says what it used."""
        for invocation in self.invocations():
            span = invocation.span
            if span is None or not (ROLLUP_INPUT_TOKENS in span.attributes or ROLLUP_OUTPUT_TOKENS in span.attributes):
                continue
            if not (span.number(ROLLUP_INPUT_TOKENS) or span.number(ROLLUP_OUTPUT_TOKENS)):
                continue
            if any(says_usage(s) for s in descendants(span)):
                continue
            if any(s.number(ROLLUP_INPUT_TOKENS) for s in descendants(span)):
                continue
            agents[invocation.agent].input_tokens += int(span.number(ROLLUP_INPUT_TOKENS))
            agents[invocation.agent].output_tokens += int(span.number(ROLLUP_OUTPUT_TOKENS))

    def usage(self) -> Usage:
        """The whole trace's: every agent's and that of spans that no agent owns."""
        total = count_usage([s for s in self.spans.values() if s.owner is None], within=self.spans.values())
        for usage in self.agents().values():
            total.add(usage)
        return total

    def tools(self) -> dict[str, list[Span]]:
        """Tool calls by tool name, each by start, without those that carry a delegation or repeat the call around them."""
        calls: dict[str, list[Span]] = {}
        vehicles = self.vehicles()
        for span in sorted(self.spans.values(), key=lambda s: s.order_key):
            if span.kind == SpanKind.TOOL and span.span_id not in vehicles and not repeats_parent(span):
                calls.setdefault(tool_name(span), []).append(span)
        return calls

    def root_errors(self) -> list[Span]:
        """Error spans that are no mere propagation of an error below them, by start."""
        if self._root_errors_version != self.version:
            self._root_errors, self._root_errors_version = root_errors(self._failed.values()), self.version
        return [*self._root_errors]


def is_retry(span: Span) -> bool:
    """Whether a span says that it does again what another span failed at."""
    return any(link.kind == LinkKind.RETRY_OF for link in span.links)


def descendants(span: Span) -> Iterator[Span]:
    """Every span below, in no order that matters."""
    pending = list(span.children)
    while pending:
        below = pending.pop()
        yield below
        pending.extend(below.children)


def _told_by(span: Span) -> tuple[object, str] | None:
    """What a delegation span says that decides whose work is under it."""
    if span.kind != _DELEGATION:
        return None
    return span.attributes.get(DELEGATION_GRADE), target_named(span)


_APPLY: dict[type[Fact], Callable[[Trace, Any, Source], Span | None]] = {
    SpanStarted: Trace._apply_start,
    SpanEnded: Trace._apply_end,
    SpanUpdated: Trace._apply_update,
    SpanEvent: Trace._apply_event,
    SpanLinked: Trace._apply_link,
    Found: Trace._apply_found,
    Marked: Trace._apply_mark,
    Heartbeat: Trace._apply_beat,
}
