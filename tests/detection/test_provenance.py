"""Rules of where values came from and where they went."""

import pytest

from tests.detection.stories import REQUEST, called_in_process, invented, trip
from tests.scenarios import Scenario
from trajectory.detection import provenance as rooms
from trajectory.detection.items import items_in
from trajectory.detection.occurrences import USES
from trajectory.detection.provenance import Provenance, UsedValue, provenance_of, values_of
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.content import digest
from trajectory.model.fact import Payload, SpanEnded, SpanLinked, SpanStarted
from trajectory.model.lists import Lists
from trajectory.model.words import LinkKind, Slot, SpanKind


def of(run: Scenario) -> tuple[Trace, Provenance]:
    trace = run.trace()
    provenance = provenance_of(trace)
    provenance.refresh()
    return trace, provenance


def test_the_values_of_a_text_that_can_be_followed_are_those_that_nothing_holds_by_chance() -> None:
    text = "H99 costs 520 EUR for 3 nights. Take H99, 2 rooms."
    assert [item.text for item in values_of(text)] == ["H99", "520 EUR"]


def source(provenance: Provenance, text: str) -> tuple[str, str, bool]:
    """The name and role of where a value first occurs, and whether it is an agent's own words."""
    first = provenance.trail(items_in(text)[0])[0]
    return first.span.name, first.role, first.role in USES


def sources_of(provenance: Provenance, span: Span) -> list[UsedValue]:
    """Links from a span to where its agent had the values that it uses."""
    return [link for link in provenance.links() if link.user is span]


def way(trace: Trace, provenance: Provenance, text: str, name: str) -> list[str]:
    """The spans from the last one of a name back to where it had a value from, as far as it goes."""
    at = trace.spans[next(s.span_id for s in reversed(list(trace.spans.values())) if s.name == name)]
    names = [at.name]
    for _ in range(20):
        link = next((u for u in sources_of(provenance, at) if u.value == text), None)
        if link is None:
            return names
        at = link.source
        names.append(at.name)
    raise AssertionError(f"it goes round: {names}")


def test_a_value_comes_from_the_tool_that_first_gave_it() -> None:
    trace, provenance = of(trip())
    assert source(provenance, "640 EUR") == ("search", "result", False)
    assert way(trace, provenance, "640 EUR", "researcher") == ["researcher", "search"]
    assert way(trace, provenance, "640 EUR", "planner")[-1] == "quote"  # which gave it again, and later


def test_a_value_of_the_request_comes_from_whoever_asked() -> None:
    _, provenance = of(trip())
    assert source(provenance, "900 EUR") == ("planner", "seen", False)


def test_an_invented_value_has_no_source_but_its_agent_s_own_words() -> None:
    trace, provenance = of(invented())
    assert source(provenance, "H99") == ("chat", "said", True)
    assert way(trace, provenance, "H99", "quote") == [
        "quote", "booker", "delegate booker", "delegate researcher", "researcher", "chat",
    ]  # fmt: skip


def test_the_uses_of_a_span_are_the_links_that_lead_to_it() -> None:
    run = invented()
    trace, provenance = of(run)
    booker = trace.spans[run.names["delegate booker"]]
    links = provenance.links()
    used = {(u.user.name, u.value) for u in links if u.source is booker and u.kind == "identifier"}
    assert used == {("booker", "H99"), ("booker", "T-77")}
    for link in links:
        assert link.source.start_ns <= max(link.user.end_ns, link.user.start_ns)


def test_a_value_that_an_agent_answered_to_who_called_it_directly_comes_from_there() -> None:
    trace, provenance = of(called_in_process())
    assert way(trace, provenance, "640 EUR", "writer") == ["writer", "delegate writer", "researcher", "search"]
    assert way(trace, provenance, "900 EUR", "writer") == ["writer", "delegate writer", "lead"]


def test_what_a_tool_only_repeats_of_its_question_is_no_source() -> None:
    run = Scenario()
    with run.agent("planner", task="Go."):
        run.says("I try H55.")
        run.tool("lookup", {"id": "H55"}, {"id": "H55", "error": "no such hotel"})
        run.says("H55 it is.")
    trace, provenance = of(run)
    assert source(provenance, "H55") == ("chat", "said", True)
    assert way(trace, provenance, "H55", "planner") == ["planner", "chat"]


def test_a_value_is_one_in_every_writing() -> None:
    run = Scenario()
    asked, given = "At most $1,200, by March 3rd, 2026.", "Book for 2026-03-03, at most 1200 USD."
    with run.agent("planner", task=asked), run.delegate("booker", given):
        run.says("Booked.")
    trace, provenance = of(run)
    assert way(trace, provenance, "1200 USD", "booker") == ["booker", "delegate booker", "planner"]
    assert way(trace, provenance, "2026-03-03", "booker") == ["booker", "delegate booker", "planner"]


