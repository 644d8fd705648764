"""LangGraph's run metadata, which two dialects carry in different places: which span is an agent's own graph.

Invariant: of the spans of one agent (node, wrapper, graph, inner nodes) exactly the graph's own is the agent. A graph is an
agent's where it says so (`lc_agent_name`), or where it runs inside a node of another graph: then its place (`checkpoint_ns`)
is that of the node, which the nodes inside have one level above their own. Called by `openinference` and `traceloop`.
"""

from collections.abc import Mapping
from typing import Any

from trajectory.dialects.values import name_of

INSIDE_AN_AGENT = frozenset(
    {"model", "tools", "agent", "llm", "call_model", "chatbot"}
)  # nodes of one agent's own graph
_UNNAMED = "LangGraph"  # what a graph is called that was compiled without a name


def agent_of_graph(span_name: str, metadata: Mapping[str, Any]) -> str:
    """The agent whose graph this span is; empty where it is a node, a wrapper or a tool."""
    agent = name_of(metadata.get("lc_agent_name"))
    if agent:
        return agent if agent == span_name else ""
    place = metadata.get("checkpoint_ns")
    if not isinstance(place, str) or not place or place != metadata.get("langgraph_checkpoint_ns"):
        return ""
    node = name_of(metadata.get("langgraph_node"))
    return span_name if span_name != _UNNAMED else "" if node in INSIDE_AN_AGENT else node
