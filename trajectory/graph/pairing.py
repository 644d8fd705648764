"""Who gave work to whom, read off the agent, delegation, tool and model spans of one trace.

Invariant: one act of giving is one delegation, however many spans tell of it, and its grade says how it is known. Pure:
called by the fold when agents or delegations may have changed.

Evidence, strongest first: the emitter's pair of delegation span and accepting agent span; an agent span under another
agent's span; a delegation span met by the next invocation of the target that it names (or of anybody, where it names none);
an agent span that names who gave it control; a span link; an id on both sides; a model's answer that asks for the hand-over;
a tool call that waited, and is named after the agent or asked what it was asked. A delegation span that nobody answers was
sent and not received.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import islice, takewhile
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING

from trajectory.graph.delegations import Delegation
from trajectory.graph.echoes import first_telling, is_echo
from trajectory.graph.keys import PayloadSource, call_ids, text_given, texts_asked
from trajectory.graph.roster import Around, ByStart, Roster, letters, name_key, same_agent
from trajectory.graph.span import Span
from trajectory.model.words import (
    DELEGATION_GRADE,
    DELEGATION_MODE,
    DELEGATION_REASON,
    DELEGATION_SOURCE,
    DELEGATION_TARGET,
    DelegationMode,
    Grade,
    LinkKind,
    SpanKind,
)

if TYPE_CHECKING:
    from trajectory.graph.invocation import Invocation

_MODEL, _TOOL, _DELEGATION = SpanKind.MODEL.value, SpanKind.TOOL.value, SpanKind.DELEGATION.value
_TELLING = frozenset((_DELEGATION, _TOOL, _MODEL, SpanKind.OTHER.value))  # what may have the id of a call
_order_key, _sent_key = attrgetter("order_key"), attrgetter("span.order_key")
_CAUSAL = frozenset({LinkKind.FOLLOWS.value, LinkKind.CAUSED.value})
_ID_WORDS = {"message": "one A2A message id", "task": "one A2A task id", "call": "one tool call id"}
_MAX_CHAIN = 64
_SKEW_NS = 50_000_000  # how much earlier than its hand-over another process's clock may put an invocation


def derive_delegations(
    invocations: "Sequence[Invocation]",
    spans: Mapping[bytes, Span] = MappingProxyType({}),
    body: PayloadSource = lambda digest: None,
) -> list[Delegation]:
    """Delegations between `invocations`, which come by start, given the trace's `spans` by id; by time of sending. `body` reads
    what was asked."""
    pairing = _Pairing(invocations, spans, body)
    pairing.nest()
    pairing.answer()
    pairing.take_word()
    pairing.infer()
    told = [*pairing.found.values(), *pairing.waiting]
    told = [d for d in told if d.source is not d.target or d.source is None]
    carried = Counter([d.span.span_id for d in told])
    if len(carried) < len(told):
        for delegation in told:
            delegation.is_shared = carried[delegation.delegation_id] > 1
    return sorted(told, key=_sent_key)


class _Pairing:
    """One derivation: what is found so far, and which spans are used up."""

    def __init__(self, invocations: "Sequence[Invocation]", spans: Mapping[bytes, Span], body: PayloadSource) -> None:
        self.invocations = invocations
        self._spans = spans
        self._body = body
        self.found: dict[int, Delegation] = {}  # id(target invocation) → the delegation that it answers
        self.waiting: list[Delegation] = []
        self._taken: set[bytes] = set()
        self._roster = Roster(invocations)
        self._sent: list[Span] = []
        asked: dict[str, list[Span]] = {}
        for span in spans.values():
            kind = span.kind
            if kind == _DELEGATION:
                self._sent.append(span)
            elif kind in (_MODEL, _TOOL) and DELEGATION_TARGET in span.attributes and (target := target_named(span)):
                asked.setdefault(name_key(target), []).append(span)
        self._sent.sort(key=_order_key)
        self._asked = {
            key: ByStart((s.start_ns, s) for s in sorted(found, key=_order_key)) for key, found in asked.items()
        }

    @cached_property
    def _tools(self) -> Around:
        """The calls of tools; asked for where nothing else explains an agent's work, which is seldom."""
        return Around(s for s in self._spans.values() if s.kind == _TOOL and s.owner is not None)

    @cached_property
    def _by_id(self) -> dict[tuple[str, str], list[Span]]:
        """The spans that have an id; asked for where place and names do not explain an agent's work, which is seldom."""
        found: dict[tuple[str, str], list[Span]] = {}
        telling = (s for s in self._spans.values() if s.kind in _TELLING and not s.is_placeholder)
        for span, pairs in sorted(
            ((s, pairs) for s in telling if (pairs := call_ids(s))), key=lambda p: p[0].order_key
        ):
            for pair in pairs:
                found.setdefault(pair, []).append(first_telling(span))
        return found

    @cached_property
    def _by_taken(self) -> "dict[tuple[str, str], list[Invocation]]":
        """The invocations that have an id, or were brought by what has it."""
        found: dict[tuple[str, str], list[Invocation]] = {}
        for invocation in self.invocations:
            for pair in {pair for span in _entry(invocation) for pair in call_ids(span)}:
                found.setdefault(pair, []).append(invocation)
        return found

    def nest(self) -> None:
        """Agents whose span stands under another agent's span, or under a delegation span."""
        for target in self.invocations:
            nested = self._nested(target)
            if nested is not None:
                if nested.span is target.span:  # no tool or delegation span tells the task
                    nested.asked = self._used_asked(nested.span, nested)
                self.found[id(target)] = nested
                self._taken.add(nested.span.span_id)
        for target in self.invocations:
            if target.via is not None and target.via.span_id not in self._taken:
                self.found[id(target)] = self._from_span(target.via, target)
                self._taken.add(target.via.span_id)

    def answer(self) -> None:
        """Delegation spans, each with the invocation that answers it."""
        nested = {d.span.span_id: d for d in self.found.values()}
        open_ = Roster(i for i in self.invocations if self._is_open(i))
        for span in self._sent:
            if span.span_id in self._taken:
                self._used_asked(span, nested.get(span.span_id))
            elif not _repeats_outer(span):
                met = next(
                    (i for i in open_.since(span.start_ns - _SKEW_NS, target_named(span)) if self._answers(i, span)),
                    None,
                )
                delegation = self._from_span(span, met)
                delegation.asked = self._used_asked(span, delegation)
                if met is None:
                    self.waiting.append(delegation)
                else:
                    if id(met) in self.found:
                        delegation.asked = delegation.asked or self.found[id(met)].asked
                        delegation.grade = Grade.OBSERVED
                    self.found[id(met)] = delegation
                    self._taken.add(span.span_id)
                    open_.remove(met)

    def _is_open(self, invocation: "Invocation") -> bool:
        """Whether a delegation span may still explain an invocation, which nothing does or only the place of its own span."""
        known = self.found.get(id(invocation))
        return invocation.span is not None and (known is None or known.span is invocation.span)

    def take_word(self) -> None:
        """Agent spans that name who gave them control."""
        for target in self._unexplained():
            span = target.span
            named = str(span.attributes.get(DELEGATION_SOURCE, "")) if span is not None else ""
            if span is not None and named and not same_agent(named, target.agent):
                self.found[id(target)] = Delegation(
                    self._roster.latest(named, span.start_ns + _SKEW_NS),
                    target,
                    span,
                    mode=str(span.attributes.get(DELEGATION_MODE, DelegationMode.TRANSFER)),
                    grade=str(span.attributes.get(DELEGATION_GRADE, Grade.DECLARED)),
                    reason=str(span.attributes.get(DELEGATION_REASON, "the agent span names who gave it control")),
                    source_agent=self._roster.spelled(named),
                )

    def infer(self) -> None:
        """What is left: a model's answer that asked for the hand-over, or another agent's tool call around the work."""
        for target in self._unexplained():
            inferred = (
                self._pointed_at(target) or self._same_id(target) or self._asked_for(target) or self._waited_for(target)
            )
            if inferred is not None:
                self.found[id(target)] = inferred

    def _unexplained(self) -> "list[Invocation]":
        return [i for i in self.invocations if i.span is not None and id(i) not in self.found]

    def _nested(self, target: "Invocation") -> Delegation | None:
        span = target.span
        if span is None:
            return None
        vehicle: Span | None = None
        for above in span.ancestors():
            if above.kind == _DELEGATION:
                return self._from_span(above, target)
            if above.kind == _TOOL and vehicle is None:
                vehicle = first_telling(above)
            if above.owner is not None and above.owner.span is above and above.owner is not target:
                break
        source = span.parent.owner if span.parent is not None else None
        if source is None or source is target:
            return None
        where = "a tool span" if vehicle else "a span"
        reason = f"agent span under {where} of the other agent"
        return Delegation(
            source, target, vehicle or span, mode=DelegationMode.CALL, grade=Grade.OBSERVED, reason=reason
        )  # fmt: skip

    def _from_span(self, span: Span, target: "Invocation | None") -> Delegation:
        attributes = span.attributes
        source = span.owner
        named = str(attributes.get(DELEGATION_SOURCE, ""))
        grade = str(attributes.get(DELEGATION_GRADE, Grade.OBSERVED))
        if named and (source is None or not same_agent(source.agent, named)):
            source = self._roster.latest(named, span.start_ns + _SKEW_NS) or source
        elif source is None:
            source, grade = self._roster.only(span.start_ns, target_named(span)), Grade.INFERRED
        return Delegation(
            source,
            target,
            span,
            mode=str(attributes.get(DELEGATION_MODE, DelegationMode.CALL)),
            grade=grade,
            reason=str(attributes.get(DELEGATION_REASON, "delegated through the emitter")),
            source_agent=self._roster.spelled(named),
            target_agent=self._roster.spelled(target_named(span)),
        )

    def _answers(self, invocation: "Invocation", span: Span) -> bool:
        """Whether an open invocation of the agent that a delegation span names, if it names one, answers that.

        An agent span right under the sender's is explained by its place alone: the delegation span says more of the same.
        """
        known = self.found.get(id(invocation))
        sender = span.owner
        target = target_named(span)
        if known is not None and not self._gives_way(known, sender, target):
            return False
        own = invocation.span
        if own is None or invocation.start_ns < span.start_ns - _skew_ns(own, span):
            return False
        if not target:
            named = str(span.attributes.get(DELEGATION_SOURCE, "")) or (sender.agent if sender is not None else "")
            if same_agent(invocation.agent, named):
                return False
        return all(above is not own for above in span.ancestors())  # who asks is no answer to it

    def _gives_way(self, nested: Delegation, sender: "Invocation | None", target: str) -> bool:
        """Whether a place explains less than a delegation span does: that of the sender's own call, or, where the span names
        its target, of a sibling that the same agent runs."""
        if nested.source is sender:
            return True
        above = self.found.get(id(sender))
        return bool(target) and above is not None and above.source is nested.source

    def _used_asked(self, span: Span, delegation: Delegation | None) -> Span | None:
        """The model call that asked for this delegation, used up: the latest one before it by the same agent."""
        target = delegation.target_agent if delegation is not None else target_named(span)
        source = delegation.source if delegation is not None else span.owner
        return self._use_asked(target, span, lambda asked: asked.owner is source or asked.owner is None)

    def _asked_for(self, target: "Invocation") -> Delegation | None:
        asked = target.span and self._use_asked(target.agent, target.span, lambda asked: asked.owner is not target)
        return self._from_span(asked, target) if asked else None

    def _use_asked(self, target: str, began: Span, fits: Callable[[Span], bool]) -> Span | None:
        """The latest call of a model or tool before something began that asked for a target and fits, used up."""
        calls = self._asked.get(name_key(target))
        if calls is None:
            return None
        for asked in calls.until(began.start_ns + _SKEW_NS):
            if asked.start_ns <= began.start_ns + _skew_ns(asked, began) and fits(asked):
                calls.remove(asked.start_ns, asked)
                return asked
        return None

    def _pointed_at(self, target: "Invocation") -> Delegation | None:
        """The work of another agent that a span link of this one, or of what brought it here, points at."""
        sources = {
            id(spot.owner): spot
            for span in _entry(target)
            for link in span.links
            if link.kind in _CAUSAL and (spot := self._spans.get(link.to_span_id)) is not None
            if spot.owner is not None and spot.owner is not target
        }
        if len(sources) != 1:
            return None
        (spot,) = sources.values()
        return _call(spot, target, Grade.OBSERVED, "a span link points at the other agent's work")

    def _same_id(self, target: "Invocation") -> Delegation | None:
        """The one call of another agent that has an id of this invocation, where no other invocation has it."""
        for kind, value in (pair for span in _entry(target) for pair in call_ids(span)):
            if len(self._by_taken[kind, value]) != 1:
                continue
            own = {id(span) for span in _entry(target)}
            found = {id(s): s for s in self._by_id.get((kind, value), ()) if id(s) not in own}
            # a call and the request that carries it are one
            calls = [s for s in found.values() if id(s.parent) not in found]
            if len(calls) == 1 and calls[0].span_id not in self._taken:
                (call,) = calls
                if call.owner is not None and call.owner is not target:
                    self._taken.add(call.span_id)
                    return _call(call, target, Grade.INFERRED, f"{_ID_WORDS[kind]} on both sides")
        return None

    def _asked_alike(self, around: list[Span], target: "Invocation") -> list[Span]:
        """The calls that asked, word for word, what an invocation was asked; none where another was asked the same."""
        text = text_given(self._body, target.span) if target.span is not None and around else ""
        found = [tool for tool in around if text and text in texts_asked(self._body, tool)]
        if not found:
            return []
        others = (i for i in self.invocations if i is not target and i.span is not None)
        return [] if any(text_given(self._body, i.span) == text for i in others if i.span is not None) else found

    def _waited_for(self, target: "Invocation") -> Delegation | None:
        """A tool call of another agent that was open all the while, and is named after this one or asked what it was asked.

        That it was open is not enough, though it were the only one: time alone joins nothing.
        """
        around = [
            tool
            for tool in self._tools.around(target.start_ns, target.end_ns)
            if tool.owner is not target and tool.span_id not in self._taken and not is_echo(tool)
        ]
        named = [tool for tool in around if letters(target.agent) in letters(tool.name)]
        asked = [] if named else self._asked_alike(around, target)
        if len(named) > 1 and len({letters(tool.name) for tool in named}) > 1:
            named = []  # two tools as good
        if not named and len(asked) != 1:
            return None
        tool = (named or asked)[-1]
        self._taken.add(tool.span_id)
        reason = "is named after the agent" if named else "asked what the agent was asked"
        return _call(tool, target, Grade.INFERRED, f"a tool call of the other agent waited for it and {reason}")


def _call(span: Span, target: "Invocation", grade: str, reason: str) -> Delegation:
    return Delegation(span.owner, target, first_telling(span), mode=DelegationMode.CALL, grade=grade, reason=reason)


def _entry(invocation: "Invocation") -> list[Span]:
    """An invocation's own span and those above it that nobody owns: what brought it here passed through these."""
    if invocation.span is None:
        return []
    above = takewhile(lambda span: span.owner is None, invocation.span.ancestors())
    return [invocation.span, *islice(above, _MAX_CHAIN)]


def _skew_ns(one: Span, other: Span) -> int:
    """How far two spans' clocks may be apart: not at all within one process."""
    same = one.source is not None and other.source is not None and one.source.emitter_id == other.source.emitter_id
    return 0 if same else _SKEW_NS


def target_named(span: Span) -> str:
    """The agent that a span hands over to; empty where it names none."""
    return str(span.attributes.get(DELEGATION_TARGET, ""))


def _repeats_outer(span: Span) -> bool:
    """Whether a delegation span only repeats the one around it."""
    return any(
        above.kind == SpanKind.DELEGATION and target_named(above) == target_named(span) for above in span.ancestors()
    )
