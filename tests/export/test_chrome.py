"""A Chrome trace's slices nest on their track, and its arrows begin and end inside slices."""

import io
import itertools
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.export.build import Scene, trip
from tests.export.strategies import calm, wild
from trajectory.export.chrome import CHROME_TRACE


def events_of(scene: Scene) -> list[dict[str, Any]]:
    out = io.BytesIO()
    CHROME_TRACE.write(scene.subject(), out)
    document = json.loads(out.getvalue())
    events: list[dict[str, Any]] = document["traceEvents"]
    return events


def slices(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["ph"] == "X"]


def test_each_invocation_has_a_track_in_its_service() -> None:
    events = events_of(trip())
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    services = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    at = {e["name"]: (services[e["pid"]], names[e["pid"], e["tid"]]) for e in slices(events)}
    assert at["coordinator"] == ("travel", "coordinator#1")
    assert at["search"] == ("travel", "researcher#1")
    assert at["booker"] == ("booking", "booker#1")


def test_times_are_microseconds_from_the_start() -> None:
    search = next(e for e in slices(events_of(trip())) if e["name"] == "search")
    assert (search["ts"], search["dur"]) == (2_000_000, 1_000_000)
    assert search["args"]["output"] == "Error: 503" and search["args"]["status"] == "error"


def test_an_open_span_lasts_to_the_end_of_what_is_known() -> None:
    quote = next(e for e in slices(events_of(trip())) if e["name"] == "quote")
    assert quote["args"]["open"] is True and quote["ts"] + quote["dur"] == 9_000_000


def test_each_delegation_is_an_arrow_from_a_slice_to_a_slice() -> None:
    events = events_of(trip())
    arrows = [e for e in events if e.get("cat") == "delegation" and e["ph"] in "sf"]
    assert [e["ph"] for e in arrows] == ["s", "f", "s", "f"]
    assert [e["name"] for e in arrows if e["ph"] == "s"] == ["call (observed)", "transfer (declared)"]
    for arrow in arrows:
        around = [e for e in slices(events) if (e["pid"], e["tid"]) == (arrow["pid"], arrow["tid"])]
        assert any(e["ts"] <= arrow["ts"] <= e["ts"] + e["dur"] for e in around)


def test_a_delegation_that_only_nesting_tells_of_starts_at_the_sender() -> None:
    scene = Scene()
    root = scene.span("agent", "boss", agent="boss", end=5)
    scene.span("agent", "aide", root, agent="aide", at=2, end=3)
    events = events_of(scene)
    sent, taken = (e for e in events if e["ph"] in "sf" and e.get("cat") == "delegation")
    boss = next(e for e in slices(events) if e["name"] == "boss")
    assert sent["tid"] == boss["tid"] != taken["tid"] and sent["ts"] == taken["ts"] == 2_000_000


times = st.tuples(st.integers(0, 6), st.integers(0, 6), st.booleans(), wild)


@calm
@given(st.lists(times, min_size=1, max_size=8))
def test_slices_of_one_track_nest_or_follow(some: list[tuple[int, int, bool, str]]) -> None:
    scene = Scene()
    root = scene.span("agent", "a", agent="a", end=12)
    for at, length, is_open, name in some:
        scene.span("tool", name, root, at=at, end=None if is_open else at + length)
    drawn = slices(events_of(scene))
    assert len(drawn) == len(some) + 1
    for one, other in itertools.combinations(drawn, 2):
        if (one["pid"], one["tid"]) != (other["pid"], other["tid"]):
            continue
        (a, b), (c, d) = sorted([(one["ts"], one["ts"] + one["dur"]), (other["ts"], other["ts"] + other["dur"])])
        assert c >= b or d <= b or a == c


def test_a_trace_without_a_single_span_has_no_event() -> None:
    assert events_of(Scene()) == []


def test_what_was_never_seen_has_no_slice_and_no_arrow() -> None:
    scene = Scene()
    scene.span("tool", "late", b"\xaa" * 8, attributes={"gen_ai.tool.name": "late"})
    scene.span("delegation", "to nobody", attributes={"trajectory.delegation.target": "nobody"}, task=["lost"])
    events = events_of(scene)
    assert [event["name"] for event in slices(events)] == ["late", "to nobody"]
    assert not [event for event in events if event.get("cat") == "delegation" and event["ph"] in "sf"]
