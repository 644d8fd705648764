"""Rules of `flow.orphan`. The scenario's clock is the only one."""

from collections.abc import Callable

import pytest

from tests.detection.asking import judged, last, loud
from tests.detection.stories import HOTELS, REQUEST, trip
from tests.scenarios import Scenario
from trajectory.detection.judge import TraceJudge
from trajectory.detection.orphan import ENDED_NS, LATE_NS, STRANGE_NS, Orphans
from trajectory.model.fact import Finding, Payload
from trajectory.model.words import DELEGATION_GRADE, DELEGATION_MODE, DELEGATION_TARGET, SpanKind

TASK = "Get a quote for hotel H7."


def given(
    run: Scenario, to: str = "booker", error: tuple[str, str] | None = None, mode: str = "call", grade: str = "observed"
) -> bytes:
    """Work that nobody takes up, sent and ended."""
    sent = left_open(run, to, mode, grade)
    run.ends(sent, error=error)
    return sent


def left_open(run: Scenario, to: str = "booker", mode: str = "call", grade: str = "observed") -> bytes:
    attributes = {DELEGATION_TARGET: to, DELEGATION_MODE: mode, DELEGATION_GRADE: grade}
    return run.opens(SpanKind.DELEGATION, f"delegate {to}", attributes=attributes, contents={"task": [TASK]})


def planner(*telling: Callable[[Scenario], object]) -> Scenario:
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        run.says("First a quote.")
        for tell in telling:
            tell(run)
        run.says("Done.")
    return run


def taken_up(run: Scenario, to: str = "booker", task: str = TASK) -> None:
    with run.delegate(to, task):
        run.says("640 EUR.")


def alarms(run: Scenario) -> list[Finding]:
    return loud(judged(run, [Orphans])[1])


def later(run: Scenario, seconds: float) -> list[Finding]:
    """What is said of a run that goes on, `seconds` after all that was told was seen."""
    trace = run.empty_trace()
    judge = TraceJudge(trace, [Orphans])
    for fact in run.facts:
        if not isinstance(fact, Payload):
            trace.apply(fact, run.source)
    said = judge.settle(run.now_ns)
    said += judge.settle(run.now_ns + int(seconds * 1e9))
    assert judge.raised == {}
    return loud(said)


def test_work_that_nobody_took_up_is_an_orphan_that_names_both_sides() -> None:
    run = planner(given)
    (finding,) = alarms(run)
    assert (finding.agent, finding.peer_agent, finding.value) == ("booker", "planner", "booker")
    assert finding.root_span_id == run.names["delegate booker"]
    assert TASK in finding.message


def test_work_handed_over_to_nobody_is_an_orphan() -> None:
    assert len(alarms(planner(lambda run: given(run, mode="transfer")))) == 1


def test_a_call_that_failed_before_anyone_took_it_up_is_an_orphan() -> None:
    (finding,) = alarms(planner(lambda run: given(run, error=("ConnectionError", "refused by booker:80"))))
    assert "refused by booker:80" in finding.message


def test_each_of_two_orphans_is_told() -> None:
    assert len(alarms(planner(given, given))) == 2


def abandoned(run: Scenario, error: tuple[str, str] | None = None) -> None:
    """The delegator ends the delegation long before the delegatee is done."""
    sent = left_open(run)
    worker = run.opens(SpanKind.AGENT, "booker", agent="booker", under="delegate booker")
    run.ends(sent, error=error)
    run.passes(5)
    run.ends(worker)


def test_work_whose_delegator_ended_first_without_an_answer_is_an_orphan() -> None:
    run = planner(abandoned)
    (finding,) = alarms(run)
    assert "ended first" in finding.message
    assert finding.path == [run.names["delegate booker"], run.names["booker"]]


def test_work_whose_delegator_gave_up_waiting_is_an_orphan() -> None:
    (finding,) = alarms(planner(lambda run: abandoned(run, ("TimeoutError", "no answer in 5 s"))))
    assert finding.message.endswith(": its delegator gave up on it (no answer in 5 s)")


def test_a_delegatee_that_was_killed_is_not_said_to_be_at_work() -> None:
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        sent = left_open(run)
        run.opens(SpanKind.AGENT, "booker", agent="booker", under="delegate booker")
        run.ends(sent, error=("RemoteDisconnected", "the remote end closed the connection"))
    (finding,) = later(run, ENDED_NS / 1e9 + 1)
    assert "(the remote end closed the connection)" in finding.message
    assert [each.text for each in finding.evidence] == [TASK, "had not ended by then"]


