"""Rules of `flow.deadlock`. The scenario's clock is the only one, but for the live runs in `tests/collector`."""

from itertools import pairwise

import pytest

from tests.detection.asking import last, loud
from tests.scenarios import Scenario
from trajectory.detection.deadlock import SHARED_HELD_NS, Deadlocks
from trajectory.detection.judge import TraceJudge
from trajectory.model.fact import Finding, Payload
from trajectory.model.words import DELEGATION_MODE, DELEGATION_TARGET, WAITS_FOR, SpanKind

SHARED_HELD_S = SHARED_HELD_NS / 1e9


class Team:
    """Agents that ask each other, told with open ends and watched each half second."""

    def __init__(self) -> None:
        self.run = Scenario()
        self.judge: TraceJudge | None = None

    def works(self, agent: str, under: str = "") -> str:
        """An agent begins to work; returns the name by which its span is known."""
        self.run.opens(SpanKind.AGENT, agent, agent=agent, under=under)
        return agent

    def asks(self, one: str, other: str, mode: str = "call") -> str:
        """An agent's call, not yet taken up."""
        name = f"{one} asks {other}"
        self.run.opens(
            SpanKind.DELEGATION, name, under=one, attributes={DELEGATION_TARGET: other, DELEGATION_MODE: mode}
        )
        return name

    def calls(self, one: str, other: str) -> None:
        """A call that the other takes up."""
        self.works(other, under=self.asks(one, other))

    def waits(self, one: str, *on: str) -> str:
        name = f"{one} waits"
        self.run.opens(SpanKind.OTHER, name, under=one, attributes={WAITS_FOR: list(on) if len(on) > 1 else on[0]})
        return name

    def found(self, after_s: float = 2.0) -> list[Finding]:
        """What is said while `after_s` pass, looked at each half second."""
        trace = self.run.empty_trace()
        judge = TraceJudge(trace, [Deadlocks])
        said: list[Finding] = []
        for fact in self.run.facts:
            if not isinstance(fact, Payload):
                trace.apply(fact, self.run.source)
                said += judge.observe(fact)
                said += judge.settle(trace.last_ns)
        for half in range(1, int(after_s * 2) + 1):
            said += judge.settle(trace.last_ns + half * 500_000_000)
        assert judge.raised == {}, judge.faults
        return said


def ring(*agents: str) -> Team:
    """Each asks the next, and the last asks the first, which is busy waiting."""
    team = Team()
    team.works(agents[0])
    for one, other in pairwise(agents):
        team.calls(one, other)
    team.asks(agents[-1], agents[0])
    return team


@pytest.mark.parametrize("count", [2, 3, 7])
def test_agents_that_ask_each_other_in_a_ring_are_stuck_and_all_are_named(count: int) -> None:
    agents = [f"agent{i}" for i in range(count)]
    team = ring(*agents)
    (finding,) = last(team.found())
    assert finding.severity == "warning"
    assert finding.value == " → ".join(f"{name}#1" for name in [*agents, agents[0]])
    assert (finding.agent, finding.peer_agent) == (agents[-1], agents[0])
    assert finding.root_span_id == team.run.names[f"{agents[-1]} asks {agents[0]}"]
    assert len(finding.evidence) == count


def test_it_is_told_within_two_seconds_and_not_at_once() -> None:
    assert ring("a", "b").found(after_s=0.5) == []
    assert len(ring("a", "b").found(after_s=1.5)) == 1


def test_who_waits_for_the_stuck_is_no_part_of_the_cycle() -> None:
    team = Team()
    team.works("boss")
    team.calls("boss", "a")
    team.calls("a", "b")
    team.asks("b", "a")
    (finding,) = last(team.found())
    assert finding.value == "a#1 → b#1 → a#1"


def test_who_comes_later_and_waits_for_the_stuck_closes_no_cycle() -> None:
    team = ring("a", "b")
    team.works("late")
    team.asks("late", "a")
    assert [f.value for f in last(team.found())] == ["a#1 → b#1 → a#1"]


def test_names_of_sixteen_letters_are_names_and_no_ids() -> None:
    team, agents = Team(), ("planner-of-trips", "booker-of-hotels")
    for agent in agents:
        team.works(agent)
    for one, other in (agents, agents[::-1]):
        team.waits(one, other)
    (finding,) = last(team.found())
    assert finding.value == "planner-of-trips#1 → booker-of-hotels#1 → planner-of-trips#1"


def test_one_in_which_something_still_happens_is_not_stuck_yet() -> None:
    team = Team()
    team.works("a")
    team.run.thinks("First I ask.", under="a")
    team.calls("a", "b")
    team.asks("b", "a")
    team.run.passes(5)
    team.run.thinks("Where was I?", under="a")
    trace = team.run.trace()
    judge = TraceJudge(trace, [Deadlocks])
    assert [len(judge.settle(trace.last_ns + ms * 1_000_000)) for ms in (1, 600, 1600)] == [0, 0, 1]


def test_a_call_that_is_taken_up_at_once_closes_nothing() -> None:
    team = Team()
    team.works("a")
    asked = team.asks("a", "b")
    team.run.passes(-0.5)
    team.works("b", under=asked)
    team.asks("b", "a")
    team.run.passes(-0.5)
    team.works("a", under="b asks a")
    assert team.found() == []


def test_agents_that_say_that_they_wait_for_each_other_are_stuck() -> None:
    team = Team()
    for agent in ("a", "b", "c"):
        team.works(agent)
    for one, other in (("a", "b"), ("b", "c"), ("c", "a")):
        team.waits(one, other)
    (finding,) = last(team.found())
    assert finding.value == "a#1 → b#1 → c#1 → a#1"


