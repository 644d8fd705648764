"""Asking detectors about a scenario, as the collector does: each fact observed, settling every so often, once at the end."""

from collections.abc import Iterable, Sequence

from tests.scenarios import Scenario
from trajectory.detection.contract import DetectorFactory
from trajectory.detection.judge import TraceJudge
from trajectory.graph.trace import Trace
from trajectory.model.fact import Fact, Finding, Payload
from trajectory.model.words import Severity


def judged(
    run: Scenario,
    factories: Sequence[DetectorFactory],
    facts: Iterable[Fact] | None = None,
    settle_every: int = 1,
) -> tuple[Trace, list[Finding]]:
    """The trace, and every finding that was said, in order, repeated where it grew. Payloads are at hand from the start."""
    trace = run.empty_trace()
    judge = TraceJudge(trace, factories)
    said: list[Finding] = []
    for count, fact in enumerate(run.facts if facts is None else facts, 1):
        if isinstance(fact, Payload):
            continue
        trace.apply(fact, run.source)
        said += judge.observe(fact)
        if count % settle_every == 0:
            said += judge.settle(trace.last_ns)
    said += judge.settle(trace.last_ns)
    assert judge.raised == {}, judge.faults
    return trace, said


def last(findings: Iterable[Finding]) -> list[Finding]:
    """Each finding as it last stood, by key."""
    return sorted({f.key: f for f in findings}.values(), key=lambda f: f.key)


def loud(findings: Iterable[Finding]) -> list[Finding]:
    """Those that interrupt an operator, as they last stood."""
    return [f for f in last(findings) if f.severity != Severity.INFO]
