"""What can be counted of one run: a measure for each model call, tool call, delegation and agent's work that is over.

Invariant: pure, and usage counts once, at the leaf model calls (`graph.invocation` says which); what nobody said is None and
never 0, so an unknown cost stays unknown. Times are those of the spans. Called by the tally and by the baselines.
"""

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from trajectory.detection.series import series_of
from trajectory.graph.delegations import Delegation
from trajectory.graph.echoes import is_echo, tool_name
from trajectory.graph.invocation import billed_calls, cost_of
from trajectory.graph.retries import retries
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace, Usage
from trajectory.model.fact import Finding
from trajectory.model.words import (
    INPUT_TOKENS,
    MODEL_NAME,
    OUTPUT_TOKENS,
    REPORTED_INPUT_TOKENS,
    REPORTED_OUTPUT_TOKENS,
    SYNTHETIC_TIME,
    Slot,
    SpanKind,
)
from trajectory.signals.prices import Prices

CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
FIRST_CHUNK_S = "gen_ai.response.time_to_first_chunk"  # OpenTelemetry GenAI conventions, in seconds
RESPONSE_MODEL = "gen_ai.response.model"
PROVIDER = "gen_ai.provider.name"
VERSION = "service.version"
_REPORTED = {INPUT_TOKENS: REPORTED_INPUT_TOKENS, OUTPUT_TOKENS: REPORTED_OUTPUT_TOKENS}


class Kind(StrEnum):
    """What a measure is of."""

    MODEL = "model"
    TOOL = "tool"
    RETRIEVAL = "retrieval"
    DELEGATION = "delegation"
    AGENT = "agent"
    FINDING = "finding"


class Measure(msgspec.Struct, frozen=True, gc=False):
    """One piece of work that is over. Seconds, tokens, US dollars, characters; None is not known.

    `name` is the model, the tool, the agent that was asked, or the agent itself. `error` is `error.type`, `error` where it
    failed without one, else empty.
    """

    kind: str
    name: str
    agent: str
    service: str
    version: str
    provider: str
    at_ns: int  # when it ended
    span_id: bytes
    error: str = ""
    is_retry: bool = False
    duration_s: float | None = None
    first_chunk_s: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    output_chars: int | None = None
    needed: int | None = None  # of a delegation: items that it was to carry, and that arrived
    arrived: int | None = None


class _Measured(msgspec.Struct, gc=False):
    """What an invocation was measured as; it is held, so that none that is new has its identity."""

    invocation: Invocation
    usage: Usage
    prices: Prices
    measures: list[Measure]


def measured(trace: Trace, invocation: Invocation, prices: Prices) -> list[Measure]:
    """The same as `measures_of`, worked out once for each state of an invocation, whoever asks; the list is not to be changed."""
    kept: dict[int, _Measured] = trace.notes.setdefault(_Measured, {})
    known, usage = kept.get(id(invocation)), invocation.usage
    if known is None or known.usage is not usage or known.prices is not prices:
        measures = list(measures_of(trace, invocation, prices))
        known = kept[id(invocation)] = _Measured(invocation, usage, prices, measures)
    return known.measures


def measures_of(trace: Trace, invocation: Invocation, prices: Prices) -> Iterator[Measure]:
    """What an invocation did and is over: its model and tool calls in order of their start, then itself."""
    repeated = retries(invocation)
    steps = invocation.steps()
    within = () if invocation.span is not None or invocation.agent else trace.spans.values()
    calls = {call.span_id: billed for call, billed in billed_calls(invocation.spans.values(), within)}
    for span in steps:
        if not span.end_ns or span.is_placeholder:
            continue
        if span.span_id in calls:
            yield _model(trace, invocation, span, calls[span.span_id], prices, is_retry=span.span_id in repeated)
        elif span.kind in (SpanKind.TOOL, SpanKind.RETRIEVAL) and not is_echo(span):
            kind = Kind.TOOL if span.kind == SpanKind.TOOL else Kind.RETRIEVAL
            yield _measure(kind, tool_name(span), invocation, span, is_retry=span.span_id in repeated)
    own = invocation.span
    if own is not None and own.end_ns and not own.is_placeholder:
        yield _measure(Kind.AGENT, invocation.agent, invocation, own)


