"""The alerts of a trace as rows: what went wrong, the way that it took from agent to agent, and how far it came.

Invariant: pure; a path's steps are spans that exist, in the finding's order, and what is not known is said so. What a detector
says beyond the finding's fields (its attributes) is taken where it has the expected shape. Findings come without secrets from the
judge; what else is quoted is masked here. Called by whoever makes views.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from trajectory.alerting.alerts import Alert
from trajectory.collector.rows import TraceRows
from trajectory.collector.wording import PREVIEW_CHARS, name_of
from trajectory.detection.cascade_wording import MAX_CARRIERS_COUNT
from trajectory.detection.masking import masked
from trajectory.detection.series import series_of
from trajectory.graph.delegations import Delegation
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation
from trajectory.model.fact import Finding
from trajectory.model.words import Severity, SpanKind
from trajectory.view.rows import AlertRow, EvidenceRow, PathStep
from trajectory.view.text import clean

_FOLLOWED = "cascade"  # the kind whose faults are followed to their end
_MAX_BESIDE_COUNT = 20
_MAX_RELATED_COUNT = 20


def alert_rows(rows: TraceRows) -> list[AlertRow]:
    """The alerts: those that wait for somebody first, then by severity, then by age."""
    rank = {str(severity): severity.rank for severity in Severity}
    ordered = sorted(rows.alerts, key=lambda a: (a.state != "open", -rank.get(a.severity, 0), a.opened_ns))
    return _AlertRows(rows).of(ordered)


class _AlertRows:
    """Makes the rows of all alerts of one trace; delegations and what alerts have in common are looked up once."""

    def __init__(self, rows: TraceRows) -> None:
        self._rows = rows
        self._trace = rows.trace
        self._between: dict[tuple[int, int], Delegation] = {}
        self._sent: dict[bytes, Delegation] = {}
        self._got: dict[tuple[int, str], list[Delegation]] = {}  # by who got it, and by the name of who gave it
        self._gave: dict[tuple[int, str], list[Delegation]] = {}  # by who gave it, and by the name of who got it
        for delegation in self._trace.delegations():
            self._sent[delegation.delegation_id] = delegation
            if delegation.target is not None:
                self._got.setdefault((id(delegation.target), delegation.source_agent), []).append(delegation)
            if delegation.source is not None:
                self._gave.setdefault((id(delegation.source), delegation.target_agent), []).append(delegation)
            if delegation.source is not None and delegation.target is not None:
                self._between.setdefault((id(delegation.source), id(delegation.target)), delegation)
        self._naming: dict[bytes, list[str]] = {}
        for alert in rows.alerts:
            for span_id in dict.fromkeys(s for f in alert.findings for s in _named(f)):
                self._naming.setdefault(span_id, []).append(alert.key)

    def of(self, alerts: Iterable[Alert]) -> list[AlertRow]:
        return [self._row(alert) for alert in alerts]

    def _row(self, alert: Alert) -> AlertRow:
        chief, told = alert.chief, alert.chief.attributes
        of, series = series_of(chief)
        evidence = [EvidenceRow(e.span_id.hex(), clean(e.text)) for f in alert.findings for e in f.evidence]
        path = [self._trace.spans[s] for s in chief.path if s in self._trace.spans]
        steps = self._steps(path, alert)
        affected = self._affected(path, told) if path else []
        ending = self._ending(path, told, chief)
        return AlertRow(
            key=alert.key,
            alert_id=alert.alert_id,
            trace_id=self._trace.trace_id.hex(),
            severity=clean(str(chief.severity)),
            kind=clean(chief.kind),
            state=alert.state,
            opened_ns=alert.opened_ns,
            summary=self._summary(chief, alert.values),
            message="; ".join(dict.fromkeys(clean(f.message) for f in alert.findings)),
            confidence=chief.confidence,
            agent=clean(chief.agent),
            peer_agent=clean(chief.peer_agent),
            value=", ".join(clean(v) for v in alert.values),
            grade=clean(str(chief.grade)),
            span_id=chief.span_id.hex(),
            root_span_id=(chief.root_span_id or chief.span_id).hex(),
            count=len(alert.findings),
            path=steps,
            evidence=list(dict.fromkeys(evidence)),
            ending=ending,
            affected_spans=_count(told, len(affected)) if path else 0,
            affected_agents=list(dict.fromkeys(self._label(s) for s in affected if s.owner is not None)),
            beside=self._beside(path, affected, told) if path else [],
            related=self._related(alert, path, steps),
            unknown=self._unknown(steps, ending, chief),
            muted_by=clean(alert.mark.alert_key) if alert.mark is not None and alert.state == "muted" else "",
            muted_until_ns=alert.mark.until_ns if alert.mark is not None and alert.state == "muted" else 0,
            of=clean(of),
            series=clean(series),
            service=clean(self._trace.service),
        )

    def _label(self, span: Span) -> str:
        return clean(self._trace.span_label(span))

    def _summary(self, chief: Finding, values: list[str]) -> str:
        """One line: who, and what, as short as a list can show."""
        labels, carried = self._path_labels(chief), self._carried(chief)
        if chief.kind == _FOLLOWED and (len(labels) > 1 or carried):
            return " ▸ ".join(labels) + carried
        span = self._trace.spans.get(chief.span_id)
        who = self._trace.span_label(span) if span is not None else chief.agent
        where = " ⇢ ".join(self._ends(span, who, chief.peer_agent)) if chief.peer_agent else who
        what = ", ".join(value for value in values if value != chief.agent) or chief.message
        if chief.peer_agent:
            what = f"{chief.kind.partition('.')[2]} {what}"
        elif span is not None and span.kind != SpanKind.AGENT:
            what = f"{name_of(span)}: {what}"
        return clean(f"{where}  {what}")

    def _carried(self, chief: Finding) -> str:
        """How many had the value in hand beside those on the path: the message names them, a line has no room to."""
        on_path = set(chief.path)
        count = sum(s.span_id not in on_path for s in self._spans(chief.attributes.get("carriers")))
        return f" +{count} {'or more' if count >= MAX_CARRIERS_COUNT else 'more'}" if count else ""

    def _ends(self, span: Span | None, who: str, peer: str) -> tuple[str, str]:
        """Who gave and who got, each with its number where one delegation tells it; else as the finding names them."""
        owner = id(span.owner) if span is not None and span.owner is not None else 0
        sent = self._sent.get(span.span_id) if span is not None else None
        got, gave = self._got.get((owner, peer), []), self._gave.get((owner, peer), [])
        if sent is not None and peer in (sent.source_agent, sent.target_agent):
            return self._end(sent.source, sent.source_agent), self._end(sent.target, sent.target_agent)
        if len(got) == 1:
            return self._end(got[0].source, peer), who
        if not got and gave:
            return who, self._end(gave[0].target, peer) if len(gave) == 1 else peer
        return peer, who

    def _end(self, invocation: Invocation | None, name: str) -> str:
        span = invocation.span if invocation is not None else None
        return self._trace.span_label(span) if span is not None else name

    def _path_labels(self, finding: Finding) -> list[str]:
        labels = [self._trace.span_label(self._trace.spans[s]) for s in finding.path if s in self._trace.spans]
        return [clean(label) for n, label in enumerate(labels) if label and (n == 0 or labels[n - 1] != label)]

    # --- the path ---------------------------------------------------------------------------------------------------

    def _steps(self, path: list[Span], alert: Alert) -> list[PathStep]:
        quotes: dict[bytes, list[str]] = {}
        for span_id, text in dict.fromkeys(
            (e.span_id, e.text[:PREVIEW_CHARS]) for f in alert.findings for e in f.evidence
        ):
            quotes.setdefault(span_id, []).append(text)
        steps: list[PathStep] = []
        before: Invocation | None = None
        for number, span in enumerate(path):
            way, delegation_id = self._way(before, span) if before is not None else ("", "")
            steps.append(
                self._step(span, " · ".join(quotes.get(span.span_id, [])[:3]), number == 0, way, delegation_id)
            )
            before = span.owner or before
        return steps

    def _step(self, span: Span, quote: str, is_root: bool, way: str = "", delegation_id: str = "") -> PathStep:
        shows_late = (span.kind == SpanKind.AGENT and way != "task") or (span.is_error and not is_root)
        return PathStep(
            span_id=span.span_id.hex(),
            label=self._label(span),
            name=name_of(span),
            at_ns=(span.end_ns if shows_late else 0) or span.start_ns,
            text=clean(quote) if quote else masked(self._rows.outcome(span)),
            kind=clean(str(span.kind)),
            status=self._rows.status(span),
            way=way,
            delegation_id=delegation_id,
        )

    def _way(self, before: Invocation, span: Span) -> tuple[str, str]:
        """How a fault came from an agent to a span, and the delegation that it crossed."""
        after = span.owner
        if after is None or after is before:
            return "", ""
        given = self._between.get((id(before), id(after)))
        if given is not None:
            return "task", given.own_id.hex()
        returned = self._between.get((id(after), id(before)))
        if returned is not None:
            return "error" if span.is_error else "answer", returned.own_id.hex()
        return "words", ""

    # --- how far it came --------------------------------------------------------------------------------------------

    def _affected(self, path: list[Span], told: dict[str, Any]) -> list[Span]:
        return list(dict.fromkeys([*path, *self._spans(told.get("affected_spans"))]))

    def _spans(self, named: object) -> list[Span]:
        """The spans that a finding's attribute names, where it is such a list."""
        found = (self._span(text) for text in named) if isinstance(named, list) else ()
        return [span for span in found if span is not None]

    def _span(self, text: object) -> Span | None:
        try:
            return self._trace.spans.get(bytes.fromhex(text)) if isinstance(text, str) else None
        except ValueError:
            return None

    def _beside(self, path: list[Span], affected: list[Span], told: dict[str, Any]) -> list[PathStep]:
        """Carriers first, then the others."""
        on_path = set(map(id, path))
        carriers = [span for span in self._spans(told.get("carriers")) if id(span) not in on_path]
        carried = set(map(id, carriers))
        beside = [span for span in dict.fromkeys([*carriers, *affected]) if id(span) not in on_path]
        ways = ((span, "carried" if id(span) in carried else "") for span in beside[:_MAX_BESIDE_COUNT])
        return [self._step(span, "", is_root=False, way=way) for span, way in ways]

    def _ending(self, path: list[Span], told: dict[str, Any], chief: Finding) -> str:
        if not path or (chief.kind != _FOLLOWED and "reached_answer" not in told):
            return ""
        if told.get("reached_answer", chief.severity == Severity.CRITICAL) is True:
            return "run" if path[-1].is_error else "answer"
        return "open" if self._rows.state() == "live" else "stopped"

    def _related(self, alert: Alert, path: list[Span], steps: list[PathStep]) -> list[str]:
        """Keys of the alerts that name a span of the path, an agent on it, or a delegation that it crossed."""
        on_way = [alert.chief.span_id, *(span.span_id for span in path)]
        on_way += [span.owner.span_id for span in path if span.owner is not None]
        on_way += [bytes.fromhex(step.delegation_id) for step in steps if step.delegation_id]
        keys = (key for span_id in dict.fromkeys(on_way) for key in self._naming.get(span_id, ()))
        return [key for key in dict.fromkeys(keys) if key != alert.key][:_MAX_RELATED_COUNT]

    def _unknown(self, steps: list[PathStep], ending: str, chief: Finding) -> list[str]:
        """What the finding does not show, though somebody who reads it may take it to."""
        found = []
        if steps and not ending:
            found.append("how far it came from there: only cascades are followed")
        if ending == "open":
            found.append("whether it reaches the answer: the run goes on")
        if chief.grade == "inferred":
            found.append("that it was passed on: the same value came up again, and nothing else says so")
        for before, step in pairwise(steps):
            if step.way == "words":
                found.append(f"how it came to {step.label}: no delegation from {before.label} is known")
        silent = sum(1 for step in steps if not step.text)
        if silent:
            found.append(f"what {silent} of {len(steps)} steps said: no content was recorded there")
        return list(dict.fromkeys(found))


def _named(finding: Finding) -> Iterable[bytes]:
    """Every span that a finding points to."""
    return (finding.span_id, finding.root_span_id, *finding.path, *(e.span_id for e in finding.evidence))


def _count(told: dict[str, Any], least: int) -> int:
    count = told.get("affected_count")
    return max(count, least) if isinstance(count, int) else least
