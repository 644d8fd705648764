"""`cascade`: an error or a wrong value that travelled over at least one agent boundary, from its root to where it ended.

Invariant: one root, one cascade. Its root is where it began (the deepest span of an exception, the tool whose answer was an
error), its `path` runs from there to the last affected span, one span a hop, and its key stays the same while it grows. A
failure that was got over (the call made again, the work given again) or owned up to is not one, and neither is a failure
that an earlier cascade brought about. Two ways of travelling are known:

- an exception that leaves its agent: the delegation, or the delegator itself, ends in the same error;
- a value that stands in for what failed, passed on as if nothing had happened (`spread`).

`critical` is what reached the trace's final answer, or ended the trace. Called through the seam of `contract`.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from trajectory.detection.failure_text import says_failure
from trajectory.detection.failures import Failures, Root, without_repeated
from trajectory.detection.pace import Pace
from trajectory.detection.provenance import SAID, USES
from trajectory.detection.reader import Reader, reader_of
from trajectory.detection.route import answer_spans, route_of
from trajectory.detection.spread import Spread, Spreads
from trajectory.detection.words import around, shorten
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace
from trajectory.model.fact import Evidence, Fact, Finding, SpanEnded, SpanStarted, SpanUpdated
from trajectory.model.words import Severity, Slot, SpanKind

KIND = "cascade"
MAX_ROOTS_COUNT = 200  # of one trace that are followed
_HOPS = (SpanKind.AGENT, SpanKind.DELEGATION, SpanKind.TOOL, SpanKind.RETRIEVAL, SpanKind.MODEL)
_MAX_EVIDENCE_COUNT = 12


class _Escape(NamedTuple):
    """An exception that left its agent: the failed spans from its root upwards, and whether the trace ended in it."""

    root: Root
    path: list[Span]
    ended_trace: bool


class Cascades:
    """The detector of `cascade`."""

    name = KIND
    reads = (SpanEnded, SpanStarted, SpanUpdated)

    def __init__(self) -> None:
        self._failures = Failures()
        self._pace = Pace()

    def observe(self, fact: Fact, trace: Trace) -> Iterable[Finding]:
        """Notes what may have failed."""
        if type(fact) in self.reads:
            self._failures.touch(fact.span_id)  # type: ignore[union-attr]
        return ()

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """Cascades as far as they have come. Costs nothing while nothing failed."""
        if not self._pace.is_due(trace, now_ns):
            return
        roots = self._failures.roots(trace)[:MAX_ROOTS_COUNT]
        if roots:
            yield from _cascades(roots, trace)
            reader_of(trace).rest()


def _cascades(roots: list[Root], trace: Trace) -> Iterator[Finding]:
    reader = reader_of(trace)
    answers = answer_spans(trace)
    spreads = Spreads(without_repeated(roots), answers, trace, reader)
    explained: set[bytes] = set()
    followed: set[tuple[str, str]] = (
        set()
    )  # values: what several failures of one call led to is told once, by the first
    for root in roots:
        if root.span.span_id in explained:
            continue
        escape = _escape(root, trace, reader)
        if escape is not None:
            explained.update(span.span_id for span in escape.path)
            yield _escape_finding(escape, trace)
            continue
        spread = spreads.of(root)
        if spread is not None and (spread.value.kind, spread.value.key) not in followed:
            followed.add((spread.value.kind, spread.value.key))
            explained.update(o.span.span_id for o in spread.trail)
            yield _spread_finding(spread, answers, trace, reader)


# --- exceptions ----------------------------------------------------------------------------------------------------------


def _escape(root: Root, trace: Trace, reader: Reader) -> _Escape | None:
    """The way of an exception out of its agent; None where it stayed inside, or whoever met it next dealt with it."""
    if root.is_silent:
        return None
    chain = [root.span, *_failed_above(root.span)]
    if not _left_its_agent(root, chain, trace):
        return None
    top = chain[-1]
    ended_trace = top.parent is None or (top.owner is not None and top.owner.span is top and not _has_delegator(top))
    if not ended_trace and _was_dealt_with(root, chain, trace, reader):
        return None
    path = [span for span in chain if span.kind in _HOPS or span.parent is None]
    return _Escape(root, path, ended_trace)


def _left_its_agent(root: Root, chain: list[Span], trace: Trace) -> bool:
    """Whether a failed span above belongs to another agent; or to none, where another agent had given this one its work."""
    owner = root.span.owner
    outside = [span for span in chain if span.owner is not owner]
    if owner is None or not outside:
        return False
    return any(span.owner is not None for span in outside) or any(d.target is owner for d in trace.delegations())


def _failed_above(span: Span) -> list[Span]:
    """The spans above that ended in error one after another; spans that say nothing of a status are passed over."""
    found: list[Span] = []
    for above in span.ancestors():
        if above.is_error:
            found.append(above)
        elif above.kind in (SpanKind.AGENT, SpanKind.DELEGATION, SpanKind.TOOL):
            break
    return found


def _has_delegator(span: Span) -> bool:
    return any(above.owner is not None and above.owner is not span.owner for above in span.ancestors())


def _was_dealt_with(root: Root, chain: list[Span], trace: Trace, reader: Reader) -> bool:
    """Whether the agent at which the exception stopped gave the work again with success, or reported the failure; or is
    still at it, and may yet do either."""
    top = chain[-1]
    stopped_at = top.owner if top.owner is not root.span.owner else None
    if stopped_at is None:
        return False
    if not stopped_at.end_ns:
        return True
    failed_agents = {span.agent_name for span in chain if span.owner is not stopped_at}
    after_ns = top.end_ns
    for delegation in trace.delegations():
        again = delegation.source is stopped_at and delegation.target_agent in failed_agents
        if again and delegation.sent_ns >= after_ns and delegation.state in ("returned", "received"):
            return True
    return any(says_failure(text) for text in _last_words(stopped_at, after_ns, reader))


def _last_words(invocation: Invocation, after_ns: int, reader: Reader) -> list[str]:
    """What an invocation said after a failure: its own answer, else its last model's."""
    span = invocation.span
    digests = (span.digests(Slot.RETURNED) or span.digests(Slot.OUTPUT)) if span is not None else []
    if not digests:
        models = [s for s in invocation.spans.values() if s.kind == SpanKind.MODEL and s.start_ns >= after_ns]
        last = max(models, key=lambda s: s.order_key, default=None)
        digests = last.digests(Slot.OUTPUT) if last is not None else []
    return [text for d in digests[-2:] if (text := reader.text(d)) is not None]


