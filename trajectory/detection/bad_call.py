"""A tool call that was judged, and the finding that says what is wrong with it.

Invariant: pure. A violation that no usual framework mends or makes is a warning, every other one is for information unless the
call then failed with an error that speaks of its arguments. Called by the detector of bad arguments.
"""

from typing import Any, NamedTuple

from trajectory.detection.attempts import failed_by
from trajectory.detection.violations import Violation
from trajectory.detection.words import shorten
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.content import canonical_json
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import Severity

KIND = "tool.bad_arguments"


class JudgedCall(NamedTuple):
    """A call with all that is known of it."""

    name: str
    arguments: dict[str, Any] | None
    broken: str
    asker: Span | None
    tool: Span | None
    is_raw: bool  # as the model asked, and not as a span tells
    failed: str  # what the call said, where it failed


def finding_of(call: JudgedCall, found: list[Violation], trace: Trace) -> Finding:
    """The finding on a call, from what was found wrong with it, the certain first."""
    place = call.tool or call.asker
    assert place is not None
    where, first = trace.span_label(place), found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    failed = f"; the call failed with “{shorten(call.failed, 100)}”" if call.failed else ""
    given = call.broken if call.arguments is None else canonical_json(call.arguments).decode("utf-8", "replace")
    failed_over_it = bool(call.failed) and failed_by(call.failed, call.failed).is_hopeless
    is_loud = failed_over_it or first.is_certain
    evidence = [Evidence(place.span_id, f"arguments: {shorten(given, 300)}")]
    evidence += [
        Evidence((call.asker or place).span_id, f"on offer: {v.path or call.name}: {v.schema}") for v in found[:3]
    ]
    if call.failed:
        evidence.append(Evidence(place.span_id, f"failed: {shorten(call.failed)}"))
    path = [s.span_id for s in (call.asker, call.tool) if s is not None]
    return Finding(
        kind=KIND,
        severity=Severity.WARNING if is_loud else Severity.INFO,
        confidence=0.97 if first.is_certain and call.is_raw else 0.9 if first.is_certain else 0.7,
        trace_id=trace.trace_id,
        span_id=place.span_id,
        message=_sentence(call, first, f" in {where}" if where else "") + more + failed,
        agent=place.agent_name,
        value=f"{call.name}({shorten(given)})",
        root_span_id=path[0],
        path=path,
        evidence=evidence,
        at_ns=place.end_ns or place.start_ns,
    )


def _sentence(call: JudgedCall, first: Violation, where: str) -> str:
    if first.reason == "tool":
        return f"{shorten(call.name, 80)}{where} was asked for and is no tool that was on offer: {first.says}"
    return f"{shorten(call.name, 80)}{where} was called with arguments that do not fit its schema: {first.says}"
