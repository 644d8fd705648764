"""Where values came from, as a graph: spans as nodes, an edge from the span that had a value to each that used it.

Invariant: attributes are plain text, numbers and booleans, so every graph format can carry them, and edges run the way that
values went; the links that they stand for, `used_value_of`, point back. Called through `graphs`.
"""

from itertools import pairwise
from typing import Any

import networkx as nx

from trajectory.detection.provenance import UsedValue, provenance_of
from trajectory.export.links import MAX_VALUES_COUNT, used_values
from trajectory.graph.network import span_nodes
from trajectory.graph.trace import Trace
from trajectory.model.words import Grade, LinkKind

_APART = " · "


def provenance_graph(trace: Trace) -> nx.DiGraph:
    """Spans that had values from one another; nodes as in the graph of spans; `caused` from a cascade's root to its first step.

    Edge attributes: relation (`used_value_of`), value (as written, the first eight), value_kind, value_count, grade, reason,
    on_error_path. The graph's `left_out_count` are values that the index had no room for.
    """
    edges = used_values(trace)
    left_out_count = provenance_of(trace).left_out_count
    cascades = [f for f in trace.findings.values() if f.kind == "cascade"]
    steps = {step for f in cascades for step in pairwise(f.path)}
    begins = {f.path[0]: f.path[1] for f in cascades if len(f.path) > 1 and trace.spans.keys() >= {*f.path[:2]}}
    carried = {value for f in cascades for value in _texts(f.attributes.get("values"))}
    graph = nx.DiGraph(trace_id=trace.trace_id.hex(), of="provenance", left_out_count=left_out_count)
    involved = {span_id for ends in (*edges, *begins.items()) for span_id in ends}
    graph.add_nodes_from(span_nodes(trace, [trace.spans[span_id] for span_id in involved]))
    for (source, user), links in edges.items():
        is_hot = (source, user) in steps or any(link.value in carried for link in links)
        graph.add_edge(source.hex(), user.hex(), **_edge(links), on_error_path=is_hot)
    for root, effect in begins.items():
        if (root, effect) not in edges:
            graph.add_edge(root.hex(), effect.hex(), relation=str(LinkKind.CAUSED), on_error_path=True)
    return graph


def _texts(value: Any) -> list[str]:
    """The texts in what a finding says: it may come from anywhere."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _edge(links: list[UsedValue]) -> dict[str, Any]:
    values = list(dict.fromkeys(link.value for link in links if link.value))
    observed = [link for link in links if link.grade == Grade.OBSERVED]
    return {
        "relation": str(LinkKind.USED_VALUE_OF),
        "value": _APART.join(values[:MAX_VALUES_COUNT]),
        "value_kind": _APART.join(dict.fromkeys(link.kind for link in links if link.kind)),
        "value_count": len(values),
        "grade": str((observed or links)[0].grade),
        "reason": (observed or links)[0].reason,
    }