def _escape_finding(escape: _Escape, trace: Trace) -> Finding:
    root, path = escape.root, escape.path
    labels = list(dict.fromkeys(trace.label(s.owner) if s.owner is not None else s.name for s in path))
    way = " to ".join(label for label in labels if label)
    ending = ", and ended the run" if escape.ended_trace else ""
    return Finding(
        kind=KIND,
        severity=Severity.CRITICAL if escape.ended_trace else Severity.WARNING,
        confidence=0.98,
        trace_id=trace.trace_id,
        span_id=root.span.span_id,
        message=f"{root.name} in {labels[0]} failed with “{shorten(root.quote, 100)}”, which went up from {way}{ending}",
        agent=root.span.agent_name,
        peer_agent=_peer(root, path, trace),
        value=root.quote,
        root_span_id=root.span.span_id,
        path=[span.span_id for span in path],
        evidence=[Evidence(s.span_id, shorten(s.error_text or s.error_type)) for s in path][:_MAX_EVIDENCE_COUNT],
        at_ns=root.at_ns,
    )


def _peer(root: Root, path: list[Span], trace: Trace) -> str:
    """The next agent that the exception came to; else the one that had given the work."""
    met = next((s.agent_name for s in path if s.owner is not root.span.owner and s.agent_name), "")
    return met or next((d.source_agent for d in trace.delegations() if d.target is root.span.owner), "")


# --- values --------------------------------------------------------------------------------------------------------------


def _spread_finding(spread: Spread, answers: set[bytes], trace: Trace, reader: Reader) -> Finding:
    root = spread.root
    answered = [o for o in spread.trail if o.role == SAID and o.span.span_id in answers]
    answered.sort(key=lambda o: o.span.kind == SpanKind.MODEL)  # the model's own span, where there is one
    path = route_of(spread, answered[-1] if answered else None, trace)
    return Finding(
        kind=KIND,
        severity=Severity.CRITICAL if answered else Severity.WARNING,
        confidence=spread.confidence,
        trace_id=trace.trace_id,
        span_id=root.span.span_id,
        message=_spread_message(spread, bool(answered), path, trace),
        agent=root.span.agent_name,
        peer_agent=next((s.agent_name for s in path if s.owner is not root.span.owner and s.agent_name), ""),
        value=root.quote,
        root_span_id=root.span.span_id,
        path=[span.span_id for span in path],
        evidence=_spread_evidence(spread, path, reader),
        grade="observed" if spread.how == "invented" or spread.surfaced else "inferred",
        at_ns=root.at_ns,
    )


def _spread_message(spread: Spread, is_answered: bool, path: list[Span], trace: Trace) -> str:
    root, value = spread.root, shorten(spread.value.text, 60)
    where = trace.span_label(root.span)
    verb = "returned" if root.is_silent else "failed with"
    did = (
        f"{where} then made up {value}"
        if spread.how == "invented"
        else f"{where} then took {value} from {spread.origin.span.name}"
    )
    others = [trace.span_label(s) for s in path if s.owner is not root.span.owner]
    reached = f"which reached {', '.join(dict.fromkeys(label for label in others if label))}"
    surfaced = [f"{r.name} failed with “{shorten(r.quote, 60)}”" for r in spread.surfaced[:1]]
    ends = [*surfaced, *(["it is in the final answer"] if is_answered else [])]
    tail = f" ({'; '.join(ends)})" if ends else ""
    return f"{root.name} in {where} {verb} “{shorten(root.quote, 80)}”; {did}, {reached}{tail}"


def _spread_evidence(spread: Spread, path: list[Span], reader: Reader) -> list[Evidence]:
    found = [Evidence(spread.root.span.span_id, shorten(spread.root.quote))]
    quoted: set[bytes] = {spread.root.span.span_id}
    on_path = {span.span_id for span in path}
    for occurrence in spread.trail:
        span_id = occurrence.span.span_id
        is_use = occurrence.role in USES or occurrence is spread.origin
        if span_id in on_path and span_id not in quoted and is_use and len(found) < _MAX_EVIDENCE_COUNT:
            quoted.add(span_id)
            text = reader.text(occurrence.digest) or ""
            at = max(text.casefold().find((spread.value.figure or spread.value.key).casefold()), 0)
            found.append(Evidence(span_id, around(text, at, at + len(spread.value.text))))
    found += [Evidence(r.span.span_id, shorten(r.quote)) for r in spread.surfaced if r.span.span_id in on_path][:2]
    return found
