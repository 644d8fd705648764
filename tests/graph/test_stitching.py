"""Traces of one run are joined by what they say, never where two would do, in any order of their coming."""

import random
from collections.abc import Callable

import pytest

from tests.broken_runs import (
    BEGIN_NS,
    SECOND_NS,
    SHAPES,
    BrokenRun,
    _part,
    broken,
    linked,
    made,
    messages,
    stitched,
    texts,
    traces_of,
)
from tests.graph.pictures import folded
from trajectory.graph.ends import MAX_ENDS, ends_of
from trajectory.graph.keys import texts_asked
from trajectory.graph.runs import Joint, Run, agents_of, delegations_of
from trajectory.graph.stitching import Stitching
from trajectory.graph.trace import Trace
from trajectory.model.content import MESSAGE, encode, encode_message
from trajectory.model.ends import End, Ends, Pointer
from trajectory.model.fact import SpanStarted

Shape = Callable[[int, float], BrokenRun]
ALL = frozenset({"links", "ids", "parents", "texts"})
by_name = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)


def causes_in(stitching: Stitching, *runs: BrokenRun) -> dict[bytes, bytes]:
    return {j.effect: j.cause for run in runs for part in run.parts for j in stitching.causes(part.trace_id)}


@by_name
def test_the_traces_of_a_run_are_one_run_that_begins_with_the_first(shape: Shape) -> None:
    run = shape(1, 0)
    stitching = stitched([run])
    assert causes_in(stitching, run) == run.causes
    for part in run.parts:
        found = stitching.run_of(part.trace_id)
        assert found.root == run.parts[0].trace_id and set(found.trace_ids) == {p.trace_id for p in run.parts}
    assert stitching.part_count() == len(run.parts) - 1


@by_name
def test_a_link_is_observed_and_all_else_is_inferred_with_its_reason(shape: Shape) -> None:
    run = shape(1, 0)
    joints = stitched([run]).run_of(run.parts[0].trace_id).joints
    assert {str(j.grade) for j in joints} == {"observed" if shape is linked else "inferred"}
    assert all(j.reason for j in joints)


@by_name
def test_two_runs_that_are_alike_to_the_letter_are_never_mixed(shape: Shape) -> None:
    one, other = shape(1, 0), shape(2, 0.5)
    found = causes_in(stitched([one, other]), one, other)
    assert found.items() <= (one.causes | other.causes).items()
    if shape in (linked, made):  # by links, and by processes, they are known apart
        assert found == one.causes | other.causes


@by_name
def test_two_runs_alike_are_never_mixed_whatever_each_span_has_lost(shape: Shape) -> None:
    for seed in range(60):
        chance = random.Random(seed)
        runs = [broken(shape(n, 0.3 * n), 0.5, chance, ALL) for n in range(1, 4)]
        found = causes_in(stitched(runs), *runs)
        assert found.items() <= {e: c for run in runs for e, c in run.causes.items()}.items(), seed


@by_name
def test_one_run_after_the_other_is_joined_each_by_itself(shape: Shape) -> None:
    one, other = shape(1, 0), shape(2, 3600)
    found = causes_in(stitched([one, other]), one, other)
    assert found == one.causes | other.causes


@by_name
def test_any_order_of_traces_joins_the_same(shape: Shape) -> None:
    runs = [broken(shape(n, n), 0.3, random.Random(n), ALL) for n in range(1, 4)]
    told = stitched(runs)
    for seed in range(5):
        shuffled = stitched(runs, random.Random(seed))
        for run in runs:
            for part in run.parts:
                assert shuffled.run_of(part.trace_id) == told.run_of(part.trace_id)


def test_a_trace_that_goes_and_comes_back_changes_nothing() -> None:
    run = messages(1, 0)
    stitching = stitched([run])
    before = stitching.run_of(run.parts[0].trace_id)
    ends = {t.trace_id: ends_of(t) for t in traces_of([run])}
    for trace_id, held in ends.items():
        stitching.forget(trace_id)
        assert trace_id not in stitching.run_of(run.parts[0].trace_id).trace_ids[1:]
        stitching.put(trace_id, held)
    assert stitching.run_of(run.parts[0].trace_id) == before


