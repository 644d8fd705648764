"""What work cost, in words: the tokens of the agents that did it and of those that they asked, and the time.

Invariant: an invocation counts once, however many of the delegations lead to it. Called by the detectors of the flow of work.
"""

from collections.abc import Iterable

from trajectory.graph.delegations import Delegation
from trajectory.graph.invocation import Invocation
from trajectory.graph.trace import Trace
from trajectory.model.words import SYNTHETIC_TIME

_MAX_COUNT = 1000


def spent_on(delegations: Iterable[Delegation], trace: Trace) -> str:
    """`1,200 tokens and 34 s`; what is not known is left out, and `an unknown cost` where nothing is."""
    roots = list(delegations)
    below: dict[int, list[Invocation]] = {}
    for each in trace.delegations():
        if each.source is not None and each.target is not None:
            below.setdefault(id(each.source), []).append(each.target)
    pending = [d.target for d in roots if d.target is not None]
    seen: set[int] = set()
    tokens = 0
    while pending and len(seen) < _MAX_COUNT:
        one = pending.pop()
        if id(one) not in seen:
            seen.add(id(one))
            tokens += one.usage.input_tokens + one.usage.output_tokens
            pending += below.get(id(one), ())
    timed = [d for d in roots if not d.span.attributes.get(SYNTHETIC_TIME)]
    return cost_in_words(tokens, sum(max((d.returned_ns or d.span.end_ns) - d.sent_ns, 0) for d in timed) / 1e9)


def cost_in_words(tokens: int, seconds: float) -> str:
    """Tokens and seconds as people read them."""
    parts = [f"{tokens:,} tokens"] if tokens else []
    parts += [f"{seconds:,.0f} s"] if seconds >= 1 else []
    return " and ".join(parts) or "an unknown cost"
