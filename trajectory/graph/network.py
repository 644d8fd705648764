"""networkx views of a trace, for formats and algorithms outside the hot path.

Invariant: node and edge attributes are plain text, numbers and booleans, so every graph format can carry them. Called by
exports and by on-demand analysis; never by the fold.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import networkx as nx

from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.fact import Finding
from trajectory.model.words import LinkKind, SpanKind

UNKNOWN = "(unknown)"  # whoever is at an end of a delegation that nobody is known at


def delegation_graph(trace: Trace) -> nx.MultiDiGraph:
    """Agents as nodes, delegations as edges: one edge for each (source, target, mode, grade), with its `count`.

    Node attributes: label, service, invocations, spans, model_calls, tool_calls, input_tokens, output_tokens, errors.
    Edge attributes: mode, grade, reason, count, failed, on_error_path.
    """
    graph = nx.MultiDiGraph(trace_id=trace.trace_id.hex(), of="delegations")
    invocations: dict[str, int] = {}
    services: dict[str, str] = {}
    for invocation in trace.invocations():
        invocations[invocation.agent] = invocations.get(invocation.agent, 0) + 1
        services.setdefault(invocation.agent, invocation.service)
    for name, usage in trace.agents().items():
        graph.add_node(
            name,
            label=name,
            service=services.get(name, ""),
            invocations=invocations.get(name, 0),
            **{field: getattr(usage, field) for field in usage.__slots__},
        )
    on_path, crossed = error_path_spans(trace), _crossed(trace)
    for delegation in trace.delegations():
        source = delegation.source_agent or UNKNOWN
        target = delegation.target_agent or UNKNOWN
        key = f"{delegation.mode}/{delegation.grade}"
        known = graph.get_edge_data(source, target, key)
        if known is None:
            graph.add_edge(
                source, target, key=key, mode=str(delegation.mode), grade=str(delegation.grade), reason=delegation.reason,
                count=0, failed=0, on_error_path=False,
            )  # fmt: skip
            known = graph.edges[source, target, key]
        known["count"] += 1
        known["failed"] += delegation.state == "failed"
        ends = {id(delegation.source), id(delegation.target)}
        is_crossed = delegation.delegation_id in on_path or ends in crossed
        known["on_error_path"] = known["on_error_path"] or is_crossed
    return graph


def span_graph(trace: Trace) -> nx.DiGraph:
    """Spans as nodes (by hexadecimal id), `relation` `child` from parent to child, every link under its own name, and `caused`
    for each step of a cascade's path that is no edge yet. Edges on such a path have `on_error_path` and `root`, the span at
    which the cascade began."""
    graph = nx.DiGraph(trace_id=trace.trace_id.hex(), of="spans")
    graph.add_nodes_from(span_nodes(trace, trace.spans.values()))
    for span in trace.spans.values():
        if span.parent is not None:
            graph.add_edge(span.parent.span_id.hex(), span.span_id.hex(), relation="child")
        for link in span.links:
            if link.to_span_id in trace.spans and not graph.has_edge(span.span_id.hex(), link.to_span_id.hex()):
                graph.add_edge(span.span_id.hex(), link.to_span_id.hex(), relation=str(link.kind), grade="observed")
    for cause, effect, finding in cascade_steps(trace):
        ends = cause.span_id.hex(), effect.span_id.hex()
        if not graph.has_edge(*ends):
            graph.add_edge(*ends, relation=str(LinkKind.CAUSED), grade=finding.grade)
        graph.edges[ends].update(on_error_path=True, root=finding.root_span_id.hex())
    return graph


def span_nodes(trace: Trace, spans: Iterable[Span]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Nodes of spans, by start: label, kind, agent, service, status, start_ns, end_ns, on_error_path, is_cascade_root."""
    on_path = error_path_spans(trace)
    roots = {f.root_span_id for f in trace.findings.values() if f.kind == "cascade"}
    for span in sorted(spans, key=lambda s: s.order_key):
        said = _span_node(trace, span)
        yield (
            span.span_id.hex(),
            {**said, "on_error_path": span.span_id in on_path, "is_cascade_root": span.span_id in roots},
        )


def _span_node(trace: Trace, span: Span) -> dict[str, Any]:
    return {
        "label": (tool_name(span) if span.kind == SpanKind.TOOL else span.name) or "(not seen)",
        "kind": str(span.kind),
        "agent": trace.span_label(span),
        "service": span.service,
        "status": str(span.status),
        "start_ns": span.start_ns,
        "end_ns": span.end_ns,
    }


def cascade_steps(trace: Trace) -> list[tuple[Span, Span, Finding]]:
    """The steps of every cascade's path: cause, effect, and the finding that tells of it."""
    found: list[tuple[Span, Span, Finding]] = []
    for finding in trace.findings.values():
        if finding.kind == "cascade":
            path = [span for span_id in finding.path if (span := trace.spans.get(span_id)) is not None]
            found += [(cause, effect, finding) for cause, effect in pairwise(path)]
    return found


def error_path_spans(trace: Trace) -> set[bytes]:
    """Ids of the spans on any cascade's path."""
    return {span_id for f in trace.findings.values() if f.kind == "cascade" for span_id in f.path}


def _crossed(trace: Trace) -> list[set[int]]:
    """The pairs of invocations between which a cascade's path steps: a wrong answer goes back the way that its task came."""
    paths = [[trace.spans.get(i) for i in f.path] for f in trace.findings.values() if f.kind == "cascade"]
    owners = [[span.owner for span in path if span is not None and span.owner is not None] for path in paths]
    return [{id(a), id(b)} for path in owners for a, b in pairwise(path) if a is not b]
