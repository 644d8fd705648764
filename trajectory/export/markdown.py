"""A trace as a report in Markdown, for an issue or a colleague: what happened, who worked, what was found.

Invariant: what agents said is on one line each and escaped, so it is read and never rendered. Called through
`trajectory.export.contract`.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import BinaryIO

from trajectory.export.contract import TRACE, Subject
from trajectory.export.escape import markdown
from trajectory.export.mermaid import flowchart
from trajectory.export.wording import duration
from trajectory.graph.delegations import Delegation
from trajectory.graph.echoes import is_failed
from trajectory.graph.network import delegation_graph
from trajectory.graph.trace import Trace
from trajectory.model.fact import Finding
from trajectory.model.words import Severity
from trajectory.view.link import link_text

_CASCADE = "cascade"
_MAX_ROWS = 500
_MAX_DRAWN = 60  # agents; a larger graph is no drawing


class Markdown:
    """GitHub's Markdown: summary, agents, delegations with their drawing, tools, findings with evidence and path."""

    suffix = ".md"
    of = frozenset({TRACE})

    def write(self, subject: Subject, out: BinaryIO) -> None:
        out.write(("\n".join(report(subject.trace)) + "\n").encode("utf-8", "replace"))


def report(trace: Trace) -> Iterator[str]:
    """The report, line by line."""
    yield f"# Trace: {markdown(trace.title, 120) or trace.trace_id.hex()[:8]}"
    yield ""
    yield from _summary(trace)
    yield from _section("Agents", _agents(trace))
    yield from _section("Delegations", _delegations(trace))
    yield from _section("Tools", _tools(trace))
    yield from _section("Findings", _findings(trace))


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    told = list(lines)
    if told:
        yield from ("", f"## {title}", "", *told)


def _table(head: list[str], rows: list[list[str]], numbers: int) -> list[str]:
    """A table whose last `numbers` columns are numbers; nothing where there are no rows."""
    if not rows:
        return []
    rule = [*["---"] * (len(head) - numbers), *["---:"] * numbers]
    left = len(rows) - _MAX_ROWS
    more = ["", f"{left} more are left out."] if left > 0 else []
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows[:_MAX_ROWS])] + more


def _summary(trace: Trace) -> list[str]:
    usage = trace.usage()
    rows = [
        ["trace", f"`{trace.trace_id.hex()}`"],
        ["state", trace.state],
        ["started", _instant(trace.first_ns)],
        ["took", duration(trace.last_ns - trace.first_ns)],
        ["session", markdown(trace.session_id, 80)],
        ["services", ", ".join(sorted({markdown(s.service, 60) for s in trace.spans.values() if s.service}))],
        ["agents, delegations", f"{len(trace.agents())}, {len(trace.delegations())}"],
        ["model calls, tool calls", f"{usage.model_calls}, {usage.tool_calls}"],
        ["tokens in, out", f"{usage.input_tokens}, {usage.output_tokens}"],
        ["errors (where they began)", str(len(trace.root_errors()))],
        ["findings", str(len(trace.findings))],
    ]
    return _table(["", ""], [row for row in rows if row[1]], 0)


def _agents(trace: Trace) -> list[str]:
    head = ["agent", "runs", "model calls", "tool calls", "tokens in", "tokens out", "errors"]
    runs: dict[str, int] = {}
    for invocation in trace.invocations():
        runs[invocation.agent] = runs.get(invocation.agent, 0) + 1
    rows = []
    for name, usage in trace.agents().items():
        counts = (usage.model_calls, usage.tool_calls, usage.input_tokens, usage.output_tokens, usage.errors)
        rows.append([markdown(name, 80), *map(str, (runs.get(name, 0), *counts))])
    return _table(head, rows, 6)


def _delegations(trace: Trace) -> list[str]:
    head = ["from", "to", "mode", "known", "state", "task", "sent", "took"]
    rows = [_delegation(trace, delegation) for delegation in trace.delegations()]
    graph = delegation_graph(trace) if rows else ()
    drawing = ["", "```mermaid", *flowchart(graph), "```"] if 0 < len(graph) <= _MAX_DRAWN else []
    return _table(head, rows, 2) + drawing


def _delegation(trace: Trace, delegation: Delegation) -> list[str]:
    task = " ".join(filter(None, map(trace.text, delegation.task_digests())))
    done_ns = delegation.returned_ns
    return [
        markdown(delegation.source_agent or "(unknown)", 60),
        markdown(delegation.target_agent or "(unknown)", 60),
        markdown(str(delegation.mode), 20),
        markdown(str(delegation.grade), 20),
        delegation.state,
        markdown(task, 160),
        f"+{duration(max(0, delegation.sent_ns - trace.first_ns))}",
        duration(max(0, done_ns - delegation.sent_ns)) if done_ns else "",
    ]


def _tools(trace: Trace) -> list[str]:
    rows = [
        [markdown(name, 80), str(len(calls)), str(sum(map(is_failed, calls)))]
        for name, calls in sorted(trace.tools().items())
    ]
    return _table(["tool", "calls", "errors"], rows, 2)


def _findings(trace: Trace) -> Iterator[str]:
    ranks = {severity.value: severity.rank for severity in Severity}
    for finding in sorted(trace.findings.values(), key=lambda f: (-ranks.get(f.severity, 0), f.at_ns, f.key)):
        yield from _finding(trace, finding)


def _finding(trace: Trace, finding: Finding) -> Iterator[str]:
    yield f"### {markdown(finding.severity, 20)}: {markdown(finding.kind, 60)}"
    yield ""
    who = " and ".join(filter(None, (markdown(finding.agent, 60), markdown(finding.peer_agent, 60))))
    yield f"**What:** {markdown(finding.message, 600)}"
    yield ""
    yield f"- **Where:** {who or 'unknown'}, {_place(trace, finding.span_id)}"
    if finding.value:
        yield f"- **Value:** {markdown(finding.value, 300)}"
    yield f"- **Confidence:** {finding.confidence:.2f}, {markdown(finding.grade, 20)}"
    yield f"- **Open:** `trajectory open {link_text(trace.trace_id.hex(), finding.span_id.hex())}`"
    yield from (f"- **Evidence:** {markdown(e.text, 400)} ({_place(trace, e.span_id)})" for e in finding.evidence)
    if finding.path:
        named = "Path of the error" if finding.kind == _CASCADE else "Path"
        yield from ("", f"{named}:", "")
        yield from (f"{number}. {_place(trace, span_id)}" for number, span_id in enumerate(finding.path, 1))
    yield ""


def _place(trace: Trace, span_id: bytes) -> str:
    """A span as a reader finds it again: kind, name, agent, id, and its error if it has one."""
    span = trace.spans.get(span_id)
    if span is None or span.is_placeholder:
        return f"span `{span_id.hex()}`"
    by = markdown(trace.span_label(span), 60)
    said = f"{markdown(str(span.kind), 20)} “{markdown(span.name, 80)}”{f' of {by}' if by else ''} `{span_id.hex()}`"
    return f"{said}: {markdown(span.error_text, 200)}" if span.is_error and span.error_text else said


def _instant(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at_ns else ""


MARKDOWN = Markdown()
