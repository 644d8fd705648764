"""Asking detectors about a scenario, as the collector does: each fact observed, settling every so often, once at the end."""

import sys
from collections.abc import Callable, Iterable, Sequence
from types import FrameType

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


def calls_of(work: Callable[[], object], room: str = "detection") -> int:
    """How many functions of a room of ours were called."""
    count = 0

    def note(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        count += event == "call" and f"/{room}/" in frame.f_code.co_filename

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def calls_to_judge(run: Scenario, factory: DetectorFactory, settle_every: int) -> int:
    """How many of our functions a detector calls over a run whose trace is whole from the start, settled every so many facts."""
    trace = run.trace()
    judge = TraceJudge(trace, [factory])

    def work() -> None:
        for at, fact in enumerate(run.facts):
            judge.observe(fact)
            if at % settle_every == 0:
                judge.settle(trace.last_ns)
        judge.settle(trace.last_ns)

    count = calls_of(work)
    assert judge.raised == {}, judge.faults
    return count