def test_what_is_open_is_an_orphan_when_its_time_has_passed_by_both_clocks() -> None:
    run = Scenario()
    run.opens(SpanKind.AGENT, "planner", agent="planner")
    run.opens(
        SpanKind.DELEGATION, "delegate booker", under="planner", attributes={DELEGATION_TARGET: "booker"}
    )  # fmt: skip
    assert later(run, STRANGE_NS / 1e9 - 2) == []
    run.passes(1000)  # the facts are old, and were seen just now
    assert later(run, 1) == []
    assert len(later(run, STRANGE_NS / 1e9 + 2)) == 1


def test_an_ended_call_of_a_run_that_goes_on_is_given_a_moment() -> None:
    run = Scenario()
    run.opens(SpanKind.AGENT, "planner", agent="planner")
    sent = run.opens(
        SpanKind.DELEGATION,
        "delegate booker",
        under="planner",
        attributes={DELEGATION_TARGET: "booker"},
        contents={"task": [TASK]},
    )
    run.ends(sent)
    assert later(run, ENDED_NS / 1e9 - 2) == []
    assert len(later(run, ENDED_NS / 1e9 + 2)) == 1


def test_facts_of_a_run_that_seems_over_may_come_late() -> None:
    """Live, the clock goes on behind the last fact; told as over, a run is judged at once."""
    run = planner(given)
    assert len(alarms(run)) == 1
    trace = run.trace()
    judge = TraceJudge(trace, [Orphans])
    assert judge.settle(run.now_ns + 1) == []
    assert judge.settle(run.now_ns + LATE_NS - 1) == []
    assert len(judge.settle(run.now_ns + LATE_NS + 1)) == 1


def test_what_proves_to_be_taken_up_is_said_again_for_information() -> None:
    run = planner(handed_over)
    facts = [f for f in run.facts if not isinstance(f, Payload)]
    worker = run.names["booker"]
    late = [f for f in facts if getattr(f, "span_id", b"") == worker]
    facts = [f for f in facts if f not in late] + late
    said = judged(run, [Orphans], facts)[1]
    assert any(f.severity == "warning" for f in said)
    (finding,) = last(said)
    assert (finding.severity, finding.message.startswith("Taken up after all")) == ("info", True)


def remote(run: Scenario) -> None:
    run.delegates_unseen("booker", TASK, "H7: 640 EUR, firm.")


def remote_by_tool(run: Scenario) -> None:
    run.tool("ask_booker", {"task": TASK}, "H7: 640 EUR, firm.")


def got_over(run: Scenario) -> None:
    given(run, error=("ConnectionError", "refused"))
    taken_up(run)


def got_over_by_another(run: Scenario) -> None:
    given(run, error=("ConnectionError", "refused"))
    taken_up(run, "other booker")


def handed_over(run: Scenario) -> None:
    with run.delegate("booker", TASK, mode="transfer"):
        run.says("640 EUR.")


def failed_and_said_so(run: Scenario) -> None:
    fault = ("ValueError", "no such hotel")
    with run.delegate("booker", TASK, error=fault):
        run.tool("quote", {"hotel": "H7"}, error=fault)


def tidies_up(run: Scenario) -> None:
    """The delegatee ends after its answer was taken."""
    sent = left_open(run)
    worker = run.opens(SpanKind.AGENT, "booker", agent="booker", under="delegate booker")
    run.ends(sent, returned="640 EUR.")
    run.passes(20)
    run.ends(worker)


def two_at_once(run: Scenario) -> None:
    one, two = left_open(run, "booker"), left_open(run, "clerk")
    for name in ("booker", "clerk"):
        run.ends(run.opens(SpanKind.AGENT, name, agent=name, under=f"delegate {name}"))
    run.ends(one, returned="640 EUR")
    run.ends(two, returned="620 EUR")


def spelled_otherwise(run: Scenario) -> None:
    """The one who takes it up writes its own name another way, and stands beside the delegation."""
    given(run, to="hotel_booker")
    with run.agent("Hotel Booker", task=TASK):
        run.says("640 EUR.")


def cut_log(run: Scenario) -> None:
    """The last that a log says is that work was given away."""
    given(run, grade="declared")


CLEAN = {
    "all well": trip,
    **{
        tell.__name__: lambda tell=tell: planner(tell)  # type: ignore[misc]
        for tell in (
            taken_up, remote, remote_by_tool, got_over, got_over_by_another, handed_over, failed_and_said_so, tidies_up,
            two_at_once, spelled_otherwise, cut_log,
        )
    },
    "given again": lambda: planner(lambda run: [taken_up(run), run.tool("search", {}, HOTELS), taken_up(run, "clerk", "Pay.")]),
    "not captured": lambda: _unseen(),
}  # fmt: skip


def _unseen() -> Scenario:
    run = Scenario(captures_content=False)
    with run.agent("planner"):
        run.delegates_unseen("booker", TASK, "640 EUR.")
    return run


@pytest.mark.parametrize("name", CLEAN)
def test_work_that_was_done_is_no_orphan(name: str) -> None:
    assert alarms(CLEAN[name]()) == []
