"""The list of runs reads as far as someone looks, and lists a trace once, as what is known of it now."""

from collections.abc import Sequence
from itertools import islice

from tests.store.memory import MemoryStore
from trajectory.collector.listing import Listing, row_of
from trajectory.store.contract import TraceSummary

LIMIT = 5000


class CountingStore(MemoryStore):
    """Counts the summaries that were read."""

    def __init__(self, saved: Sequence[TraceSummary]) -> None:
        super().__init__()
        self.save_summaries(saved)
        self.read_count = 0

    def summaries(self, limit: int = 500, offset: int = 0, before: TraceSummary | None = None) -> list[TraceSummary]:
        found = super().summaries(limit, offset, before)
        self.read_count += len(found)
        return found


def run(number: int, state: str = "done", **more: int) -> TraceSummary:
    return TraceSummary(number.to_bytes(16, "big"), state=state, started_ns=more.pop("started_ns", number), **more)


def test_the_first_rows_of_many_read_few() -> None:
    store = CountingStore([run(n) for n in range(1, 4000)])
    listing = Listing(store, row_of, LIMIT)
    assert [row.started_ns for row in islice(listing.rows(), 200)] == list(range(3999, 3799, -1))
    assert listing.count() == 3999
    assert store.read_count <= 512


def test_every_trace_is_listed_once_live_ones_first_then_the_latest_start() -> None:
    saved = [run(n, "live" if n % 700 == 0 else "done", started_ns=n // 2) for n in range(1, 3000)]
    listing = Listing(CountingStore(saved), row_of, LIMIT)
    rows = list(listing.rows())
    assert len({row.trace_id for row in rows}) == len(rows) == 2999
    assert rows == sorted(rows, key=lambda row: (row.state != "live", -row.started_ns))


def test_what_is_known_stands_for_what_is_saved_and_pages_go_on_where_they_ended() -> None:
    store = CountingStore([run(n) for n in range(1, 2000)])
    listing = Listing(store, row_of, LIMIT)
    assert next(listing.rows()).started_ns == 1999
    for n in (2500, 7):
        listing.put(row_of(run(n, "live", steps=3)))
        store.save_summaries([run(n, "live", steps=3)])
    rows = list(listing.rows())
    assert [(row.started_ns, row.steps) for row in rows[:3]] == [(2500, 3), (7, 3), (1999, 0)]
    assert len({row.trace_id for row in rows}) == len(rows) == listing.count() == 2000


def test_a_trace_that_is_forgotten_is_listed_no_more() -> None:
    store = CountingStore([run(n) for n in range(1, 4)])
    listing = Listing(store, row_of, LIMIT)
    listing.put(row_of(run(2)))
    assert len(list(listing.rows())) == 3
    gone = (2).to_bytes(16, "big")
    store.delete_trace(gone)
    listing.forget(gone)
    assert [row.started_ns for row in listing.rows()] == [3, 1]


def test_more_rows_than_are_kept_come_back_from_the_store() -> None:
    store = CountingStore([])
    listing = Listing(store, row_of, 20)
    for n in range(1, 50):
        listing.put(row_of(run(n)))
        store.save_summaries([run(n)])
    assert [row.started_ns for row in listing.rows()] == list(range(49, 29, -1))
    assert listing.count() == 20