def test_a_link_that_an_emitter_sent_is_observed_and_what_is_worked_out_is_inferred() -> None:
    run = trip()
    linked = SpanLinked(
        run.trace_id, run.names["quote"], run.now_ns, LinkKind.USED_VALUE_OF, run.trace_id, run.names["search"],
        {"value": "H7"},
    )  # fmt: skip
    run.facts.append(linked)
    trace, provenance = of(run)
    links = sources_of(provenance, trace.spans[run.names["quote"]])
    assert [(u.source.name, u.value, u.grade) for u in links if u.value == "H7"] == [
        ("search", "H7", "observed"), ("booker", "H7", "inferred"),
    ]  # fmt: skip


def test_an_agent_that_was_shown_another_s_words_had_them_from_there() -> None:
    run = Scenario()
    with run.agent("team"):
        with run.agent("ana", task="Think of a code."):
            run.says("The code is QX-4711.")
        with run.agent("ben", task="Wait."):
            run.hears("The code is QX-4711.")
            run.says("I use QX-4711.")
    trace, provenance = of(run)
    assert way(trace, provenance, "QX-4711", "ben") == ["ben", "chat", "ana", "chat"]


def test_beyond_its_bound_the_index_counts_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "MAX_PAIRS_COUNT", 4)
    _, provenance = of(trip())
    assert provenance.left_out_count > 0
    assert len(provenance._holders) <= 4


def test_each_payload_is_read_once_however_often_it_is_shown_and_asked_about() -> None:
    run = Scenario()
    with run.agent("worker", task=REQUEST):
        for turn in range(30):
            run.says(f"Step {turn}: code AB-{turn}.")
    trace = run.empty_trace()
    provenance = provenance_of(trace)
    bodies = {f.digest for f in run.facts if isinstance(f, Payload)}
    for fact in run.facts:
        trace.apply(fact, run.source)
        provenance.refresh()
    provenance.links()
    assert provenance.read_count == len(bodies)


def test_a_conversation_of_lists_is_walked_no_further_than_what_is_new() -> None:
    """Counts of list bodies asked for: a constant for each call, and not the length of the conversation."""
    count = 400
    lists, bodies, facts = Lists(), {}, []
    said: list[bytes] = []
    for turn in range(count):
        body = ("text/plain", f"part AB-{turn}".encode())
        said.append(digest(*body))
        bodies[said[-1]] = body
        entries = list(said)
        if turn > 4:
            entry, held = lists.entry(said)
            bodies[entry[1:]] = ("application/vnd.trajectory.list", held)
            entries = [entry]
        span_id = (turn + 2).to_bytes(8, "big")
        contents = {Slot.INPUT: entries}
        facts += [
            SpanStarted(b"t" * 16, span_id, b"\0" * 7 + b"\1", turn + 10, 0, SpanKind.MODEL, "chat", contents=contents),
            SpanEnded(b"t" * 16, span_id, turn + 10, 0),
        ]
    asked: list[bytes] = []

    def payload(address: bytes) -> tuple[str, bytes] | None:
        asked.append(address)
        return bodies.get(address)

    trace = Trace(b"t" * 16, payload)
    trace.apply(
        SpanStarted(b"t" * 16, b"\0" * 7 + b"\1", b"", 1, 0, SpanKind.AGENT, "worker", "worker"), Scenario().source
    )
    provenance = provenance_of(trace)
    for fact in facts:
        trace.apply(fact, Scenario().source)
        provenance.refresh()
    assert provenance.read_count == count
    assert len(asked) < 8 * count


def test_a_list_of_messages_that_is_stored_late_is_read_when_it_is_there() -> None:
    said, named = ("text/plain", b"Booked QX-77 for you."), ("text/plain", b"What now?")
    entry, held = Lists().entry([digest(*said), digest(*named)])
    bodies = {digest(*said): said, digest(*named): named}
    trace = Trace(b"t" * 16, bodies.get)
    agent = SpanStarted(b"t" * 16, b"\0" * 7 + b"\1", b"", 1, 0, SpanKind.AGENT, "worker", "worker")
    model = SpanStarted(
        b"t" * 16, b"\0" * 7 + b"\2", agent.span_id, 2, 0, SpanKind.MODEL, "chat", contents={Slot.INPUT: [entry]}
    )
    provenance = provenance_of(trace)
    for fact in (agent, model):
        trace.apply(fact, Scenario().source)
        provenance.refresh()
    assert provenance.read_count == 0
    bodies[entry[1:]] = ("application/vnd.trajectory.list", held)
    provenance.refresh()
    assert provenance.read_count == 2
