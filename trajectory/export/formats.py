"""The formats in words, for a menu: ours without loading what writes them, a stranger's as its exporter says.

Invariant: every format that is named here has an exporter that writes it (a test holds that). Called by the dashboard's feeds.
"""

from importlib.metadata import entry_points

from trajectory.export.contract import DELEGATIONS, ENTRY_POINT, PROVENANCE, SPANS, TRACE
from trajectory.view.feed import Format

_RUNS = {
    ".jsonl": "every fact, for trajectory import",
    ".trace.json": "Perfetto, chrome://tracing",
    ".otlp.json": "OpenTelemetry, as JSON",
    ".otlp.pb": "OpenTelemetry, as protobuf",
    ".md": "a report in Markdown",
}
_GRAPHS = {
    ".svg": "a drawing",
    ".mmd": "Mermaid",
    ".dot": "DOT, for Graphviz",
    ".graphml": "GraphML, for yEd, Gephi, networkx",
    ".gexf": "GEXF, for Gephi",
    ".json": "node-link JSON, for D3",
}
_OTHER_NAMES = ("gv", "mermaid")  # of what is listed already


def formats() -> list[Format]:
    """Those of the whole run, then those of its graphs: delegations, spans, provenance."""
    others = [(f".{name}", of) for name, of in _strangers()]
    found = [Format(suffix, TRACE, title) for suffix, title in _RUNS.items()]
    found += [Format(suffix, TRACE, "by an exporter of yours") for suffix, of in others if TRACE in of]
    for graph in (DELEGATIONS, SPANS, PROVENANCE):
        found += [Format(suffix, graph, title) for suffix, title in _GRAPHS.items()]
        found += [Format(suffix, graph, "by an exporter of yours") for suffix, of in others if graph in of]
    return found


def _strangers() -> list[tuple[str, frozenset[str]]]:
    """What is registered beside ours; what cannot be loaded writes nothing."""
    ours = {suffix.removeprefix(".") for suffix in (*_RUNS, *_GRAPHS)} | set(_OTHER_NAMES)
    found = []
    for entry in entry_points(group=ENTRY_POINT):
        if entry.name.lower() not in ours:
            try:
                found.append((entry.name.lower(), frozenset(entry.load().of)))
            except Exception:  # a stranger's module may raise anything
                continue
    return found
