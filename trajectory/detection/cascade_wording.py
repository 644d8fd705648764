"""A cascade as a finding: one sentence, evidence, the path, and how far it spread.

Invariant: everything said is on a span that exists, and quotes are short. `attributes` of the finding are for screens:

- `affected_count`, `affected_spans` (hexadecimal ids, the first 200) and `affected_agents`: all that worked with what failed;
- `carriers` (hexadecimal ids, the first 20): of each agent that is not on the path and passed the value on, said it or called a
  tool with it, the span that did so first;
- `reached_answer`: whether the trace's final answer holds it, or the trace ended in it;
- `values`: those that carried the failure on, as written;
- `boundary_span`: the hand-over at which another agent could have caught it first, `boundary`: whether it was let through in a
  `task`, an `answer` or in `words` that the other was shown; empty where there was none.

Called by the cascade detector.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from trajectory.detection.escape import Escape
from trajectory.detection.failures import Root
from trajectory.detection.occurrences import RETURNED, SAID, USES, Occurrence
from trajectory.detection.provenance import Provenance
from trajectory.detection.reader import Reader, reader_of
from trajectory.detection.route import boundary_on, route_of
from trajectory.detection.spread import Spread
from trajectory.detection.structure import Structure
from trajectory.detection.words import around, shorten
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import Severity, SpanKind

KIND = "cascade"
_MAX_EVIDENCE_COUNT = 12
_MAX_AFFECTED_COUNT = 200
MAX_CARRIERS_COUNT = 20
_MAX_NAMED_COUNT = 3


def escape_finding(escape: Escape, provenance: Provenance, trace: Trace) -> Finding:
    """What is said of an exception that left its agent."""
    root, path, structure = escape.root, escape.path, provenance.structure
    labels = list(dict.fromkeys(structure.label(s) if s.owner is not None else s.name for s in path))
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
        peer_agent=_peer(root, path, structure),
        value=root.quote,
        root_span_id=root.span.span_id,
        path=[span.span_id for span in path],
        evidence=[Evidence(s.span_id, shorten(s.error_text or s.error_type)) for s in path][:_MAX_EVIDENCE_COUNT],
        at_ns=root.at_ns,
        attributes=_extent(path, path, escape.ended_trace, [], structure),
    )


def spread_finding(
    spreads: Sequence[Spread], answers: frozenset[bytes], provenance: Provenance, trace: Trace
) -> Finding:
    """What is said of a failure that values carried on: its path is the first one's, its extent that of all."""
    spread, structure, reader = spreads[0], provenance.structure, reader_of(trace)
    root = spread.root
    answered = [o for o in spread.trail if o.role == SAID and o.span.span_id in answers]
    answered.sort(key=lambda o: o.span.kind == SpanKind.MODEL)  # the model's own span, where there is one
    path = route_of(spread, answered[-1] if answered else None, structure)
    used = [o for s in spreads for o in s.trail if o.at_ns >= s.said.at_ns and o.role in (*USES, RETURNED)]
    reached = any(o.role == SAID and o.span.span_id in answers for o in used)
    affected = [*path, *(o.span for o in sorted(used, key=lambda o: o.at_ns))]
    carriers = _carriers(used, path)
    extent = _extent(affected, path, reached, [shorten(s.value.text, 80) for s in spreads], structure)
    extent["carriers"] = [span.span_id.hex() for span in carriers[:MAX_CARRIERS_COUNT]]
    return Finding(
        kind=KIND,
        severity=Severity.CRITICAL if reached else Severity.WARNING,
        confidence=spread.confidence,
        trace_id=trace.trace_id,
        span_id=root.span.span_id,
        message=_message(spread, reached, path, carriers, structure),
        agent=root.span.agent_name,
        peer_agent=next((s.agent_name for s in path if s.owner is not root.span.owner and s.agent_name), ""),
        value=root.quote,
        root_span_id=root.span.span_id,
        path=[span.span_id for span in path],
        evidence=_evidence(spread, path, reader),
        grade="observed" if spread.how == "invented" or spread.surfaced else "inferred",
        at_ns=root.at_ns,
        attributes=extent,
    )


def _peer(root: Root, path: list[Span], structure: Structure) -> str:
    """The next agent that the exception came to; else the one that had given the work."""
    met = next((s.agent_name for s in path if s.owner is not root.span.owner and s.agent_name), "")
    return met or next((d.source_agent for d in structure.given_to(root.span.owner)), "")


def _carriers(used: list[Occurrence], path: list[Span]) -> list[Span]:
    """Where each agent that is not on the path had the value in its hands first, in order of time."""
    on_path = [span.owner for span in path]
    first: dict[Invocation, Span] = {}
    for occurrence in sorted(used, key=lambda o: o.at_ns):
        if occurrence.owner is not None and occurrence.owner not in on_path:
            first.setdefault(occurrence.owner, occurrence.span)
    return list(first.values())


def _extent(
    affected: Iterable[Span], path: list[Span], reached: bool, values: list[str], structure: Structure
) -> dict[str, Any]:
    spans = list(dict.fromkeys(affected))
    let_through = boundary_on(path, structure)
    return {
        "affected_count": len(spans),
        "affected_spans": [span.span_id.hex() for span in spans[:_MAX_AFFECTED_COUNT]],
        "affected_agents": list(dict.fromkeys(span.agent_name for span in spans if span.agent_name)),
        "reached_answer": reached,
        "values": values,
        "boundary_span": let_through[0].span_id.hex() if let_through is not None else "",
        "boundary": let_through[1] if let_through is not None else "",
    }


def _message(spread: Spread, is_answered: bool, path: list[Span], carriers: list[Span], structure: Structure) -> str:
    root, value = spread.root, shorten(spread.value.text, 60)
    where = structure.label(root.span)
    verb = "returned" if root.is_silent else "failed with"
    did = (
        f"{where} then made up {value}"
        if spread.how == "invented" and spread.said.role != RETURNED
        else f"{where} then answered with {value}, which nothing that was captured before holds"
        if spread.how == "invented"
        else f"{where} then passed on {value}, which was known only of an earlier time"
        if spread.how == "outdated"
        else f"{where} then took {value} from {spread.origin.span.name}"
    )
    others = dict.fromkeys(structure.label(s) for s in path if s.owner is not root.span.owner)
    reached = f", which reached {', '.join(filter(None, others))}" if any(others) else ""
    surfaced = [f"{r.name} failed with “{shorten(r.quote, 60)}”" for r in spread.surfaced[:1]]
    ends = [*surfaced, *(["it is in the final answer"] if is_answered else [])]
    tail = f" ({'; '.join(ends)})" if ends else ""
    if carriers:
        more = len(carriers) - _MAX_NAMED_COUNT
        named = ", ".join(structure.label(span) for span in carriers[:_MAX_NAMED_COUNT])
        tail += f"; {named}{f' and {more} more' if more > 0 else ''} carried it too"
    catcher = next((structure.label(s) for s in path if s.owner is not None and s.owner is not root.span.owner), "")
    tail += f"; {catcher} let it through first" if catcher else ""
    return f"{root.name} in {where} {verb} “{shorten(root.quote, 80)}”; {did}{reached}{tail}"


def _evidence(spread: Spread, path: list[Span], reader: Reader) -> list[Evidence]:
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
