"""Graphs as DOT, for Graphviz.

Invariant: names are `n0`, `n1`, ... and everything that an agent chose is inside a quoted label, so no text can end a
statement. Called through `trajectory.export.contract`.
"""

from typing import Any, BinaryIO

from trajectory.export.contract import GRAPHS, Subject
from trajectory.export.escape import dot
from trajectory.export.graphs import graph_of
from trajectory.export.wording import edge_label, is_failed, node_lines, title_of

_RED, _GREY = "#c62f2f", "#5b6470"
_DASHES = {"call": "solid", "transfer": "dashed", "child": "solid"}
_FILLS = {"agent": "#e3edfb", "model": "#efe6fa", "tool": "#e4f3e6", "retrieval": "#e4f3e6", "delegation": "#fdf1dc"}


class Dot:
    """DOT: one `digraph`, left to right. Dashed is a transfer or a link, red is on an error's path."""

    of = GRAPHS

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix

    def write(self, subject: Subject, out: BinaryIO) -> None:
        graph = graph_of(subject)
        ids = {node: f"n{number}" for number, node in enumerate(graph.nodes)}
        lines = ["digraph trajectory {", f"  label={dot(title_of(subject))}; labelloc=t; rankdir=LR; bgcolor=white;"]
        lines.append('  fontname="Helvetica"; fontsize=13;')
        lines.append('  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11, penwidth=1.2];')
        lines.append('  edge [fontname="Helvetica", fontsize=9];')
        lines += [f"  {ids[node]} {_node(node, data)};" for node, data in graph.nodes(data=True)]
        lines += [f"  {ids[source]} -> {ids[target]} {_edge(data)};" for source, target, data in graph.edges(data=True)]
        out.write(("\n".join([*lines, "}"]) + "\n").encode("utf-8", "replace"))


def _node(node: str, data: dict[str, Any]) -> str:
    color = _RED if is_failed(data) else _GREY
    fill = _FILLS.get(str(data.get("kind", "agent")), "#f2f3f5")
    return f'[label={dot(chr(10).join(node_lines(node, data)))}, color="{color}", fillcolor="{fill}"]'


def _edge(data: dict[str, Any]) -> str:
    style = _DASHES.get(str(data.get("mode") or data.get("relation")), "dashed")
    color = _RED if data.get("on_error_path") else _GREY
    return f'[label={dot(edge_label(data))}, style={style}, color="{color}", fontcolor="{color}"]'


DOT, GV = Dot(".dot"), Dot(".gv")
