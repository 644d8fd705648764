"""Rules of `context.mixed`, and of what is kept of other sessions."""

from functools import partial

from tests.scenarios import Scenario
from trajectory.detection.judge import TraceJudge
from trajectory.detection.mixed import MixedSessions
from trajectory.detection.sessions import MAX_KEYS_COUNT, MAX_SESSIONS_COUNT, Sessions, Told
from trajectory.model.fact import Finding, Source
from trajectory.model.words import RUN_ID

SAID = "My booking reference is BK-204417 and I travel with two dogs."


def talk(name: bytes, asked: str, task: str, result: str = "free", before_s: int = 0) -> Scenario:
    run = Scenario(trace_id=name)
    run.passes(-before_s)
    with run.agent("lead", task=asked):
        run.says("On it.")
        with run.delegate("clerk", task):
            run.tool("look", {"q": "room"}, result)
            run.says("Done.")
        run.says("Done.")
    return run


def judged(run: Scenario, sessions: Sessions) -> list[Finding]:
    trace = run.trace()
    return TraceJudge(trace, [partial(MixedSessions, sessions)]).settle(trace.last_ns)


def in_run(run: str, told: Scenario) -> Scenario:
    """The same, told by a program that `trajectory run` started."""
    told.source = Source(told.source.emitter_id, told.source.boot_id, {**told.source.resource, RUN_ID: run})
    return told


def later(asked: str, task: str, result: str = "free") -> Scenario:
    return talk(b"a-later-session1", asked, task, result)


def test_what_a_person_said_elsewhere_is_mixed_in() -> None:
    sessions = Sessions()
    judged(talk(b"another-session1", SAID, "Find a room.", before_s=60), sessions)
    (finding,) = judged(later("Find me a room.", f"Find a room. {SAID}"), sessions)
    assert (finding.kind, finding.value, finding.agent) == ("context.mixed", SAID, "lead")
    assert b"another-session1".hex()[:20] in finding.message


def test_a_value_of_another_session_that_nobody_here_named_is_mixed_in() -> None:
    sessions = Sessions()
    judged(talk(b"another-session1", SAID, "Find a room.", before_s=60), sessions)
    (finding,) = judged(later("Find me a room.", "Put it under BK-204417."), sessions)
    assert finding.value == "BK-204417"


def test_what_a_session_said_that_is_forgotten_is_known_of_the_others() -> None:
    sessions = Sessions()
    sessions.learn(Told("first", "", 1), [SAID, "only here"])
    for number in range(MAX_SESSIONS_COUNT):
        sessions.learn(Told(f"other {number}", "", 2), [SAID] if number == 0 else [])
    assert [told.session for told in sessions.others(Told("here", "", 9), SAID)] == ["other 0"]
    assert sessions.others(Told("here", "", 9), "only here") == []


def test_what_this_person_says_too_or_a_record_holds_is_not() -> None:
    sessions = Sessions()
    judged(talk(b"another-session1", SAID, "Find a room.", before_s=60), sessions)
    assert judged(later(SAID, f"Find a room. {SAID}"), sessions) == []
    sessions = Sessions()
    judged(talk(b"another-session1", SAID, "Find a room.", before_s=60), sessions)
    assert judged(later("Find me a room.", "Find a room.", result="on file: BK-204417"), sessions) == []


def test_what_was_said_in_a_session_of_the_very_same_job_is_of_both() -> None:
    same, other = (
        "Paint the room at 12 Mill Lane white for me by Monday.",
        "Find me 2 rooms in the old town of Graz for Monday.",
    )
    for asked, count in ((same, 0), (other, 1)):
        sessions = Sessions()
        judged(talk(b"another-session1", f"{same} {SAID}", "Find a room.", before_s=60), sessions)
        assert len(judged(later(asked, f"Find a room. {SAID}"), sessions)) == count


def test_traces_of_one_run_are_one_session_and_those_of_two_are_not() -> None:
    for run, count in (("r-1", 0), ("r-2", 1)):
        sessions = Sessions()
        judged(in_run("r-1", talk(b"another-session1", SAID, "Find a room.", before_s=60)), sessions)
        found = judged(in_run(run, later("Find me a room.", f"Find a room. {SAID}")), sessions)
        assert len(found) == count


def test_a_trace_that_names_no_session_is_of_any_in_its_run_and_two_named_ones_are_two() -> None:
    one, nameless = Told("chat-1", "", 1, "r-1"), Told("r-1", "", 1, "r-1")
    for said, here in ((one, nameless), (nameless, one)):
        sessions = Sessions()
        sessions.learn(said, ["BK-204417"])
        assert sessions.others(here._replace(at_ns=2), "BK-204417") == []
    sessions = Sessions()
    sessions.learn(one, ["BK-204417"])
    assert sessions.others(Told("chat-2", "", 2, "r-1"), "BK-204417") == [one]


def test_where_no_word_of_a_person_was_captured_nothing_is_said() -> None:
    sessions = Sessions()
    judged(talk(b"another-session1", SAID, "Find a room.", before_s=60), sessions)
    run = Scenario(trace_id=b"a-later-session1")
    with run.agent("clerk"):
        run.tool("book", {"reference": "BK-204417"}, "done")
    assert judged(run, sessions) == []


def test_what_was_said_elsewhere_only_later_came_from_here() -> None:
    sessions = Sessions()
    judged(talk(b"another-session1", SAID, "Find a room."), sessions)
    run = talk(b"an-earlier-sessn", "Find me a room.", f"Find a room. {SAID}", before_s=60)
    assert judged(run, sessions) == []


def test_what_many_sessions_say_belongs_to_none() -> None:
    sessions = Sessions()
    for number in range(4):
        judged(talk(b"another-session%d" % number, SAID, "Find a room.", before_s=60), sessions)
    assert judged(later("Find me a room.", f"Find a room. {SAID}"), sessions) == []


def test_without_other_sessions_nothing_is_said() -> None:
    trace = later("Find me a room.", f"Find a room. {SAID}").trace()
    assert TraceJudge(trace, [MixedSessions]).settle(trace.last_ns) == []


def test_the_same_person_in_another_session_is_no_stranger() -> None:
    sessions = Sessions()
    sessions.learn(Told("one", "ana", 1), ["BK-204417"])
    assert sessions.others(Told("two", "ana", 2), "BK-204417") == []
    assert sessions.others(Told("two", "ben", 2), "BK-204417") == [Told("one", "ana", 1)]


def test_what_is_kept_of_other_sessions_is_bounded() -> None:
    sessions = Sessions()
    for number in range(MAX_SESSIONS_COUNT + 5):
        sessions.learn(Told(f"s{number}", "", 1), (f"{number}-{i}" for i in range(3)))
    assert sessions.others(Told("x", "", 2), "0-0") == []
    assert sessions.others(Told("x", "", 2), f"{MAX_SESSIONS_COUNT}-0") != []
    sessions.learn(Told("long", "", 1), (str(i) for i in range(MAX_KEYS_COUNT + 5)))
    assert sessions.others(Told("x", "", 2), str(MAX_KEYS_COUNT + 1)) == []
