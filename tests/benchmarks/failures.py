"""Judges every shared capture and conversation with every detector and compares the findings with what is known to be true.

Invariant: the expected side comes from the manifests alone; conversations have no findings in them, so for runs that passed
every cascade and every alert on the flow of work is a false alarm, and for the rest figures are only reported.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.benchmarks import Row, shared_data
from tests.benchmarks.captures import requests_of
from trajectory.detection.contract import registered_detectors
from trajectory.detection.judge import TraceJudge
from trajectory.dialects.sniff import read_file
from trajectory.graph.trace import Trace
from trajectory.model.fact import Batch, Finding, Payload, trace_of
from trajectory.model.words import Severity

NAME = "failures"
GOAL = (
    "root and path of every failure, every lost constraint, no alarm on a good run; 5 in 100 passed runs with a cascade"
)
DETECTORS = registered_detectors()
FLOW = ("flow.loop", "flow.duplicate", "flow.orphan", "flow.deadlock", "flow.stalled", "plan.deviation")
FALSE_ALARM_RATIO = 0.05

Judged = tuple[Trace, list[Finding]]


def run() -> list[Row]:
    """One row for each expectation of each capture; one for each kind over each set of conversations."""
    rows: list[Row] = []
    for manifest in sorted(shared_data("otlp").glob("*/manifest.json")):
        rows += _capture(manifest.parent, json.loads(manifest.read_text()))
    for name in ("agentrx_tau", "tau_airline", "who_and_when", "bioagent"):
        rows += _conversations(name, shared_data(name) / "dev.jsonl")
    return rows


def judged(batches: Iterable[Batch]) -> list[Judged]:
    """Each trace with its findings as they last stood, judged batch by batch as a live run would be."""
    bodies: dict[bytes, tuple[str, bytes]] = {}
    judges: dict[bytes, TraceJudge] = {}
    found: dict[bytes, dict[str, Finding]] = {}
    for batch in batches:
        for fact in batch.facts:
            if isinstance(fact, Payload):
                bodies[fact.digest] = (fact.media_type, fact.body)
            elif trace_id := trace_of(fact):
                if trace_id not in judges:
                    judges[trace_id] = TraceJudge(Trace(trace_id, bodies.get), DETECTORS)
                    found[trace_id] = {}
                judges[trace_id].trace.apply(fact, batch.source)
                found[trace_id].update((f.key, f) for f in judges[trace_id].observe(fact))
        for trace_id, judge in judges.items():
            found[trace_id].update((f.key, f) for f in judge.settle(judge.trace.last_ns))
    for judge in judges.values():
        if judge.faults:
            raise RuntimeError(f"a detector raised: {judge.faults}")
    return [(judges[trace_id].trace, list(findings.values())) for trace_id, findings in found.items()]


def _capture(folder: Path, manifest: dict[str, Any]) -> list[Row]:
    expected = manifest["expected"]
    results = judged(requests_of(folder))
    loud = [(t, f) for t, findings in results for f in findings if f.severity != Severity.INFO]
    facts: list[tuple[str, Any, Any]] = []
    root = expected["root_error"]
    if root is None and not expected.get("lost_constraint"):
        facts.append(("alarms", sorted({f.kind for _, f in loud}), []))
    if root is not None:
        place = [root["agent"], root["tool"]]
        facts.append(("cascade root", [_place(t, f) for t, f in loud if f.kind == "cascade"], [place]))
        silent = [_place(t, f) for t, f in loud if f.kind == "tool.silent_failure"]
        facts.append(("silent failure", silent, [place] if root["kind"] == "tool-error-string" else []))
        later = {(e["agent"], e["tool"]) for e in expected["later_errors"]}
        on_path = {_at(t, span_id) for t, f in loud if f.kind == "cascade" for span_id in f.path}
        facts.append(("path holds later errors", sorted(later & on_path), sorted(later)))
    lost = expected.get("lost_constraint")
    if lost:
        told = [[f.peer_agent, f.agent, f.value in lost["constraint"]] for _, f in loud if f.kind == "context.lost"]
        facts.append(("lost constraint", told, [[lost["from"], lost["to"], True]]))
    else:
        facts.append(("no constraint lost", [f.value for _, f in loud if f.kind.startswith("context.")], []))
    return [Row(folder.name, figure, str(got), str(goal), got == goal) for figure, got, goal in facts]


def _place(trace: Trace, finding: Finding) -> list[str]:
    return list(_at(trace, finding.root_span_id))


def _at(trace: Trace, span_id: bytes) -> tuple[str, str]:
    span = trace.spans[span_id]
    return span.agent_name, span.name


def _conversations(name: str, path: Path) -> list[Row]:
    """How many runs have a finding of each kind and severity, by outcome."""
    runs: Counter[str] = Counter()
    alarmed: dict[str, Counter[str]] = {}
    alerts: dict[str, Counter[str]] = {}  # by outcome and kind, at warning and above
    for line in path.read_text().splitlines():
        outcome = json.loads(line)["outcome"]
        findings = [f for _, found in judged(read_file(line.encode(), path.name, "chat").batches) for f in found]
        runs[outcome] += 1
        alarmed.setdefault(outcome, Counter()).update({f"{f.kind} {f.severity}" for f in findings})
        alerts.setdefault(outcome, Counter()).update(f.kind for f in findings if f.severity != Severity.INFO)
    rows: list[Row] = []
    for outcome, counts in sorted(alarmed.items()):
        case = f"{name} {outcome}, {runs[outcome]} runs"
        cascades = sum(n for kind, n in counts.items() if kind.startswith("cascade") and not kind.endswith("info"))
        goal, is_good = "", None
        if outcome == "pass":
            goal = f"at most {FALSE_ALARM_RATIO:.0%}"
            is_good = cascades <= FALSE_ALARM_RATIO * runs[outcome]
        rows.append(Row(case, "runs with a cascade", str(cascades), goal, is_good))
        rows += [Row(case, f"runs with {kind}", str(n), "", None) for kind, n in sorted(counts.items()) if n]
        rows += _per_run(case, alerts[outcome], runs[outcome], outcome == "pass")
    return rows


def _per_run(case: str, alerts: Counter[str], count: int, is_good_run: bool) -> list[Row]:
    """Alerts a run that interrupt an operator; those of the flow of work, of which a run that passed has none, one by one."""
    rows = [Row(case, "alerts a run, all kinds", f"{alerts.total() / count:.2f}", "", None)]
    for kind in FLOW:
        goal, is_good = ("0.00", not alerts[kind]) if is_good_run else ("", None)
        rows.append(Row(case, f"alerts a run, {kind}", f"{alerts[kind] / count:.2f}", goal, is_good))
    return rows
