"""Who waits for whom in one trace, and since when.

Invariant: a function of the trace's state and of an instant. An agent waits for whoever took up a call that it made, and until
somebody has, for the agent whose name the call bears: any of its invocations that is at work would do. A span with
`trajectory.waits_for` waits for each that it names. A hand-over of control waits for nobody. Called by `flow.deadlock`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from trajectory.graph.invocation import Invocation
from trajectory.graph.pairing import target_named
from trajectory.graph.roster import same_agent
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.words import DELEGATION_MODE, WAITS_FOR, DelegationMode, SpanKind

EVER_NS = 1 << 62
_MAX_NAMED_COUNT = 16  # whom one span can wait for
_MAX_MET_COUNT = 1000  # invocations that one search looks at


class Wait(NamedTuple):
    """`who` waits from `since_ns` until `until_ns`, as `span` tells, for any one of `on`."""

    who: Invocation
    span: Span
    on: tuple[Invocation, ...]
    since_ns: int
    until_ns: int
    is_asked: bool  # by a name that nobody has answered to


def may_close(span: Span) -> bool:
    """Whether a span can be the last wait of a cycle: whoever is freshly called waits for nobody yet."""
    if WAITS_FOR in span.attributes:
        return True
    return (
        span.kind == SpanKind.DELEGATION
        and str(span.attributes.get(DELEGATION_MODE, DelegationMode.CALL)) == DelegationMode.CALL
    )


class Waits:
    """Every wait of a trace as it is now; `closers` are the spans that `may_close`."""

    def __init__(self, trace: Trace, closers: list[Span]) -> None:
        self._trace = trace
        self._by_agent: dict[str, list[Invocation]] = {}
        self._taken: dict[bytes, Invocation] = {}
        self._calls: dict[int, list[Wait]] = {}
        self._closers: dict[int, list[Span]] = {}
        for invocation in trace.invocations():
            self._by_agent.setdefault(invocation.agent, []).append(invocation)
        for delegation in trace.delegations():
            source, target = delegation.source, delegation.target
            if target is not None and source is not None and delegation.mode == DelegationMode.CALL:
                self._taken[delegation.delegation_id] = target
                until_ns = min(_end_ns(delegation.span), target.end_ns or EVER_NS)
                wait = Wait(source, delegation.span, (target,), target.start_ns, until_ns, False)
                self._calls.setdefault(id(source), []).append(wait)
        for span in closers:
            if span.owner is not None:
                self._closers.setdefault(id(span.owner), []).append(span)

    def of_span(self, span: Span, at_ns: int) -> list[Wait]:
        """The waits that one closing span is, as of an instant."""
        who = span.owner
        if who is None:
            return []
        if WAITS_FOR in span.attributes:
            named = span.attributes[WAITS_FOR]
            names = named[:_MAX_NAMED_COUNT] if isinstance(named, (list, tuple)) else [named]
            found = [
                Wait(who, span, self._named(str(name), who, at_ns), span.start_ns, _end_ns(span), True)
                for name in names
            ]
            return [wait for wait in found if wait.on]
        taken = self._taken.get(span.span_id)
        until_ns = taken.start_ns if taken is not None else _end_ns(span)
        on = self._named(target_named(span), who, at_ns)
        return [Wait(who, span, on, span.start_ns, until_ns, True)] if on else []

    def at(self, who: Invocation, at_ns: int) -> Iterator[Wait]:
        """What an invocation waits for at an instant."""
        for wait in self._calls.get(id(who), ()):
            if wait.since_ns <= at_ns < wait.until_ns:
                yield wait
        for span in self._closers.get(id(who), ()):
            for wait in self.of_span(span, at_ns):
                if wait.since_ns <= at_ns < wait.until_ns:
                    yield wait

    def is_shared(self, invocation: Invocation) -> bool:
        """Whether an agent has been seen to do two things at a time: then it may yet answer while it waits."""
        spans = sorted((i.start_ns, i.end_ns or EVER_NS) for i in self._by_agent[invocation.agent][:_MAX_MET_COUNT])
        latest_ns = 0
        for start_ns, end_ns in spans:
            if start_ns < latest_ns:
                return True
            latest_ns = max(latest_ns, end_ns)
        return False

    def cycle(self, closing: Wait, at_ns: int) -> list[Wait]:
        """The waits of the shortest cycle that one wait closes at an instant, this one last; empty where somebody in it, or
        whom they wait for instead, can go on."""
        waits = self._around(closing, at_ns)
        stuck = _stuck(waits)
        if id(closing.who) not in stuck or not all(id(one) in stuck for one in closing.on):
            return []
        came: dict[int, Wait] = {}
        pending = [*closing.on]
        for one in pending:
            if one is closing.who:
                break
            for wait in waits[id(one)]:
                for other in wait.on if all(id(o) in stuck for o in wait.on) else ():
                    if id(other) not in came and other not in closing.on:
                        came[id(other)] = wait
                        pending.append(other)
        path = [closing]
        while path[-1].who not in closing.on and len(path) <= len(came) + 1:
            before = came.get(id(path[-1].who))
            if before is None:
                return []
            path.append(before)
        return [*path[:0:-1], closing]

    def _around(self, closing: Wait, at_ns: int) -> dict[int, list[Wait]]:
        """By identity of the invocation, what each waits for that the closing wait leads to."""
        waits: dict[int, list[Wait]] = {}
        pending = [closing.who]
        for one in pending:
            if id(one) in waits or len(waits) >= _MAX_MET_COUNT:
                continue
            waits[id(one)] = list(self.at(one, at_ns))
            pending.extend(other for wait in waits[id(one)] for other in wait.on)
        return waits

    def _named(self, name: str, who: Invocation, at_ns: int) -> tuple[Invocation, ...]:
        """The invocations at work at an instant that a name, or a span's id, means; not the one that asks."""
        span = self._span(name)
        if span is not None:
            meant = self._taken.get(span.span_id) or span.owner
            found = [meant] if meant is not None else []
        else:
            found = [i for agent, known in self._by_agent.items() if same_agent(agent, name) for i in known]
        return tuple(i for i in found if i is not who and i.start_ns <= at_ns < (i.end_ns or EVER_NS))[:_MAX_MET_COUNT]

    def _span(self, name: str) -> Span | None:
        try:
            return self._trace.spans.get(bytes.fromhex(name)) if len(name) == 16 else None
        except ValueError:
            return None


def _stuck(waits: dict[int, list[Wait]]) -> set[int]:
    """Those who wait for something that only others who wait could give."""
    stuck = {one for one, held in waits.items() if held}
    while True:
        free = {one for one in stuck if not any(all(id(o) in stuck for o in wait.on) for wait in waits[one])}
        if not free:
            return stuck
        stuck -= free


def _end_ns(span: Span) -> int:
    return span.end_ns or EVER_NS