def delegation_measure(delegation: Delegation) -> Measure | None:
    """A delegation that has returned, failed or been lost; None for one that is still out."""
    span = delegation.span
    if delegation.state not in ("returned", "failed", "lost"):
        return None
    took = delegation.returned_ns - delegation.sent_ns if delegation.returned_ns and delegation.sent_ns else None
    failed = delegation.state in ("failed", "lost")
    return Measure(
        kind=Kind.DELEGATION,
        name=delegation.target_agent,
        agent=delegation.source_agent,
        service=span.service,
        version=version_of(span),
        provider="",
        at_ns=delegation.returned_ns or span.end_ns or delegation.sent_ns,
        span_id=span.span_id,
        error=(span.error_type or str(delegation.state)) if failed else "",
        duration_s=None if span.attributes.get(SYNTHETIC_TIME) or took is None else max(took, 0) / 1e9,
    )


def finding_measure(finding: Finding, service: str) -> Measure:
    """A finding: its kind under `name`, its severity under `error`; what series it is about under `provider` and `version`."""
    of, name = series_of(finding)
    return Measure(
        kind=Kind.FINDING,
        name=finding.kind,
        agent=finding.agent,
        service=service,
        version=name,
        provider=of,
        at_ns=finding.at_ns,
        span_id=finding.span_id,
        error=finding.severity,
    )


def version_of(span: Span) -> str:
    """The version of the service that did a span's work; empty where it does not say."""
    return str(span.source.resource.get(VERSION, "")) if span.source is not None else ""


def _model(
    trace: Trace, invocation: Invocation, span: Span, billed: Span, prices: Prices, *, is_retry: bool
) -> Measure:
    model, provider = _model_name(billed) or _model_name(span), _provider(span)
    input_tokens, output_tokens = _tokens(billed, INPUT_TOKENS), _tokens(billed, OUTPUT_TOKENS)
    cached_tokens = _tokens(billed, CACHED_TOKENS)
    cost = cost_of([span]) or (cost_of([billed]) if billed is not span else None)
    if cost is None and not (input_tokens is None and output_tokens is None):
        cost = prices.cost_usd(model, input_tokens or 0, output_tokens or 0, cached_tokens or 0, provider)
    return Measure(
        kind=Kind.MODEL,
        name=model,
        agent=invocation.agent,
        service=span.service or invocation.service,
        version=version_of(span),
        provider=provider,
        at_ns=span.end_ns,
        span_id=span.span_id,
        error=(span.error_type or "error") if span.is_error else "",
        is_retry=is_retry,
        duration_s=_duration_s(span),
        first_chunk_s=_first_chunk_s(span),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=cached_tokens,
        reasoning_tokens=_tokens(billed, REASONING_TOKENS),
        cost_usd=cost,
        output_chars=_output_chars(trace, span),
    )


def _measure(kind: Kind, name: str, invocation: Invocation, span: Span, *, is_retry: bool = False) -> Measure:
    return Measure(
        kind=kind,
        name=name,
        agent=invocation.agent,
        service=span.service or invocation.service,
        version=version_of(span),
        provider="",
        at_ns=span.end_ns,
        span_id=span.span_id,
        error=(span.error_type or "error") if span.is_error else "",
        is_retry=is_retry,
        duration_s=_duration_s(span),
    )


def _duration_s(span: Span) -> float | None:
    is_timed = bool(span.start_ns) and not span.attributes.get(SYNTHETIC_TIME)
    return span.duration_ns / 1e9 if is_timed else None


def _model_name(span: Span) -> str:
    return str(span.attributes.get(RESPONSE_MODEL) or span.attributes.get(MODEL_NAME) or "")


def _provider(span: Span) -> str:
    return str(span.attributes.get(PROVIDER, ""))


def _tokens(span: Span, key: str) -> int | None:
    said = span.amount(key if key in span.attributes else _REPORTED.get(key, ""))
    return None if said is None else int(said)


def _first_chunk_s(span: Span) -> float | None:
    if FIRST_CHUNK_S in span.attributes:
        return span.amount(FIRST_CHUNK_S)
    first_ns = span.first_delta_ns
    return max(first_ns - span.start_ns, 0) / 1e9 if first_ns and span.start_ns else None


def _output_chars(trace: Trace, span: Span) -> int | None:
    said = trace.texts(span, Slot.OUTPUT)
    return sum(map(len, said)) if said else None