def test_what_two_runs_share_in_text_is_told_apart_by_their_sessions_and_processes() -> None:
    def call(key: bytes = b"text") -> End:
        return End("text", key, "ask", b"call-1", "a", 10, 20)

    def trace(at_ns: int, **more: object) -> Ends:
        return Ends(started_ns=at_ns, last_ns=30, is_whole=True, **more)  # type: ignore[arg-type]

    for field in ("session", "process"):
        stitching = Stitching()
        for run in (b"1", b"2"):
            stitching.put(b"cause" + run, trace(9, workers=[b"a"], gives=[call()], **{field: run}))
            stitching.put(
                b"effect" + run, trace(11, worker=b"b", workers=[b"b"], takes=[End("text", b"text")], **{field: run})
            )
        assert [(j.cause, j.effect) for n in (b"1", b"2") for j in stitching.causes(b"effect" + n)] == [
            (b"cause1", b"effect1"),
            (b"cause2", b"effect2"),
        ]


def test_a_call_that_was_over_when_a_trace_began_did_not_cause_it() -> None:
    run = texts(1, 0)
    late = texts(1, 3600)
    traces = [traces_of([run])[0], *traces_of([late])[1:]]
    stitching = Stitching()
    for trace in traces:
        stitching.put(trace.trace_id, ends_of(trace))
    assert causes_in(stitching, run) == {}


def test_a_trace_that_batches_two_runs_is_a_part_of_neither_and_names_both() -> None:
    stitching = Stitching()
    for name in (b"a", b"b"):
        stitching.put(name, Ends(started_ns=1, last_ns=2))
    stitching.put(
        b"batch", Ends(started_ns=3, last_ns=4, pointers=[Pointer(b"s", b"a", b"x"), Pointer(b"s", b"b", b"y")])
    )
    assert sorted(j.cause for j in stitching.run_of(b"batch").of(b"batch")) == [b"a", b"b"]
    assert all(stitching.run_of(name).trace_ids == [name] for name in (b"a", b"b", b"batch"))


def test_a_batch_says_what_caused_it_also_where_it_caused_something_itself() -> None:
    stitching = Stitching()
    for name in (b"a", b"b"):
        stitching.put(name, Ends(started_ns=1, last_ns=2))
    pointers = [
        Pointer(b"s", b"a", b"x"),
        Pointer(b"s", b"a", b"y"),
        Pointer(b"s", b"b", b"y"),
        Pointer(b"s", b"c", b"z"),
    ]
    stitching.put(b"batch", Ends(started_ns=3, last_ns=4, pointers=pointers))
    stitching.put(b"later", Ends(started_ns=5, last_ns=6, pointers=[Pointer(b"s", b"batch", b"x")]))
    run = stitching.run_of(b"later")
    assert run == stitching.run_of(b"batch") and run.trace_ids == [b"batch", b"later"]
    assert [j.ends for j in run.joints] == [(b"a", b"batch"), (b"b", b"batch"), (b"batch", b"later")]
    assert [stitching.run_of(name).trace_ids for name in (b"a", b"b")] == [[b"a"], [b"b"]]


def workflows(*makers: str) -> BrokenRun:
    """A workflow's run, and the traces in which each of its makers, in a process of its own, made it."""
    first = _part("workflow", 1, "run", "graph", "process 1")
    first.span(1, "agent", "invoke_agent planner", 1, 5, agent="planner", workflow__id="w-1")
    made_by = [_part("workflow", 1, maker, "graph", maker) for maker in makers]
    for part in made_by:
        part.span(1, "other", "workflow.build", 0, 0.1, workflow__id="w-1")
    return BrokenRun("workflow", [first, *made_by], {m.trace_id: first.trace_id for m in made_by})


def test_what_made_a_workflow_is_of_its_run_and_of_two_makers_neither() -> None:
    run = workflows("maker")
    assert causes_in(stitched([run]), run) == run.causes
    two = workflows("maker", "another")
    assert causes_in(stitched([two]), two) == {}


