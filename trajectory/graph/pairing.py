"""Who gave work to whom, read off the agent, delegation, tool and model spans of one trace.

Invariant: one act of giving is one delegation, however many spans tell of it, and its grade says how it is known. Pure:
called by the fold when agents or delegations may have changed, with the few spans that matter.

Evidence, strongest first: the emitter's pair of delegation span and accepting agent span; an agent span under another
agent's span; a delegation span met by the next invocation of the target that it names (or of anybody, where it names none);
an agent span that names who gave it control; a span link; an id on both sides; a model's answer that asks for the hand-over;
a tool call that waited, and is named after the agent or asked what it was asked. A delegation span that nobody answers was
sent and not received.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import islice, takewhile
from types import MappingProxyType
from typing import TYPE_CHECKING

from trajectory.graph.delegations import Delegation
from trajectory.graph.echoes import first_telling, is_echo
from trajectory.graph.keys import PayloadSource, call_ids, text_given, texts_asked
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
_CAUSAL = frozenset({LinkKind.FOLLOWS.value, LinkKind.CAUSED.value})
_ID_WORDS = {"message": "one A2A message id", "task": "one A2A task id", "call": "one tool call id"}
_MAX_CHAIN = 64
_SKEW_NS = 50_000_000  # how much earlier than its hand-over another process's clock may put an invocation


def derive_delegations(
    invocations: "Sequence[Invocation]",
    spans: Sequence[Span],
    every: Mapping[bytes, Span] = MappingProxyType({}),
    body: PayloadSource = lambda digest: None,
) -> list[Delegation]:
    """Delegations between `invocations`, given the delegation, tool and model `spans`, both by start; by time of sending.

    `every` span by id is what links point at, `body` reads what was asked.
    """
    pairing = _Pairing(invocations, spans, every, body)
    pairing.nest()
    pairing.answer()
    pairing.take_word()
    pairing.infer()
    told = [*pairing.found.values(), *pairing.waiting]
    told = [d for d in told if d.source is not d.target or d.source is None]
    carried = Counter(d.delegation_id for d in told)
    for delegation in told:
        delegation.is_shared = carried[delegation.delegation_id] > 1
    return sorted(told, key=lambda d: (d.sent_ns, d.delegation_id))


class _Pairing:
    """One derivation: what is found so far, and which spans are used up."""

    def __init__(
        self,
        invocations: "Sequence[Invocation]",
        spans: Sequence[Span],
        every: Mapping[bytes, Span],
        body: PayloadSource,
    ) -> None:
        self.invocations = invocations
        self._spans = every
        self._body = body
        self._telling = spans
        self.found: dict[int, Delegation] = {}  # id(target invocation) → the delegation that it answers
        self.waiting: list[Delegation] = []
        self._sent = [s for s in spans if s.kind == _DELEGATION]
        self._tools = [s for s in spans if s.kind == _TOOL and not is_echo(s)]
        self._asked = [s for s in spans if DELEGATION_TARGET in s.attributes and s.kind == _MODEL and target_named(s)]
        self._taken: set[bytes] = set()
        self._spellings: dict[str, str] = {}  # a name's letters → the name as the first invocation spells it
        for invocation in invocations:
            self._spellings.setdefault(_letters(invocation.agent), invocation.agent)

    @cached_property
    def _by_id(self) -> dict[tuple[str, str], list[Span]]:
        """The spans that have an id; asked for where place and names do not explain an agent's work, which is seldom."""
        found: dict[tuple[str, str], list[Span]] = {}
        for span in self._telling:
            for pair in call_ids(span):
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
        for span in self._sent:
            if span.span_id in self._taken:
                self._used_asked(span, nested.get(span.span_id))
            elif not _repeats_outer(span):
                met = next((i for i in self.invocations if self._answers(i, span)), None)
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

    def take_word(self) -> None:
        """Agent spans that name who gave them control."""
        for target in self._unexplained():
            span = target.span
            named = str(span.attributes.get(DELEGATION_SOURCE, "")) if span is not None else ""
            if span is not None and named and not same_agent(named, target.agent):
                self.found[id(target)] = Delegation(
                    self._latest(named, span.start_ns),
                    target,
                    span,
                    mode=str(span.attributes.get(DELEGATION_MODE, DelegationMode.TRANSFER)),
                    grade=str(span.attributes.get(DELEGATION_GRADE, Grade.DECLARED)),
                    reason=str(span.attributes.get(DELEGATION_REASON, "the agent span names who gave it control")),
                    source_agent=self._spelled(named),
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
            source = self._latest(named, span.start_ns) or source
        elif source is None:
            source, grade = self._before(span.start_ns, target_named(span)), Grade.INFERRED
        return Delegation(
            source,
            target,
            span,
            mode=str(attributes.get(DELEGATION_MODE, DelegationMode.CALL)),
            grade=grade,
            reason=str(attributes.get(DELEGATION_REASON, "delegated through the emitter")),
            source_agent=self._spelled(named),
            target_agent=self._spelled(target_named(span)),
        )

    def _answers(self, invocation: "Invocation", span: Span) -> bool:
        """Whether an invocation is the next one of the agent that a delegation span names, and not explained by better.

        An agent span right under the sender's is explained by its place alone: the delegation span says more of the same.
        """
        known = self.found.get(id(invocation))
        sender = span.owner
        target = target_named(span)
        if known is not None and not (known.span is invocation.span and self._gives_way(known, sender, target)):
            return False
        if invocation.span is None or invocation is sender:
            return False
        if invocation.start_ns < span.start_ns - _skew_ns(invocation.span, span):
            return False
        if target:
            fits = same_agent(invocation.agent, target)
        else:
            named = str(span.attributes.get(DELEGATION_SOURCE, "")) or (sender.agent if sender is not None else "")
            fits = not same_agent(invocation.agent, named)
        return fits and all(above is not invocation.span for above in span.ancestors())  # who asks is no answer to it

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
        for asked in reversed(self._asked):
            if (
                asked.start_ns <= span.start_ns + _skew_ns(asked, span)
                and (asked.owner is source or asked.owner is None)
                and same_agent(target_named(asked), target)
            ):
                self._asked.remove(asked)
                return asked
        return None

    def _asked_for(self, target: "Invocation") -> Delegation | None:
        for asked in reversed(self._asked):
            if (
                target.span is not None
                and asked.start_ns <= target.start_ns + _skew_ns(asked, target.span)
                and asked.owner is not target
                and same_agent(target_named(asked), target.agent)
            ):
                self._asked.remove(asked)
                return self._from_span(asked, target)
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
            own = {id(span) for span in _entry(target)}
            calls = [s for s in self._by_id.get((kind, value), ()) if id(s) not in own]
            # a call and the request that carries it are one
            calls = [s for s in dict.fromkeys(calls) if s.parent not in calls]
            if len(calls) == 1 == len(self._by_taken[kind, value]) and calls[0].span_id not in self._taken:
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
            for tool in self._tools
            if tool.owner is not None
            and tool.owner is not target
            and tool.span_id not in self._taken
            and tool.start_ns <= target.start_ns
            and (not tool.end_ns or 0 < target.end_ns <= tool.end_ns)
        ]
        named = [tool for tool in around if _letters(target.agent) in _letters(tool.name)]
        asked = [] if named else self._asked_alike(around, target)
        if len(named) > 1 and len({_letters(tool.name) for tool in named}) > 1:
            named = []  # two tools as good
        if not named and len(asked) != 1:
            return None
        tool = (named or asked)[-1]
        self._taken.add(tool.span_id)
        reason = "is named after the agent" if named else "asked what the agent was asked"
        return _call(tool, target, Grade.INFERRED, f"a tool call of the other agent waited for it and {reason}")

    def _latest(self, agent: str, before_ns: int) -> "Invocation | None":
        earlier = [i for i in self.invocations if same_agent(i.agent, agent) and i.start_ns <= before_ns + _SKEW_NS]
        return earlier[-1] if earlier else None

    def _before(self, before_ns: int, not_agent: str) -> "Invocation | None":
        """The one agent that had begun to work, where a hand-over does not say whose it is; of two, nobody."""
        earlier = [i for i in self.invocations if i.start_ns <= before_ns and not same_agent(i.agent, not_agent)]
        return earlier[-1] if earlier and all(same_agent(i.agent, earlier[-1].agent) for i in earlier) else None

    def _spelled(self, agent: str) -> str:
        """An agent's name as its own spans spell it: tools write `travel_agent` for `Travel Agent`."""
        letters = _letters(agent)
        return self._spellings.get(letters, agent) if letters else agent


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


def same_agent(one: str, other: str) -> bool:
    """Whether two spellings are one agent's name: letters and digits count, their case does not."""
    return one == other or (bool(one) and _letters(one) == _letters(other) != "")


@lru_cache(maxsize=4096)
def _letters(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _repeats_outer(span: Span) -> bool:
    """Whether a delegation span only repeats the one around it."""
    return any(
        above.kind == SpanKind.DELEGATION and target_named(above) == target_named(span) for above in span.ancestors()
    )
