"""What is followed from fact to fact ends as what is read at once: the same cascades, the same links."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.detection.stories import CLEAN, FAULTY, REQUEST
from tests.scenarios import Scenario
from trajectory.detection.cascade import Cascades
from trajectory.detection.judge import TraceJudge
from trajectory.detection.provenance import provenance_of
from trajectory.graph.trace import Trace
from trajectory.model.fact import Fact, Finding, Payload

STORIES = [*(story for story, _ in FAULTY.values()), *CLEAN.values()]
AGENTS = ("scout", "writer", "booker")
VALUES = ("H99", "H7", "520 EUR", "T-77", "38.9M EUR", "2026-03-03", "ana@example.org", "/srv/a/b.txt", "Grand Rhone")
RESULTS = ("Error: 503 Service Unavailable", {"error": "HOTEL_NOT_FOUND"}, "", [{"id": "H7"}])
FAULT = ("ConnectionError", "inventory unreachable")


@st.composite
def runs(draw: st.DrawFn) -> Scenario:
    """A small team at work: what it says, what its tools answer and what fails are drawn."""
    run = Scenario(captures_content=draw(st.integers(0, 9)) > 0)
    told = st.lists(st.sampled_from(VALUES), max_size=2).map(" and ".join)

    def work(depth: int) -> None:
        for _ in range(draw(st.integers(1, 4))):
            step = draw(st.integers(0, 5))
            if step <= 1:
                run.says(f"I take {draw(told)}.")
            elif step <= 3:
                fails = draw(st.integers(0, 3)) == 0
                result = draw(st.sampled_from(RESULTS) | told)
                name = draw(st.sampled_from(("search", "fetch_page", "read_cache")))
                run.tool(name, {"q": draw(told)}, result, error=FAULT if fails else None)
            elif depth < 3:
                error = FAULT if draw(st.integers(0, 4)) == 0 else None
                with run.delegate(draw(st.sampled_from(AGENTS)), f"Look for {draw(told)}.", error=error):
                    work(depth + 1)

    with run.agent("planner", task=f"{REQUEST} {draw(told)}"):
        work(0)
        run.says(f"It is {draw(told)}.")
    return run


def interleaved(run: Scenario, chance: random.Random) -> list[Fact]:
    """The facts of a run in another order, some of them twice, some long after the others."""
    facts = [f for f in run.facts if not isinstance(f, Payload)]
    facts += chance.sample(facts, len(facts) // 4)
    reach = chance.choice((2, 8, len(facts)))
    return [f for _, f in sorted(((n + chance.random() * reach, f) for n, f in enumerate(facts)), key=lambda p: p[0])]


def read(run: Scenario, facts: list[Fact], every: int) -> tuple[Trace, list[Finding]]:
    """The trace, and what stands at its end of all that was said."""
    trace = run.empty_trace()
    judge = TraceJudge(trace, [Cascades])
    detector = judge._detectors[0]
    for count, fact in enumerate(facts, 1):
        trace.apply(fact, run.source)
        if count % every == 0:
            judge.settle(trace.last_ns)
    judge.settle(trace.last_ns)
    assert judge.raised == {}, judge.faults
    assert isinstance(detector, Cascades)
    return trace, detector.standing


def told(trace: Trace) -> set[tuple[bytes, bytes, str]]:
    provenance = provenance_of(trace)
    provenance.refresh()
    return {(link.user.span_id, link.source.span_id, link.value) for link in provenance.links()}


def agree(run: Scenario, seed: int) -> None:
    chance = random.Random(seed)
    facts = interleaved(run, chance)
    once, at_once = read(run, facts, len(facts) + 1)
    fresh = run.trace()
    live, followed = read(run, facts, chance.choice((1, 3, 10)))
    assert followed == at_once
    assert told(live) == told(once) == told(fresh)


def test_a_failure_of_what_a_made_up_value_led_to_is_no_second_cascade_however_late_it_comes() -> None:
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        with run.delegate("scout", "Look for a hotel.", error=FAULT):
            run.tool("search", {"q": 1}, RESULTS[0])
            with run.delegate("booker", "Look for H99.", error=FAULT):
                with run.delegate("writer", "Look for H99."):
                    run.says("I take H99.")
                for _ in range(3):
                    run.says("I take 520 EUR.")
        run.says("It is done.")
    facts = [f for f in run.facts if not isinstance(f, Payload)]
    _, at_once = read(run, facts, len(facts) + 1)
    _, followed = read(run, facts, 1)
    assert [f.span_id for f in at_once] == [run.names["search"]] and followed == at_once


@settings(max_examples=100)
@given(runs(), st.integers(0, 1 << 30))
def test_any_order_of_any_run_ends_as_the_run_read_at_once(run: Scenario, seed: int) -> None:
    agree(run, seed)


@settings(max_examples=80)
@given(st.sampled_from(STORIES), st.integers(0, 1 << 30))
def test_any_order_of_a_story_ends_as_the_story_read_at_once(story: object, seed: int) -> None:
    agree(story(), seed)  # type: ignore[operator]