def given(key: bytes, at_ns: int = 10, label: str = "ask") -> End:
    return End("call", key, label, b"call-1", "a", at_ns, 20)


def whole(at_ns: int, **more: object) -> Ends:
    return Ends(started_ns=at_ns, last_ns=30, **{"is_whole": True, **more})  # type: ignore[arg-type]


def test_an_id_that_is_in_many_traces_is_none() -> None:
    for count, found in ((1, 1), (64, 0), (65, 0)):
        stitching = Stitching()
        for n in range(count):
            stitching.put(b"cause-%d" % n, whole(9, gives=[given(b"id")]))
        stitching.put(b"effect", whole(11, takes=[End("call", b"id")]))
        assert len(stitching.causes(b"effect")) == found


def test_of_two_traces_that_one_call_may_have_caused_neither_is_its() -> None:
    stitching = Stitching()
    stitching.put(b"cause", whole(9, workers=[b"a"], gives=[given(b"id")]))
    for effect in (b"effect", b"twin"):
        assert stitching.causes(effect) == []
        stitching.put(effect, whole(11, worker=b"b", workers=[b"b"], takes=[End("call", b"id")]))
    assert stitching.causes(b"effect") == stitching.causes(b"twin") == []
    stitching.forget(b"twin")
    assert [j.cause for j in stitching.causes(b"effect")] == [b"cause"]


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (whole(9, workers=[b"a"], is_whole=False), 0),
        (whole(9, workers=[b"a"]), 1),
        (whole(9, workers=[b"a"], gives=[given(b"")]), 0),
        (whole(9, workers=[b"a"], gives=[given(b"another")]), 1),
    ],
    ids=["it may not be all there", "it made no such call", "its call may be any", "its call is another"],
)
def test_another_trace_of_the_agent_is_a_rival_unless_it_says_otherwise(other: Ends, found: int) -> None:
    stitching = Stitching()
    stitching.put(b"cause", whole(9, workers=[b"a"], gives=[given(b"id")]))
    stitching.put(b"other", other)
    stitching.put(b"effect", whole(11, worker=b"b", workers=[b"b"], takes=[End("call", b"id")]))
    assert len(stitching.causes(b"effect")) == found


ASKED = "find a hotel in Lyon"


@pytest.mark.parametrize(
    ("held", "texts"),
    [
        (("text/plain", ASKED.encode()), [ASKED]),
        (encode({"task": ASKED, "budget": 3}), [ASKED]),
        (encode_message(ASKED), [ASKED]),
        (encode_message({"role": "assistant", "parts": [{"type": "text", "content": ASKED}]}), []),
        ((MESSAGE, b'{"role": "user", "parts": ["' + ASKED.encode() + b'"]}'), []),
        ((MESSAGE, b'{"role": "user", "parts": 5}'), []),
        (("text/plain", ASKED.encode() * 4000), []),
        (None, []),
    ],
)
def test_what_a_call_asks_is_read_in_each_form_that_it_may_have(
    held: tuple[str, bytes] | None, texts: list[str]
) -> None:
    asking = SpanStarted(b"t" * 16, b"s" * 8, b"", 1, 0, "tool", "ask", "", contents={"task": [b"d" * 16]})
    trace = folded([asking], Trace(b"t" * 16, lambda digest: held))
    assert texts_asked(trace.body, trace.spans[b"s" * 8]) == texts


def test_a_run_counts_each_of_its_traces_once_and_the_delegations_between_them() -> None:
    run = messages(1, 0)
    traces = traces_of([run])
    found = stitched([run]).run_of(run.parts[0].trace_id)
    assert delegations_of(traces, found) == {
        ("coordinator", "researcher", "call", "inferred"): 1,
        ("coordinator", "booker", "call", "inferred"): 1,
    }
    agents = agents_of(traces, found)
    assert set(agents) == {"coordinator", "researcher", "booker"}
    assert sum(usage.spans for usage in agents.values()) == sum(u.spans for t in traces for u in t.agents().values())


