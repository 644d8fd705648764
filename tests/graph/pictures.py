"""What a fold looks like from outside, as plain data that two folds can be compared by.

Invariant: everything that a reader of `Trace` may see is in the picture, nothing of how it came about. Used by the tests of
the fold, and of whatever folds the same facts in another way.
"""

from collections.abc import Iterable
from typing import Any

from trajectory.graph.delegations import Delegation
from trajectory.graph.invocation import Invocation, Usage
from trajectory.graph.retries import retries
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.fact import Fact, Source

TRACE = b"trace-under-test"
SOURCE = Source(b"emitter-of-tests", b"boot-of-the-test", {"service.name": "svc"})


def folded(facts: Iterable[Fact], trace: Trace | None = None) -> Trace:
    """The fold of some facts, on top of `trace` if there is one."""
    trace = trace or Trace(TRACE)
    for fact in facts:
        trace.apply(fact, SOURCE)
    return trace


def picture(trace: Trace) -> dict[str, Any]:
    """All that a reader sees of a trace."""
    return {
        "spans": {span_id: _span(trace, span) for span_id, span in trace.spans.items()},
        "roots": [s.span_id for s in trace.roots],
        "root": trace.root.span_id if trace.root else None,
        "invocations": [_invocation(trace, i) for i in trace.invocations()],
        "agents": [(name, numbers(usage)) for name, usage in trace.agents().items()],
        "delegations": [_delegation(d) for d in trace.delegations()],
        "vehicles": trace.vehicles(),
        "usage": numbers(trace.usage()),
        "tools": {name: [s.span_id for s in calls] for name, calls in trace.tools().items()},
        "root_errors": [s.span_id for s in trace.root_errors()],
        "names": (trace.session_id, trace.title, trace.service, trace.state),
        "times": (trace.first_ns, trace.last_ns, trace.open_count, trace.heard_ns),
        "findings": {key: (repr(f), trace.found_at_ns[key]) for key, f in trace.findings.items()},
        "marks": {key: repr(m) for key, m in trace.marks.items()},
    }


def numbers(usage: Usage) -> dict[str, int]:
    return {name: getattr(usage, name) for name in usage.__slots__}


def edges(trace: Trace) -> list[tuple[str, str, str, str]]:
    """Delegations as (source, target, grade, state), by the time they were sent; invocations by their labels."""
    return [
        (
            trace.label(d.source) if d.source else d.source_agent,
            trace.label(d.target) if d.target else d.target_agent,
            str(d.grade),
            d.state,
        )
        for d in trace.delegations()
    ]


def _span(trace: Trace, span: Span) -> tuple[Any, ...]:
    return (
        span.parent.span_id if span.parent else None,
        sorted(c.span_id for c in span.children),
        (span.kind, span.name, span.agent, span.surface, span.service),
        (span.start_ns, span.end_ns, span.last_ns, span.status, span.message, span.is_open, span.is_placeholder),
        repr(sorted(span.attributes.items())),
        sorted(span.contents.items()),
        [repr(e) for e in span.events],
        [repr(e) for e in span.links],
        span.partial_text,
        trace.span_label(span),
    )


def _invocation(trace: Trace, invocation: Invocation) -> tuple[Any, ...]:
    return (
        trace.label(invocation),
        (invocation.agent, invocation.service, invocation.span_id),
        (invocation.start_ns, invocation.end_ns, invocation.status),
        invocation.via.span_id if invocation.via else None,
        sorted(invocation.spans),
        numbers(invocation.usage),
        sorted(retries(invocation).items()),
    )


def _delegation(delegation: Delegation) -> tuple[Any, ...]:
    return (
        delegation.delegation_id,
        (delegation.source_agent, delegation.source.span_id if delegation.source else None),
        (delegation.target_agent, delegation.target.span_id if delegation.target else None),
        (str(delegation.mode), str(delegation.grade), delegation.reason, delegation.state),
        (delegation.sent_ns, delegation.received_ns, delegation.returned_ns),
        delegation.asked.span_id if delegation.asked else None,
    )
