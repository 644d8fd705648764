"""Graphs as Mermaid flowcharts, for Markdown pages that draw them.

Invariant: names are `n0`, `n1`, ... and everything that an agent chose is inside a quoted label as entities, so no text
can end a line, open a directive or become a link. Called through `trajectory.export.contract`, and by the report.
"""

from typing import Any, BinaryIO

from trajectory.export.contract import GRAPHS, Subject
from trajectory.export.escape import mermaid
from trajectory.export.graphs import graph_of
from trajectory.export.wording import edge_label, is_failed, node_lines

_SHAPES = {"agent": "(%s)", "tool": "[%s]", "model": "([%s])", "delegation": "{{%s}}", "retrieval": "[(%s)]"}


class Mermaid:
    """A `flowchart LR`. Dotted is a transfer or a link, red is on an error's path."""

    of = GRAPHS

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix

    def write(self, subject: Subject, out: BinaryIO) -> None:
        out.write(("\n".join(flowchart(graph_of(subject))) + "\n").encode("utf-8", "replace"))


def flowchart(graph: Any) -> list[str]:
    """A graph's flowchart, line by line."""
    ids = {node: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    lines += [f"  {ids[node]}{_node(node, data)}" for node, data in graph.nodes(data=True)]
    red: list[str] = []
    for number, (source, target, data) in enumerate(graph.edges(data=True)):
        lines.append(f"  {ids[source]} {_arrow(data)} {ids[target]}")
        if data.get("on_error_path"):
            red.append(str(number))
    failed = [ids[node] for node, data in graph.nodes(data=True) if is_failed(data)]
    if failed:
        lines += ["  classDef failed stroke:#c62f2f,stroke-width:2px", f"  class {','.join(failed)} failed"]
    if red:
        lines.append(f"  linkStyle {','.join(red)} stroke:#c62f2f")
    return lines


def _node(node: str, data: dict[str, Any]) -> str:
    text = "<br>".join(mermaid(line) for line in node_lines(node, data))
    return _SHAPES.get(str(data.get("kind", "agent")), "[%s]") % f'"{text}"'


def _arrow(data: dict[str, Any]) -> str:
    line = "-->" if (data.get("mode") or data.get("relation")) in ("call", "child") else "-.->"
    text = edge_label(data)
    return f'{line}|"{mermaid(text)}"|' if text else line


MMD, MERMAID = Mermaid(".mmd"), Mermaid(".mermaid")
