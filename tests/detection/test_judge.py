"""Rules of asking all detectors about one trace."""

from collections.abc import Callable, Iterable

import msgspec

from tests.detection.stories import invented
from tests.scenarios import START_NS, Scenario
from trajectory.detection.judge import MAX_FINDINGS_COUNT, MAX_RAISED_COUNT, TraceJudge
from trajectory.graph.trace import Trace
from trajectory.model.fact import Fact, Finding, Found, Heartbeat

FACT = Found(START_NS, Finding("x", "info", 1.0, b"t" * 16, b"s" * 8, "x"))


class Says:
    """A detector that says what it is told to, at every turn."""

    name = "says"

    def __init__(self, say: Callable[[int], Iterable[Finding]]) -> None:
        self._say = say
        self._turn = 0

    def observe(self, fact: Fact, trace: Trace) -> Iterable[Finding]:
        return ()

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        self._turn += 1
        return self._say(self._turn)


class Breaks:
    """A detector that raises, always."""

    name = "breaks"

    def observe(self, fact: Fact, trace: Trace) -> Iterable[Finding]:
        raise ValueError("first line\nsecond line")

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        raise ValueError("first line\nsecond line")


def finding(value: str = "v", severity: str = "warning", path: tuple[bytes, ...] = ()) -> Finding:
    return Finding("k", severity, 0.9, b"scenario-trace-1", b"s" * 8, "m", value=value, path=list(path))


def test_a_finding_says_which_detector_found_it_unless_it_says_so_itself() -> None:
    told = msgspec.structs.replace(finding("w"), detector="a part of it")
    said = judge_of(lambda: Says(lambda turn: [finding(), told])).settle(0)
    assert [f.detector for f in said] == ["says", "a part of it"]


def judge_of(*factories: Callable[[], object]) -> TraceJudge:
    return TraceJudge(Scenario().empty_trace(), factories)  # type: ignore[arg-type]


def test_a_finding_is_said_once() -> None:
    judge = judge_of(lambda: Says(lambda turn: [finding(), finding()]))
    assert len(judge.settle(START_NS)) == 1
    assert judge.settle(START_NS) == []


def test_a_finding_that_grew_is_said_again() -> None:
    judge = judge_of(lambda: Says(lambda turn: [finding(path=(b"a" * 8,) * turn)]))
    assert [len(judge.settle(START_NS)) for _ in range(3)] == [1, 1, 1]


def test_a_finding_carries_the_name_of_its_detector() -> None:
    judge = judge_of(lambda: Says(lambda turn: [finding()]))
    assert [f.detector for f in judge.settle(START_NS)] == ["says"]


def test_what_the_trace_holds_from_before_is_not_said_again() -> None:
    judge = judge_of(lambda: Says(lambda turn: [finding()]))
    known = msgspec.structs.replace(finding(), detector="says")
    judge.trace.findings[known.key] = known
    assert judge.settle(START_NS) == []


def test_a_detector_that_raises_is_counted_silenced_and_harms_no_other() -> None:
    judge = judge_of(Breaks, lambda: Says(lambda turn: [finding(str(turn))]))
    for turn in range(1, MAX_RAISED_COUNT + 3):
        assert [f.value for f in judge.settle(START_NS)] == [str(turn)]
    assert judge.raised == {"breaks": MAX_RAISED_COUNT}
    assert judge.faults == {"breaks": "ValueError: first line"}


def test_what_was_found_before_a_detector_raised_is_kept() -> None:
    def say(turn: int) -> Iterable[Finding]:
        yield finding()
        raise RuntimeError("late")

    judge = judge_of(lambda: Says(say))
    assert len(judge.settle(START_NS)) == 1
    assert judge.raised == {"says": 1}


def test_a_detector_that_cannot_be_made_is_counted() -> None:
    def broken() -> Says:
        raise OSError("no table")

    judge = judge_of(broken, lambda: Says(lambda turn: [finding()]))
    assert judge.raised == {"broken": 1}
    assert len(judge.settle(START_NS)) == 1


def test_beyond_the_bound_findings_are_counted_and_left_out() -> None:
    count = MAX_FINDINGS_COUNT + 7
    told: list[str] = []
    judge = TraceJudge(
        Scenario().empty_trace(),
        [lambda: Says(lambda turn: [finding(str(i)) for i in range(count)])],
        lambda where, fault: told.append(f"{where}: {fault}"),
    )
    assert len(judge.settle(START_NS)) == MAX_FINDINGS_COUNT
    assert judge.left_out_count == 7
    assert told == ["a run's findings: more than 2,000, the others are not told"]


def test_observing_raises_nothing_either() -> None:
    judge = judge_of(Breaks)
    run = invented()
    for fact in run.facts[:5]:
        judge.trace.apply(fact, run.source)
        assert judge.observe(fact) == []
    assert judge.raised == {"breaks": MAX_RAISED_COUNT}


def test_a_detector_that_names_what_it_reads_is_asked_about_nothing_else() -> None:
    asked: list[Fact] = []

    class Reads(Says):
        reads = (Found,)

        def observe(self, fact: Fact, trace: Trace) -> Iterable[Finding]:
            asked.append(fact)
            return [finding()]

    judge = judge_of(lambda: Reads(lambda turn: []))
    assert judge.observe(Heartbeat(START_NS, 0)) == []
    assert [f.kind for f in judge.observe(FACT)] == ["k"]
    assert asked == [FACT]
