"""What drawings say of a node and an edge, in words that are the same in each of them.

Invariant: every line is safe for a screen (`escape.label`) and short; it is not yet safe for a format. Called by the
drawing exporters, with the attributes of `trajectory.graph.network`.
"""

from typing import Any

from trajectory.export.contract import DELEGATIONS, GRAPHS, Subject
from trajectory.export.escape import label


def title_of(subject: Subject) -> str:
    """One line: what the drawing is of."""
    what = subject.of if subject.of in GRAPHS else DELEGATIONS
    return f"{label(subject.trace.title, 70) or 'trace'} · {what} · {subject.trace.trace_id.hex()[:8]}"


def node_lines(node: str, data: dict[str, Any], limit: int = 34) -> list[str]:
    """A name, and what it did: for an agent its counts and tokens, for a span its agent and how long it took."""
    name = label(str(data.get("label") or node), limit)
    if "kind" in data:
        return [name, _joined(label(str(data["agent"]), limit), label(str(data["kind"]), 20), _span_time(data))]
    counts = _joined(
        counted(data.get("invocations", 0), "run"),
        counted(data.get("model_calls", 0), "model call"),
        counted(data.get("tool_calls", 0), "tool call"),
    )
    tokens = _joined(
        f"{short(data['input_tokens'])} in" if data.get("input_tokens") else "",
        f"{short(data['output_tokens'])} out" if data.get("output_tokens") else "",
    )
    return [
        name,
        *filter(None, [counts, f"{tokens} tokens" if tokens else "", counted(data.get("errors", 0), "error")]),
    ]


def edge_label(data: dict[str, Any]) -> str:
    """`call ×3, 1 failed, inferred`; for a link between spans its kind, or the value that it is about; for a child nothing."""
    if data.get("value"):
        return label(str(data["value"]), 44)
    if "relation" in data:
        return "" if data["relation"] == "child" else label(str(data["relation"]).replace("_", " "), 30)
    count, failed = data.get("count", 1), data.get("failed", 0)
    said = [label(str(data.get("mode", "")), 20) + (f" ×{count}" if count > 1 else "")]
    if failed:
        said.append(f"{failed} failed" if count > 1 else "failed")
    said.append(label(str(data.get("grade", "")), 20))
    return ", ".join(filter(None, said))


def is_failed(data: dict[str, Any]) -> bool:
    """Whether a node is to be marked: a span that ended in error or began a cascade, an agent with an error in its own work."""
    return data.get("status") == "error" or bool(data.get("errors") or data.get("is_cascade_root"))


def counted(count: int, noun: str) -> str:
    """`2 runs`, `1 run`; nothing for none."""
    return f"{count} {noun}{'' if count == 1 else 's'}" if count else ""


def short(count: int) -> str:
    """A count in at most five characters: 950, 1.2k, 34k, 5.6M."""
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= limit:
            scaled = count / limit
            return f"{scaled:.1f}{unit}" if scaled < 10 else f"{scaled:.0f}{unit}"
    return str(count)


def duration(elapsed_ns: int) -> str:
    """How long, to two or three figures: 350 µs, 12 ms, 3.4 s, 2 m 05 s."""
    if elapsed_ns < 1_000_000:
        return f"{elapsed_ns / 1_000:.0f} µs"
    if elapsed_ns < 1_000_000_000:
        return f"{elapsed_ns / 1_000_000:.0f} ms"
    seconds = elapsed_ns / 1_000_000_000
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds // 60:.0f} m {seconds % 60:02.0f} s"


def _span_time(data: dict[str, Any]) -> str:
    start_ns, end_ns = data.get("start_ns", 0), data.get("end_ns", 0)
    if not start_ns:
        return "not seen"
    return duration(max(0, end_ns - start_ns)) if end_ns else "open"


def _joined(*parts: str) -> str:
    return " · ".join(filter(None, parts))
