"""Spans that count already: known however long ago, as long as there is room, and bounded."""

from hypothesis import given
from hypothesis import strategies as st

from trajectory.signals.counted import CountedSpans


@given(st.lists(st.tuples(st.integers(0, 150), st.integers(0, 40)), max_size=400))
def test_what_was_added_is_known_by_its_trace_and_counted_once(adds: list[tuple[int, int]]) -> None:
    counted, known = CountedSpans(), dict[bytes, set[bytes]]()
    for trace, span in adds:
        trace_id, ids = b"trace-%d" % trace, {b"%08d" % span, b"%08dd" % span}
        counted.add(trace_id, ids, 100_000)
        known.setdefault(trace_id, set()).update(ids)
        assert counted.of(trace_id) == known[trace_id]
    assert all(counted.of(trace_id) == ids for trace_id, ids in known.items())
    assert len(counted) == sum(map(len, known.values()))


def test_the_trace_that_was_not_heard_of_for_longest_is_forgotten_first_and_one_alone_never() -> None:
    counted = CountedSpans()
    for trace in range(300):
        counted.add(b"trace-%d" % trace, {b"%08d" % span for span in range(10)}, 1000)
        counted.add(b"trace-0", {b"%08d" % trace}, 1000)
    assert len(counted) <= 1000
    assert counted.of(b"trace-0") and counted.of(b"trace-299") and not counted.of(b"trace-1")
    counted.add(b"trace-299", {b"%08d" % span for span in range(5000)}, 1000)
    assert len(counted) == 5000 and not counted.of(b"trace-0")


def test_a_trace_of_which_nothing_counts_takes_no_room() -> None:
    counted = CountedSpans()
    for trace in range(1000):
        counted.add(b"trace-%d" % trace, set(), 1000)
    assert not counted._latest and not counted._packed
