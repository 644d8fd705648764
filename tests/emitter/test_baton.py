"""The baton: W3C headers in and out, whatever comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trajectory.emitter import baton
from trajectory.emitter.current import Carried, Scope

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"

ids = st.binary(min_size=16, max_size=16).filter(any)
span_ids = st.binary(min_size=8, max_size=8).filter(any)
tokens = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=20)
values = st.text("abcXYZ0189.%/:", max_size=30)


@given(ids, span_ids, st.none() | st.text(min_size=1, max_size=200), st.lists(st.tuples(tokens, values), max_size=10))
def test_what_is_written_is_read(
    trace_id: bytes, span_id: bytes, session: str | None, members: list[tuple[str, str]]
) -> None:
    if session is not None:
        session = session.encode("utf-8", "replace").decode()
    carried = Carried("vendor=1,other=a:b", tuple(members))
    headers = baton.headers_of(Scope(trace_id, span_id, session, carried))
    assert all(value.isascii() and value.isprintable() for value in headers.values())
    place = baton.read(headers)
    assert place is not None
    assert (place.trace_id, place.span_id, place.session) == (trace_id, span_id, session)
    assert place.carried == carried


anything = st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.binary(), st.lists, max_leaves=5)


@given(anything | st.dictionaries(st.text() | st.binary() | st.sampled_from(["traceparent", "BAGGAGE"]), anything))
def test_no_headers_at_all_make_it_raise(headers: object) -> None:
    place = baton.read(headers)
    assert place is None or (len(place.trace_id), len(place.span_id)) == (16, 8)


@given(st.text(max_size=80))
def test_no_traceparent_makes_it_raise(text: str) -> None:
    place = baton.read({"traceparent": text})
    assert place is None or text.strip().startswith(("0", "1", "2", "3", "4", "5", "6", "7", "8", "9", *"abcdef"))


@pytest.mark.parametrize(
    "headers",
    [
        {"Traceparent": PARENT},
        {"TRACEPARENT": PARENT.encode()},
        {b"traceparent": [PARENT.encode()]},
        [(b"traceparent", PARENT.encode()), (b"accept", b"*/*")],
        {"traceparent": f"  {PARENT} "},
        {"traceparent": PARENT[:-2] + "00"},
        {"traceparent": f"cc{PARENT[2:]}-what-the-future-brings"},
    ],
)
def test_names_in_any_case_and_values_of_any_kind_are_read(headers: object) -> None:
    place = baton.read(headers)
    assert place is not None
    assert (place.trace_id.hex(), place.span_id.hex()) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        PARENT[:-1],
        PARENT.upper(),
        f"ff{PARENT[2:]}",
        f"{PARENT}-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-xy",
        f"{PARENT},{PARENT}",
    ],
)
def test_a_traceparent_that_is_none_names_nothing(value: str) -> None:
    assert baton.read({"traceparent": value}) is None


def test_what_others_put_in_is_handed_on() -> None:
    place = baton.read({"traceparent": PARENT, "tracestate": "a=1", "baggage": "user=7;p=1,broken, x = y ,=z"})
    assert place is not None
    assert baton.headers_of(place) == {"traceparent": PARENT, "tracestate": "a=1", "baggage": "user=7;p=1,x=y"}


def test_repeated_headers_are_joined() -> None:
    place = baton.read([("traceparent", PARENT), ("baggage", "a=1"), ("Baggage", "b=2")])
    assert place is not None
    assert baton.headers_of(place)["baggage"] == "a=1,b=2"


def test_a_line_break_never_reaches_the_next_header() -> None:
    place = baton.read({"traceparent": PARENT, "tracestate": "a=1\r\nX-Evil: 1", "baggage": "k=v\r\nX: 1,s=\x00t"})
    assert place is not None
    assert all(value.isprintable() for value in baton.headers_of(place).values())


def test_oversized_baggage_is_cut_and_the_session_stays() -> None:
    carried = Carried("", tuple((f"k{index}", "v" * 100) for index in range(200)))
    headers = baton.headers_of(Scope(b"t" * 16, b"s" * 8, "chat", carried))
    assert len(headers["baggage"]) <= 8192
    place = baton.read(headers)
    assert place is not None and place.session == "chat"
