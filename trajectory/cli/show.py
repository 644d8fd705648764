"""`trajectory show`: one trace on a page, or as one JSON object."""

import argparse
import time
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from trajectory.cli.output import bold, columns, count, duration, has_unicode, json_line, legend, plural
from trajectory.cli.places import add_json, add_store, add_trace, is_served, open_store, open_trace
from trajectory.model.words import SYNTHETIC_TIME, Severity
from trajectory.view.text import clean
from trajectory.view.undelegated import undelegated

if TYPE_CHECKING:
    from trajectory.collector.folded import FoldedTrace
    from trajectory.collector.rows import TraceRows
    from trajectory.graph.invocation import Usage
    from trajectory.graph.runs import Run
    from trajectory.graph.trace import Trace
    from trajectory.view.rows import SpanRow

_SHOWN_SPANS = 60
_KIND_SIGN = {"agent": "▸", "model": "█", "tool": "▓", "retrieval": "▓", "delegation": "⇢", "other": "·"}
_STATUS_SIGN = {"error": "✗", "running": "●", "cut_off": "⊘"}
_MARKS = {"root": " ◆ root", "carried": " ◇ carried on"}
_ASCII = str.maketrans("▸█▓⇢·✓✗●⊘◆◇…", ">#=~.+x*/@%~")  # as the dashboard has them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_trace(parser)
    parser.add_argument("--spans", action="store_true", help=f"print every span (default: the first {_SHOWN_SPANS})")
    add_store(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from trajectory.collector.at_rest import hear, stored_run

    with closing(open_store(args.store)) as reader:
        folded, is_live = open_trace(reader, args.trace), is_served(args.store)
        if is_live:
            hear(reader, folded)
        rows = rows_of(folded, is_live=is_live)
        run, traces = stored_run(reader, rows)
        if args.json:
            print(json_line(trace_json(rows) | run_json(rows.trace, run, traces)))
        else:
            print("\n".join(page(rows, run_lines(rows.trace, run, traces), every_span=args.spans)))
    return 0


def rows_of(folded: "FoldedTrace", *, is_live: bool) -> "TraceRows":
    """`is_live`: its store is being served, so what is open may yet go on."""
    from trajectory.collector.rows import TraceRows

    return TraceRows(folded, time.time_ns() if is_live else folded.trace.last_ns, is_live)


def trace_json(rows: "TraceRows") -> dict[str, Any]:
    """The trace as one object; the keys that `findings.md` fixes, and spans and findings beside them."""
    from trajectory.collector.spans import span_rows
    from trajectory.graph.echoes import is_failed
    from trajectory.graph.runs import alone, delegations_of
    from trajectory.protocol.codec import finding_json

    trace = rows.trace
    usage = trace.usage()
    return {
        "trace_id": trace.trace_id.hex(),
        "session_id": trace.session_id or None,
        "title": rows.trace_row().title,
        "service": trace.service,
        "status": rows.state(),
        "started_unix_nano": trace.first_ns,
        "ended_unix_nano": trace.last_ns,
        "agents": _agents(trace.agents()),
        "delegations": _delegations(delegations_of([trace], alone(trace.trace_id))),
        "effectiveness": _effectiveness(trace),
        "tools": [
            {"name": name, "calls": len(calls), "errors": sum(map(is_failed, calls)), "failures": _failures(trace, calls)}
            for name, calls in trace.tools().items()
        ],
        "model_calls": usage.model_calls,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "errors": len(trace.root_errors()),
        "root_errors": [
            {"span_id": s.span_id.hex(), "agent": s.agent_name, "name": s.name, "type": s.error_type, "message": s.error_text}
            for s in trace.root_errors()
        ],
        "findings": [finding_json(f) for f in sorted(trace.findings.values(), key=lambda f: (f.at_ns, f.key))],
        "not_observable": _not_observable(trace),
        "spans": [
            {
                "span_id": row.span_id, "parent_id": row.parent_id or None, "kind": row.kind, "name": row.name,
                "agent": row.label, "status": row.status, "start_unix_nano": row.start_ns,
                "end_unix_nano": row.end_ns or None, "tokens": row.tokens,
            }
            for row in span_rows(rows)
        ],
    }  # fmt: skip


def run_json(trace: "Trace", run: "Run", traces: list["Trace"]) -> dict[str, Any]:
    """What joins a trace to others, and the run that they are, each of its traces counted once: None where it is alone."""
    from trajectory.graph.runs import agents_of, delegations_of

    joined = [
        {
            "trace_id": (j.effect if j.cause == trace.trace_id else j.cause).hex(),
            "is": "effect" if j.cause == trace.trace_id else "cause",
            "grade": str(j.grade), "reason": j.reason, "span_id": j.span_id.hex() or None,
            "to_span_id": j.to_span_id.hex() or None, "source": j.agent, "target": j.to_agent,
        }
        for j in run.of(trace.trace_id)
    ]  # fmt: skip
    if len(traces) == 1:
        return {"joined": joined, "run": None}
    usages = [t.usage() for t in traces]
    return {
        "joined": joined,
        "run": {
            "trace_ids": [t.hex() for t in run.trace_ids],
            "agents": _agents(agents_of(traces, run)),
            "delegations": _delegations(delegations_of(traces, run)),
            "model_calls": sum(u.model_calls for u in usages),
            "input_tokens": sum(u.input_tokens for u in usages),
            "output_tokens": sum(u.output_tokens for u in usages),
            "errors": sum(len(t.root_errors()) for t in traces),
        },
    }


def _agents(agents: "dict[str, Usage]") -> list[dict[str, Any]]:
    fields = ("spans", "model_calls", "tool_calls", "input_tokens", "output_tokens", "errors")
    return [{"name": name, **{f: getattr(usage, f) for f in fields}} for name, usage in agents.items()]


def _delegations(counted: dict[tuple[str, str, str, str], int]) -> list[dict[str, Any]]:
    """Delegations between two agents, in one mode and known in one way, counted."""
    names = ("source", "target", "mode", "grade")
    return [{**dict(zip(names, key, strict=True)), "count": number} for key, number in counted.items()]


def _effectiveness(trace: "Trace") -> dict[str, Any]:
    """How well work was handed over, between two agents and for each agent; null where it is not known, which is not 0."""
    from trajectory.detection.effectiveness import Figures, effectiveness_of

    def said(figures: Figures | None) -> dict[str, Any] | None:
        return None if figures is None else {name: getattr(figures, name) for name in figures.__struct_fields__}

    known = effectiveness_of(trace)
    names = ("source", "target", "mode", "grade")
    return {
        "edges": [{**dict(zip(names, key, strict=True)), **(said(f) or {})} for key, f in known.edges()],
        "agents": [{"name": a.agent, "gave": said(a.gave), "took": said(a.took)} for a in known.agents()],
    }


def _failures(trace: "Trace", calls: list[Any]) -> int:
    """Calls whose result says failure though their span does not."""
    ids = {call.span_id for call in calls}
    return len({f.span_id for f in trace.findings.values() if f.kind == "tool.silent_failure" and f.span_id in ids})


def _not_observable(trace: "Trace") -> list[dict[str, str]]:
    """The checks that could not be made, and why: never the same as passed."""
    from trajectory.detection.boundary import observability

    return [
        {"check": check, "span_id": span_id.hex(), "reason": reason} for check, span_id, reason in observability(trace)
    ]


def _unseen(trace: "Trace") -> list[str]:
    """The same in a line: each reason, with how many delegations it holds for."""
    whose: dict[str, set[str]] = {}
    for one in _not_observable(trace):
        whose.setdefault(one["reason"], set()).add(one["span_id"])
    if not whose:
        return []
    of = len(trace.delegations())
    told = [clean(reason) + (f" ({len(ids)} of {of} delegations)" if of > 1 else "") for reason, ids in whose.items()]
    return [f"  not observable: {'; '.join(told)}"]


def page(rows: "TraceRows", of_run: Sequence[str] = (), *, every_span: bool) -> list[str]:
    """The trace for reading; `of_run` says what it is a part of."""
    from trajectory.cli import findings
    from trajectory.collector.spans import span_rows
    from trajectory.graph.echoes import is_failed

    trace = rows.trace
    row = rows.trace_row()
    numbers = [
        row.state.replace("_", " "), duration(row.ended_ns - row.started_ns), plural(row.agents, "agent"),
        plural(row.delegations, "delegation"), plural(row.steps, "step"), plural(row.errors, "error"),
        f"{count(row.input_tokens)} + {count(row.output_tokens)} tokens",
    ]  # fmt: skip
    lines = [bold(clean(row.title or row.trace_id)), f"trace {row.trace_id}   " + "   ".join(numbers)]
    lines += [f"session {clean(row.session_id)}"] if row.session_id else []
    lines += [f"goal: {row.goal}"] if row.goal and row.goal != row.title else []
    root = trace.root
    if root is not None and root.attributes.get(SYNTHETIC_TIME):
        lines += ["times: the log has none; each step is drawn as one second"]
    lines += of_run
    lines += ["", bold("Agents"), *_indented(_agent_table(trace))]
    lines += ["", bold("Delegations"), *_indented(_delegation_table(rows))]
    if trace.tools():
        calls = [(n, len(c), sum(map(is_failed, c)), _failures(trace, c)) for n, c in trace.tools().items()]
        lines += ["", bold("Tools"), *_indented(columns(("TOOL", "CALLS", "ERRORS", "SAID FAILURE"), calls))]
    lines += ["", bold("Findings")]
    ordered = sorted(trace.findings.values(), key=lambda f: (-Severity(f.severity).rank, f.at_ns, f.key))
    lines += _indented([line for f in ordered for line in findings.lines(f)]) or ["  none"]
    lines += _unseen(trace)
    spans = span_rows(rows)
    shown = spans if every_span else spans[:_SHOWN_SPANS]
    lines += ["", bold("Spans"), *_indented([_span_line(span) for span in shown])]
    if len(shown) < len(spans):
        lines.append(_in_signs(f"  … {len(spans) - len(shown)} more: --spans prints all"))
    kinds = {span.kind for span in shown} - {"other"}
    return lines + legend(
        (f.severity for f in ordered), [_in_signs(f"{_KIND_SIGN[kind]} {kind}") for kind in _KIND_SIGN if kind in kinds]
    )


def run_lines(trace: "Trace", run: "Run", traces: list["Trace"]) -> list[str]:
    """The run of several traces that a trace is a part of: what all count, and what joins this one to its neighbours."""
    from trajectory.graph.runs import agents_of, delegations_of

    if not run.joints:
        return []
    lines = ["", bold("Run")]
    if len(traces) > 1:
        usages = [t.usage() for t in traces]
        tokens = (sum(u.input_tokens for u in usages), sum(u.output_tokens for u in usages))
        numbers = [
            plural(len(traces), "trace"), plural(len(agents_of(traces, run)), "agent"),
            plural(sum(delegations_of(traces, run).values()), "delegation"), plural(sum(u.spans for u in usages), "step"),
            f"{count(tokens[0])} + {count(tokens[1])} tokens",
        ]  # fmt: skip
        lines += [f"  {'   '.join(numbers)}", f"  begins with {run.root.hex()[:12]}"]
    for joint in run.of(trace.trace_id):
        is_cause = joint.cause == trace.trace_id
        other, way = (joint.effect, "caused") if is_cause else (joint.cause, "caused by")
        between = clean(f" ({joint.agent} ⇢ {joint.to_agent})") if joint.agent and joint.to_agent else ""
        lines.append(f"  {way} {other.hex()[:12]}{between}   {joint.grade}: {clean(joint.reason)}")
    return lines


def _agent_table(trace: "Trace") -> list[str]:
    headers = ("AGENT", "SPANS", "MODEL CALLS", "TOOL CALLS", "TOKENS IN", "OUT", "ERRORS")
    return columns(
        headers,
        [
            (n, u.spans, u.model_calls, u.tool_calls, u.input_tokens, u.output_tokens, u.errors)
            for n, u in trace.agents().items()
        ],
    )


def _delegation_table(rows: Any) -> list[str]:
    found = rows.delegation_rows()
    if not found:
        return [undelegated(rows.trace_row().agents)]
    from trajectory.detection.effectiveness import MAX_DELEGATIONS_COUNT, effectiveness_of

    known, delegations = effectiveness_of(rows.trace), rows.trace.delegations()
    sums = [known.of(d) for d in delegations[:MAX_DELEGATIONS_COUNT]]
    headers = ("FROM", "TO", "MODE", "GRADE", "STATE", "TOOK", "SENT", "USED", "LOST", "TASK")
    return columns(
        headers,
        [
            (d.source or "?", d.target or "?", d.mode, d.grade, d.state,
             duration(d.returned_ns - d.sent_ns if d.returned_ns else 0), *(_shares(sums[n]) if n < len(sums) else ("?", "?")),
             ", ".join(d.lost) or "·", d.task[:60])
            for n, d in enumerate(found)
        ],
    )  # fmt: skip


def _shares(figures: Any) -> tuple[str, str]:
    """Of what was needed how much arrived, and of what came back how much was used later; `?` where it is not known."""
    pairs = ((figures.arrived, figures.needed), (figures.used, figures.returned))
    return tuple("/".join("?" if n is None else str(n) for n in pair) for pair in pairs)  # type: ignore[return-value]


def _span_line(row: "SpanRow") -> str:
    status, mark = _STATUS_SIGN.get(row.status, "✓"), _MARKS.get(row.mark, "")
    took = duration(row.end_ns - row.start_ns) if row.end_ns else "open"
    sign = _in_signs(_KIND_SIGN.get(row.kind, "·"))
    text = f"  {row.text[:80]}" if row.text else ""
    return f"{row.span_id[:8]} {'  ' * row.depth}{sign} {row.name} {_in_signs(status)} {took}{_in_signs(mark)}{text}"


def _in_signs(text: str) -> str:
    """Text of ours in signs that standard output can show."""
    return text if has_unicode() else text.translate(_ASCII)


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]