def test_an_agent_without_a_name_takes_no_part_in_a_run() -> None:
    joint = Joint(b"a", b"b", "inferred", "an id of a message on both sides", to_agent="clerk")
    assert list(agents_of([], Run(b"a", [b"a", b"b"], [joint]))) == ["clerk"]


def test_no_more_traces_are_kept_than_the_limit_the_latest_ones() -> None:
    stitching = Stitching(limit=64)
    for n in range(1000):
        stitching.put(n.to_bytes(16, "big"), Ends(started_ns=1 + n, last_ns=2 + n, workers=[b"w"], session=b"s"))
    assert 48 <= len(stitching) <= 64
    stitching.put(b"late", Ends(started_ns=5, workers=[b"w"]))
    assert stitching.causes(b"late") == [] and len(stitching) <= 64


def test_a_trace_shows_few_ends_however_many_calls_it_made() -> None:
    trace = traces_of([messages(1, 0)])[0]
    run = messages(1, 0)
    for n in range(200):
        run.parts[0].span(
            50 + n % 200, "tool", f"t{n}", 1, 1, parent=1, contents={"arguments": {"q": f"a question {n}"}}
        )
    many = traces_of([run])[0]
    assert len(ends_of(many).gives) == MAX_ENDS and not ends_of(many).is_whole
    assert ends_of(trace).is_whole


def test_hostile_attributes_and_bodies_make_no_ends_and_no_trouble() -> None:
    run = messages(1, 0)
    part = run.parts[0]
    part.span(
        9,
        "tool",
        "odd",
        1,
        1,
        parent=1,
        contents={"arguments": [["x"] * 9, {"a": {"b": 1}}]},
        a2a__task__id=["not", "text"],
    )
    part.span(10, "agent", "root?", 0, 1, agent="x", contents={"input": {"role": "user", "parts": [{"type": "text"}]}})
    trace = traces_of([run])[0]
    assert {e.kind for e in ends_of(trace).gives if e.span_id == part.span_id(9)} == {"call"}
    assert Trace(b"t" * 16).spans == {} and ends_of(Trace(b"t" * 16)) == Ends()
    assert BEGIN_NS < ends_of(trace).last_ns < BEGIN_NS + 60 * SECOND_NS


def beginning(at_s: int, *, session: bytes = b"session", worker: bytes = b"planner") -> Ends:
    start_ns = BEGIN_NS + at_s * SECOND_NS
    return Ends(start_ns, start_ns + 10 * SECOND_NS, session=session, worker=worker, workers=[worker], is_whole=True)


def answer(at_s: int) -> Ends:
    start_ns = BEGIN_NS + at_s * SECOND_NS
    return Ends(start_ns, start_ns + SECOND_NS, is_answer=True, session=b"session", worker=b"clerk", workers=[b"clerk"])


def test_what_something_must_have_caused_is_of_the_only_beginning_in_its_session() -> None:
    stitching = Stitching()
    stitching.put(b"begun", beginning(0))
    stitching.put(b"answer", answer(1))
    (joint,) = stitching.causes(b"answer")
    assert (joint.cause, joint.grade, joint.reason) == (b"begun", "inferred", "the only beginning in its session")
    assert not joint.is_delegation and stitching.run_of(b"answer").root == b"begun"


@pytest.mark.parametrize(
    "other",
    [beginning(5), beginning(2, session=b"", worker=b"clerk"), beginning(2, session=b"")],
    ids=["another beginning", "its agent elsewhere without a session", "the beginning's agent elsewhere, too"],
)
def test_where_another_could_have_caused_it_as_well_a_session_joins_nothing(other: Ends) -> None:
    stitching = Stitching()
    stitching.put(b"begun", beginning(0))
    stitching.put(b"answer", answer(1))
    stitching.put(b"other", other)
    assert stitching.causes(b"answer") == []
    stitching.forget(b"other")
    assert len(stitching.causes(b"answer")) == 1


def test_a_session_joins_nothing_to_what_began_after_it() -> None:
    stitching = Stitching()
    stitching.put(b"begun", beginning(30))
    stitching.put(b"answer", answer(1))
    assert stitching.causes(b"answer") == []
