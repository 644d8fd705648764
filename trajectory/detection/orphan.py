"""`flow.orphan`: work that was given away and that nobody took up, or whose answer nobody waited for.

Invariant: an answer that came back is proof that somebody worked, whether or not their own facts are here; what only a name that
never told of itself could have taken up, without content to tell by, is not observable. Facts may be late, so a delegation is
judged when its trace is over or when its time, by the facts' clock and by the clock that `settle` is called with, has
passed; what proves to be taken up after all is said again, for information. Called through the seam of `contract`.
"""

from collections.abc import Iterable, Iterator

import msgspec

from trajectory.detection.boundary import label_of
from trajectory.detection.contract import Settling
from trajectory.detection.pace import Pace
from trajectory.detection.reader import reader_of
from trajectory.detection.words import shorten
from trajectory.graph.delegations import Delegation
from trajectory.graph.echoes import told
from trajectory.graph.roster import same_agent
from trajectory.graph.trace import Trace
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import DelegationMode, Grade, Severity, Slot, SpanKind

KIND = "flow.orphan"
LATE_NS = 4_000_000_000  # since nothing of the trace is open: others' facts may be late
ENDED_NS = 5_000_000_000  # since the delegator ended it
OPEN_NS = 30_000_000_000  # since it was sent to an agent of this trace
STRANGE_NS = 120_000_000_000  # since it was sent to one that may work and tell nothing of it
_LEFT_NS = 1_000_000_000  # so much longer than its delegator waits a delegatee may close its span


class Orphans(Settling):
    """The detector of `flow.orphan`."""

    name = KIND

    def __init__(self) -> None:
        self._pace = Pace()
        self._pending: list[Delegation] = []
        self._noticed_ns: dict[bytes, tuple[bool, int]] = {}
        self._told: dict[bytes, Finding] = {}

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """Delegations that are left alone as of `now_ns`."""
        if self._pace.is_due(trace, now_ns):
            self._pending = [d for d in trace.delegations() if _why(d, trace)]
            alone = {d.delegation_id for d in self._pending}
            self._noticed_ns = {i: known for i, known in self._noticed_ns.items() if i in alone}
            for delegation_id in [i for i in self._told if i not in alone]:
                yield _taken_up(self._told.pop(delegation_id))
        for delegation in self._pending:
            why = _why(delegation, trace)
            if why and self._is_over(delegation, now_ns, trace):
                finding = self._told[delegation.delegation_id] = _finding(delegation, why, trace)
                yield finding

    def _is_over(self, delegation: Delegation, now_ns: int, trace: Trace) -> bool:
        if not trace.open_count and now_ns <= trace.last_ns:  # told as over: nothing more is to come
            return True
        has_ended = bool(delegation.span.end_ns)
        key = delegation.delegation_id
        if key not in self._noticed_ns or self._noticed_ns[key][0] != has_ended:
            self._noticed_ns[key] = (has_ended, now_ns)
        grace_ns = _grace_ns(delegation, trace) if trace.open_count else LATE_NS
        since_ns = max(delegation.span.end_ns or delegation.sent_ns, self._noticed_ns[key][1])
        return now_ns - since_ns >= grace_ns


def _grace_ns(delegation: Delegation, trace: Trace) -> int:
    """How long may pass before a delegation of a run that goes on is given up."""
    if delegation.span.end_ns and delegation.mode == DelegationMode.CALL:
        return ENDED_NS
    is_strange = not any(same_agent(i.agent, delegation.target_agent) for i in trace.invocations())
    return STRANGE_NS if is_strange else OPEN_NS


def _why(delegation: Delegation, trace: Trace) -> str:
    """What is wrong with a delegation, if it stays as it is; empty where nothing is."""
    span = delegation.span
    if delegation.target is None:
        if span.kind != SpanKind.DELEGATION or not delegation.target_agent or delegation.returned_digests():
            return ""
        if not span.end_ns:
            return "" if _is_busy(delegation, trace) else "nobody has taken it up"
        if span.is_error:
            return "" if _is_sent_again(delegation, trace) else f"nobody took it up ({shorten(span.error_text, 60)})"
        is_known = bool(span.contents) or any(same_agent(i.agent, delegation.target_agent) for i in trace.invocations())
        return "nobody took it up, and no answer came back" if is_known else ""
    if delegation.mode != DelegationMode.CALL or span is delegation.target_span or not span.end_ns:
        return ""
    if told(span, Slot.RETURNED, Slot.RESULT) or not (span.contents or span.is_error):
        return ""
    target, end_ns = delegation.target_span, delegation.target.end_ns
    if target is None or (end_ns and end_ns <= span.end_ns + _LEFT_NS):
        return ""
    if target.start_ns >= span.end_ns and target.parent is not span:  # told at once, done in its turn
        return ""
    said = f" ({shorten(span.error_text, 60)})" if span.error_text else ""
    return f"its delegator gave up on it{said}" if span.is_error else "its delegator ended first, without an answer"


def _is_busy(delegation: Delegation, trace: Trace) -> bool:
    """Whether the one who is asked is at work on something else: then the work waits for its turn."""
    return any(not i.end_ns and same_agent(i.agent, delegation.target_agent) for i in trace.invocations())


def _is_sent_again(delegation: Delegation, trace: Trace) -> bool:
    """Whether the same agent gave work away later, and somebody took it up: the failure was got over."""
    return any(
        d.source_agent == delegation.source_agent
        and d.sent_ns > delegation.sent_ns
        and (d.target is not None or d.returned_digests())
        and (d.target_agent == delegation.target_agent or d.task_digests() == delegation.task_digests())
        for d in trace.delegations()
    )


def _taken_up(finding: Finding) -> Finding:
    message = f"Taken up after all, but late. Until then: {finding.message}"
    return msgspec.structs.replace(finding, severity=Severity.INFO, message=message)


def _finding(delegation: Delegation, why: str, trace: Trace) -> Finding:
    source, target = label_of(delegation, trace)
    span = delegation.span
    reader = reader_of(trace)
    task = next((shorten(text, 100) for d in delegation.task_digests() if (text := reader.text(d))), "")
    what = f"“{task}”" if task else "work"
    target_span = delegation.target_span
    is_cut = delegation.grade != Grade.OBSERVED and delegation is trace.delegations()[-1]  # a log may end too soon
    path = [span.span_id] if target_span is None else [span.span_id, target_span.span_id]
    return Finding(
        kind=KIND,
        severity=Severity.INFO if is_cut else Severity.WARNING,
        confidence=0.5 if is_cut else 0.8,
        trace_id=trace.trace_id,
        span_id=span.span_id,
        message=f"{source} gave {target} {what}: {why}",
        agent=delegation.target_agent,
        peer_agent=delegation.source_agent,
        value=delegation.target_agent,
        root_span_id=span.span_id,
        path=path,
        evidence=list(_evidence(delegation, why, task)),
        grade=str(delegation.grade),
        at_ns=span.end_ns or delegation.sent_ns,
    )


def _evidence(delegation: Delegation, why: str, task: str) -> Iterator[Evidence]:
    yield Evidence(delegation.delegation_id, task or why)
    target = delegation.target_span
    if target is not None:
        yield Evidence(
            target.span_id, "had not ended by then" if target.is_open else "worked on after its delegator had ended"
        )
