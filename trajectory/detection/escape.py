"""How a failure spreads as an exception: it leaves its agent, and ends the delegation, or the delegator itself.

Invariant: one exception is one escape, from the deepest span that it ended to the last one above. It goes up from a span to the
one around it, and from an agent's own span to the call that waits for the agent, where that stands elsewhere in the tree. Whoever
met it next and gave the work again with success, or reported it, dealt with it. Pure; called by the cascade detector.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from trajectory.detection.failure_text import says_failure
from trajectory.detection.failures import Root
from trajectory.detection.occurrences import SAID, Owner
from trajectory.detection.provenance import Provenance
from trajectory.detection.reader import reader_of
from trajectory.graph.faults import says_the_same
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace
from trajectory.model.words import SpanKind

_HOPS = (SpanKind.AGENT, SpanKind.DELEGATION, SpanKind.TOOL, SpanKind.RETRIEVAL, SpanKind.MODEL)
_STOPS = (SpanKind.AGENT, SpanKind.DELEGATION, SpanKind.TOOL)
_MAX_ABOVE_COUNT = 256


class Escape(NamedTuple):
    """An exception that left its agent: the failed spans from its root upwards, and whether the trace ended in it."""

    root: Root
    path: list[Span]
    ended_trace: bool


class Escapes:
    """The ways of a trace's exceptions, each judged again when what it was judged by has changed."""

    def __init__(self, provenance: Provenance, trace: Trace) -> None:
        self._trace = trace
        self._occurrences = provenance.occurrences
        self._structure = provenance.structure
        self._interest = provenance.interest()
        self._changed = trace.watch()
        self._on: dict[bytes, set[bytes]] = {}  # span → the roots of the exceptions that are judged by it
        self._below: dict[Owner, set[bytes]] = {}  # an invocation at which exceptions stopped → their roots

    def refresh(self) -> set[bytes]:
        """The roots of the exceptions that are to be judged again."""
        stale: set[bytes] = set()
        for span_id in self._changed.take():
            stale.update(self._on.get(span_id, ()))
        for owner in self._interest.owners if self._below else ():
            stale.update(self._below.get(owner, ()))
        self._interest.owners = {}
        return stale

    def judge(self, root: Root) -> Escape | None:
        """The way of an exception out of its agent; None where it stayed inside, or whoever met it next dealt with it."""
        if root.is_silent:
            return None
        chain = [root.span]
        for above in self._above(root.span):
            self._on.setdefault(above.span_id, set()).add(root.span.span_id)
            if above.is_error:
                chain.append(above)
            elif above.kind in _STOPS:
                break
        if not self._left_its_agent(root, chain):
            return None
        top = chain[-1]
        ended_trace = top.parent is None or (
            top.owner is not None and top.owner.span is top and not _has_delegator(top)
        )
        if not ended_trace and self._was_dealt_with(root, chain):
            return None
        path = [span for span in chain if span.kind in _HOPS or span.parent is None]
        return Escape(root, path, ended_trace)

    def is_passed_on(self, root: Root) -> bool:
        """Whether a failed call only passes on the failure of the agent that it waited for, whose span stands elsewhere."""
        delegation = self._structure.by_span(root.span.span_id)
        target = delegation.target_span if delegation is not None else None
        return target is not None and target.is_error and says_the_same(root.span, target)

    def _above(self, span: Span) -> Iterator[Span]:
        """The spans above, nearest first; above an agent's own span, the call that waited for it."""
        seen = {span.span_id}
        while len(seen) < _MAX_ABOVE_COUNT:
            above = self._waiting_for(span) or span.parent
            if above is None or above.span_id in seen:
                return
            seen.add(above.span_id)
            yield above
            span = above

    def _waiting_for(self, span: Span) -> Span | None:
        """The failed call that waited for an agent's span, and stands elsewhere in the tree."""
        given = self._structure.given_to(span.owner) if span.owner is not None and span.owner.span is span else []
        calls = [d.span for d in given if d.span.is_error and d.span is not span and says_the_same(d.span, span)]
        around = set(map(id, islice(span.ancestors(), _MAX_ABOVE_COUNT))) if calls else ()
        return next((call for call in calls if id(call) not in around), None)

    def _left_its_agent(self, root: Root, chain: list[Span]) -> bool:
        """Whether a failed span above belongs to another agent; or to none, where another agent had given this one its work."""
        owner = root.span.owner
        outside = [span for span in chain if span.owner is not owner]
        if owner is None or not outside:
            return False
        return any(span.owner is not None for span in outside) or bool(self._structure.given_to(owner))

    def _was_dealt_with(self, root: Root, chain: list[Span]) -> bool:
        """Whether the agent at which the exception stopped gave the work again with success, or reported the failure; or is
        still at it, and may yet do either."""
        top = chain[-1]
        stopped_at = top.owner if top.owner is not root.span.owner else None
        if stopped_at is None:
            return False
        self._below.setdefault(stopped_at, set()).add(root.span.span_id)
        if not stopped_at.end_ns:
            return True
        failed_agents = {span.agent_name for span in chain if span.owner is not stopped_at}
        for delegation in self._structure.given_by(stopped_at):
            again = delegation.target_agent in failed_agents and delegation.sent_ns >= top.end_ns
            if again and delegation.state in ("returned", "received"):
                return True
        return any(says_failure(text) for text in self._last_words(stopped_at, top.end_ns))

    def _last_words(self, invocation: Invocation, after_ns: int) -> list[str]:
        """What an invocation said after a failure: its own answer, else its last model's."""
        own = invocation.span
        sayings = [o for o in self._occurrences.doings(invocation).sayings[-_LAST_COUNT:] if o.role == SAID]
        answers = [o for o in sayings if o.span is own]
        later = [o for o in sayings if o.span.kind == SpanKind.MODEL and o.span.start_ns >= after_ns]
        said = answers or [o for o in later if o.span is later[-1].span]
        reader = reader_of(self._trace)
        return [text for o in said[-2:] if (text := reader.text(o.digest)) is not None]


_LAST_COUNT = 32  # sayings of an agent


def _has_delegator(span: Span) -> bool:
    return any(above.owner is not None and above.owner is not span.owner for above in span.ancestors())
