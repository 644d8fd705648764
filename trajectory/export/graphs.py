"""Graphs as data for other graph tools: GraphML, GEXF and networkx's node-link JSON.

Invariant: the tool's own reader gives back the same nodes, edges and attributes. Text that XML cannot carry is made to fit
first, and two nodes that would then share an id are told apart. Called through `trajectory.export.contract`.
"""

from collections.abc import Callable
from typing import Any, BinaryIO

from trajectory.detection.effectiveness import effectiveness_of
from trajectory.export.contract import GRAPHS, PROVENANCE, SPANS, Subject
from trajectory.export.escape import json_bytes, xml_text
from trajectory.graph.network import UNKNOWN, delegation_graph, span_graph
from trajectory.graph.trace import Trace


def graph_of(subject: Subject) -> Any:
    """The networkx graph that is asked for."""
    if subject.of == PROVENANCE:
        from trajectory.export.provenance import provenance_graph

        return provenance_graph(subject.trace)
    return (
        span_graph(subject.trace) if subject.of == SPANS else _weighed(delegation_graph(subject.trace), subject.trace)
    )


def _weighed(graph: Any, trace: Trace) -> Any:
    """The graph of delegations with the figures of each edge, `needed` to `cost_usd`; what is not known is left out."""
    for (source, target, mode, grade), figures in effectiveness_of(trace).edges():
        edge = graph.edges[source or UNKNOWN, target or UNKNOWN, f"{mode}/{grade}"]
        edge.update({name: value for name, value in figures.known.items() if name != "delegations"})
    return graph


def portable(graph: Any, clean: Callable[[str], str] = xml_text) -> Any:
    """A copy whose ids and attributes every format can carry. Parallel edges have the keys `e0`, `e1`, ...: in the XML
    formats a key is an edge's id, which is to be unique in the file."""
    ids = distinct(list(graph.nodes), clean)
    copy = graph.__class__(**_plain(graph.graph, clean))
    for node, attributes in graph.nodes(data=True):
        copy.add_node(ids[node], **{"label": ids[node], **_plain(attributes, clean)})
    if graph.is_multigraph():
        for number, (source, target, attributes) in enumerate(graph.edges(data=True)):
            copy.add_edge(ids[source], ids[target], key=f"e{number}", **_plain(attributes, clean))
    else:
        for source, target, attributes in graph.edges(data=True):
            copy.add_edge(ids[source], ids[target], **_plain(attributes, clean))
    return copy


def distinct(names: list[str], clean: Callable[[str], str]) -> dict[str, str]:
    """Each name cleaned; where that makes two alike, or leaves nothing, with a number."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        wanted = clean(str(name)) or "(no name)"
        candidate, number = wanted, 1
        while candidate in taken:
            number += 1
            candidate = f"{wanted} ({number})"
        found[name] = candidate
        taken.add(candidate)
    return found


def _plain(attributes: dict[str, Any], clean: Callable[[str], str]) -> dict[str, Any]:
    return {key: clean(value) if isinstance(value, str) else value for key, value in attributes.items()}


class GraphML:
    """GraphML, for yEd, Cytoscape, igraph, networkx."""

    suffix = ".graphml"
    of = GRAPHS

    def write(self, subject: Subject, out: BinaryIO) -> None:
        from networkx.readwrite.graphml import write_graphml_xml

        write_graphml_xml(portable(graph_of(subject)), out, named_key_ids=True)


class Gexf:
    """GEXF 1.2, for Gephi."""

    suffix = ".gexf"
    of = GRAPHS

    def write(self, subject: Subject, out: BinaryIO) -> None:
        import networkx

        graph = portable(graph_of(subject))
        for number, edge in enumerate(graph.edges(data=True)):
            edge[-1]["id"] = f"e{number}"
        networkx.write_gexf(graph, out)


class NodeLink:
    """networkx's node-link JSON: `directed`, `multigraph`, `graph`, `nodes` with `id`, `edges` with `source` and `target`."""

    suffix = ".json"
    of = GRAPHS

    def write(self, subject: Subject, out: BinaryIO) -> None:
        import networkx

        out.write(json_bytes(networkx.node_link_data(portable(graph_of(subject), _mended), edges="edges")))


def _mended(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


GRAPHML, GEXF, NODE_LINK = GraphML(), Gexf(), NodeLink()
