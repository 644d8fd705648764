"""What work cost: the tokens of the agents that did it and of those that they asked, the money where a model call says it, and
the time.

Invariant: an invocation counts once, however many of the delegations lead to it, and what nobody said is unknown and not nothing.
Called by the detectors of the flow of work, in words, and by `effectiveness`, in figures.
"""

from collections.abc import Iterable, Iterator

from trajectory.graph.delegations import Delegation
from trajectory.graph.invocation import Invocation, cost_of
from trajectory.graph.trace import Trace
from trajectory.model.words import SYNTHETIC_TIME

_MAX_COUNT = 1000


class Spending:
    """What each delegation of a trace, and several together, cost: who asked whom is looked up once for all of them."""

    def __init__(self, trace: Trace) -> None:
        self._below: dict[int, list[Invocation]] = {}
        for each in trace.delegations():
            if each.source is not None and each.target is not None:
                self._below.setdefault(id(each.source), []).append(each.target)

    def invocations(self, delegations: Iterable[Delegation]) -> Iterator[Invocation]:
        """The delegatees and all that they asked in turn, each once; at most `_MAX_COUNT`."""
        pending = [d.target for d in delegations if d.target is not None]
        seen: set[int] = set()
        while pending and len(seen) < _MAX_COUNT:
            one = pending.pop()
            if id(one) not in seen:
                seen.add(id(one))
                yield one
                pending += self._below.get(id(one), ())

    def tokens(self, delegations: Iterable[Delegation]) -> int | None:
        """Input and output tokens of the work; None where no model call says any."""
        usages = [one.usage for one in self.invocations(delegations)]
        return sum(u.input_tokens + u.output_tokens for u in usages) or None

    def cost_usd(self, delegations: Iterable[Delegation]) -> float | None:
        """What the work's spans say that it cost, in US dollars; None where none says it, a lower bound where some do."""
        return cost_of([span for one in self.invocations(delegations) for span in one.spans.values()])


def took_ns(delegation: Delegation) -> int | None:
    """From sent to returned; None while it is out, and where a log has no times."""
    if delegation.span.attributes.get(SYNTHETIC_TIME) or not (delegation.returned_ns and delegation.sent_ns):
        return None
    return max(delegation.returned_ns - delegation.sent_ns, 0)


def spent_on(delegations: Iterable[Delegation], trace: Trace) -> str:
    """`1,200 tokens and 34 s`; what is not known is left out, and `an unknown cost` where nothing is."""
    roots = list(delegations)
    timed = [d for d in roots if not d.span.attributes.get(SYNTHETIC_TIME)]
    took = sum(max((d.returned_ns or d.span.end_ns) - d.sent_ns, 0) for d in timed)
    return cost_in_words(Spending(trace).tokens(roots) or 0, took / 1e9)


def cost_in_words(tokens: int, seconds: float) -> str:
    """Tokens and seconds as people read them."""
    parts = [f"{tokens:,} tokens"] if tokens else []
    parts += [f"{seconds:,.0f} s"] if seconds >= 1 else []
    return " and ".join(parts) or "an unknown cost"