def test_a_ring_that_closes_in_an_instant_is_told_once() -> None:
    team = Team()
    for agent in ("a", "b", "c"):
        team.works(agent)
    for one, other in (("a", "b"), ("b", "c"), ("c", "a")):
        team.run.now_ns -= 990_000_000
        team.waits(one, other)
    assert len(last(team.found())) == 1


def test_a_wait_may_name_a_span() -> None:
    team = Team()
    team.works("a")
    lock = team.run.opens(SpanKind.OTHER, "holds the file", under="a")
    team.calls("a", "b")
    team.waits("b", lock.hex())
    (finding,) = last(team.found())
    assert finding.value == "a#1 → b#1 → a#1"


def test_one_of_several_waits_is_enough_to_be_stuck() -> None:
    team = Team()
    for agent in ("a", "b", "busy"):
        team.works(agent)
    team.waits("a", "busy", "b")
    team.waits("b", "a")
    assert len(last(team.found())) == 1


def test_a_cycle_that_opens_again_is_for_information_with_how_long_it_held() -> None:
    team = ring("a", "b")
    team.run.passes(5)
    team.run.ends(team.run.names["b asks a"], error=("TimeoutError", "no answer"))
    assert loud(team.found()) == []
    (finding,) = last(team.found())
    assert finding.message.endswith("resolved after 6 s")


def test_what_held_is_found_in_a_replay_that_is_looked_at_once() -> None:
    team = ring("a", "b")
    team.run.passes(5)
    for name in ("b asks a", "b", "a asks b", "a"):
        team.run.ends(team.run.names[name])
    trace = team.run.trace()
    judge = TraceJudge(trace, [Deadlocks])
    for fact in team.run.facts:
        judge.observe(fact)
    (finding,) = judge.settle(trace.last_ns)
    assert (finding.severity, finding.value) == ("info", "a#1 → b#1 → a#1")


def nested() -> Team:
    team = Team()
    team.works("a")
    team.calls("a", "b")
    team.calls("b", "c")
    return team


def entered_again() -> Team:
    """The one who is asked back takes it up as a second invocation, at work now."""
    team = ring("a", "b")
    team.run.now_ns -= 950_000_000
    team.works("a", under="b asks a")
    team.run.opens(SpanKind.MODEL, "chat", under="a")
    return team


def other_instance() -> Team:
    """Another invocation of the one who is asked is free."""
    team = Team()
    team.works("a")
    team.works("a")
    team.calls("a", "b")
    team.asks("b", "a")
    return team


def hand_over() -> Team:
    """Control passes round: nobody waits."""
    team = Team()
    team.works("a")
    team.works("b", under=team.asks("a", "b", "transfer"))
    team.asks("b", "a", "transfer")
    return team


def handed_over_and_asked() -> Team:
    team = Team()
    team.works("a")
    team.works("b", under=team.asks("a", "b", "transfer"))
    team.asks("b", "a")
    return team


def asks_a_stranger() -> Team:
    team = Team()
    team.works("a")
    team.calls("a", "b")
    team.asks("b", "somebody")
    return team


def asks_one_who_works() -> Team:
    """The one who is asked waits for nobody."""
    team = Team()
    team.works("a")
    team.works("b")
    team.asks("b", "a")
    team.run.opens(SpanKind.TOOL, "dig", under="a")
    return team


def one_way_of_two() -> Team:
    team = Team()
    for agent in ("a", "b", "c"):
        team.works(agent)
    team.waits("a", "b")
    team.waits("b", "c")
    return team


def asked_and_answered_by_hand() -> Team:
    """The one who is asked begins to work on the answer within the invocation that waits."""
    team = ring("a", "b")
    team.run.now_ns -= 700_000_000
    team.run.opens(SpanKind.TOOL, "look it up", under="a")
    return team


def answered_before() -> Team:
    team = ring("a", "b")
    team.run.ends(team.run.names["b asks a"])
    return team


def gone() -> Team:
    """The one who is asked has ended."""
    team = Team()
    team.works("a")
    team.works("b")
    team.run.ends(team.run.names["a"])
    team.asks("b", "a")
    return team


def fan_out() -> Team:
    team = Team()
    team.works("a")
    for name in ("b", "c", "d"):
        team.calls("a", name)
    return team


def quick_round_trip() -> Team:
    team = ring("a", "b")
    team.run.now_ns -= 700_000_000
    team.run.ends(team.run.names["b asks a"])
    return team


CLEAN = {
    f.__name__: f
    for f in (
        nested, entered_again, other_instance, hand_over, handed_over_and_asked, asks_a_stranger, asks_one_who_works,
        one_way_of_two, asked_and_answered_by_hand, answered_before, gone, fan_out, quick_round_trip,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", CLEAN)
def test_who_can_still_go_on_is_not_stuck(name: str) -> None:
    assert loud(CLEAN[name]().found(after_s=8)) == []


def test_an_agent_that_does_two_things_at_a_time_is_waited_for_longer() -> None:
    team = Team()
    team.works("a")
    team.calls("a", "b")
    team.works("a", under=team.asks("b", "a"))
    team.run.ends(team.run.names["a"])
    team.run.names["a"] = next(s.span_id for s in team.run.trace().spans.values() if s.is_open and s.name == "a")
    team.asks("b", "a")
    assert team.found(after_s=SHARED_HELD_S - 2) == []
    assert len(last(team.found(after_s=SHARED_HELD_S + 2))) == 1
