"""One invocation of an agent in figures: its steps, tokens, context, latency, tools and cost.

Invariant: pure; a call that wraps another counts once, and what nobody said is None or zero where zero cannot be. Called by
`agent_view`, and by `earlier` for what is compared.
"""

from itertools import pairwise
from typing import NamedTuple

from trajectory.collector.rows import TraceRows
from trajectory.collector.trajectories import Lines
from trajectory.graph.invocation import Usage, cost_of, is_reported, used_tokens
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, tool_name
from trajectory.model.words import COSTS, INPUT_TOKENS, MODEL_NAME, SpanKind
from trajectory.view.agent_rows import CONTEXT_PARTS, AgentFacts
from trajectory.view.text import clean

_CACHED = ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_write.input_tokens")
_RESPONSE_MODEL = "gen_ai.response.model"
_MOST_MODELS = 4
_SAID_COSTS = frozenset(COSTS)


class _Spent(NamedTuple):
    """What is counted over all of an invocation's spans."""

    usage: Usage
    calls: list[Span]
    context: list[int]
    fullest: Span | None
    took: list[int]
    models: list[str]
    cached: int | None
    tools: int
    cost_usd: float | None


class _Kept:
    """What was counted of the agents of a trace that are looked at, by invocation."""

    def __init__(self) -> None:
        self.spent: dict[int, _Spent] = {}


def _spent(rows: TraceRows, invocation: Invocation) -> _Spent:
    """Counted once, as long as the invocation stays as it is: then its usage is the same object."""
    kept: _Kept = rows.trace.notes.setdefault(_Kept, _Kept())
    known = kept.spent.get(id(invocation))
    if known is None or known.usage is not invocation.usage:
        known = kept.spent[id(invocation)] = _count(invocation)
    return known


def _count(invocation: Invocation) -> _Spent:
    spans = invocation.spans.values()
    calls = model_calls(invocation)
    context = [context_of(call) for call in calls]
    peak = max(context, default=0)
    cached = [int(s.number(_CACHED[0])) for s in calls if _CACHED[0] in s.attributes]
    return _Spent(
        usage=invocation.usage,
        calls=calls,
        context=_most_of_each(context) if peak else [],
        fullest=calls[context.index(peak)] if peak else None,
        took=sorted(s.duration_ns for s in calls if s.end_ns and s.start_ns),
        models=[*dict.fromkeys(name for s in calls if (name := clean(model_of(s)[:100])))][:_MOST_MODELS],
        cached=sum(cached) if cached else None,
        tools=tool_count(invocation),
        cost_usd=cost_of(s for s in spans if not _SAID_COSTS.isdisjoint(s.attributes)),
    )


def agent_facts(rows: TraceRows, lines: Lines) -> AgentFacts:
    """The figures of one invocation."""
    from trajectory.detection.windows import window_of  # when first asked for

    spent, usage = _spent(rows, lines.invocation), lines.invocation.usage
    lane = rows.lane(lines.invocation)
    return AgentFacts(
        label=lane.label,
        agent=lane.agent,
        service=lane.service,
        span_id=lane.span_id,
        state=lane.state,
        mark=lane.mark,
        start_ns=lane.start_ns,
        end_ns=lane.end_ns,
        models=spent.models,
        steps=usage.spans,
        errors=usage.errors,
        retries=len(lines.retries),
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=spent.cached,
        calls=usage.model_calls,
        context=spent.context,
        context_peak=context_of(spent.fullest) if spent.fullest is not None else 0,
        context_window=window_of(model_of(spent.fullest)) if spent.fullest is not None else 0,
        latency_p50_ns=_share(spent.took, 50),
        latency_p95_ns=_share(spent.took, 95),
        tools=spent.tools,
        cost_usd=spent.cost_usd,
    )


def model_calls(invocation: Invocation) -> list[Span]:
    """Its calls of models by start, the innermost alone where one wraps another."""
    spans = [s for s in invocation.spans.values() if s.kind == SpanKind.MODEL and not s.is_placeholder]
    billed = {id(span) for span, _, _ in used_tokens(spans)}
    calls = [s for s in spans if id(s) in billed] or [s for s in spans if not is_reported(s)] or spans
    return sorted(calls, key=lambda s: s.order_key)


def context_of(call: Span) -> int:
    """How many tokens a call was shown, the cached among them."""
    return max(int(call.number(INPUT_TOKENS)), sum(int(call.number(name)) for name in _CACHED))


def tool_count(invocation: Invocation) -> int:
    """How many different tools it called."""
    return len({tool_name(s) for s in invocation.spans.values() if s.kind == SpanKind.TOOL})


def model_of(span: Span) -> str:
    """The model that answered a call, else the one that was asked."""
    return str(span.attributes.get(_RESPONSE_MODEL) or span.attributes.get(MODEL_NAME) or "")


def _most_of_each(values: list[int]) -> list[int]:
    """The greatest of each of at most `CONTEXT_PARTS` parts."""
    if len(values) <= CONTEXT_PARTS:
        return values
    bounds = [len(values) * n // CONTEXT_PARTS for n in range(CONTEXT_PARTS + 1)]
    return [max(values[start:stop]) for start, stop in pairwise(bounds)]


def _share(ordered: list[int], percent: int) -> int:
    """The value that so many percent of them do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else 0
