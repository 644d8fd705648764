"""Rules of the sums over all traces: bounded whatever comes, old windows give way, what is taken back was there."""

import random

import pytest

from tests.scenarios import Scenario
from trajectory.signals import book as books
from trajectory.signals import tally as tallies
from trajectory.signals.book import DAY_MINUTES, KEPT_MINUTES, Book
from trajectory.signals.figures import OTHER, Figures
from trajectory.signals.measures import Measure
from trajectory.signals.prices import load_prices
from trajectory.signals.tally import Changes, TraceTally, read_saved

PRICES = load_prices()
NOW_NS = 1_790_000_000_000_000_000
MINUTE_NS = 60_000_000_000


def measure(name: str = "dig", at_ns: int = NOW_NS, **more: object) -> Measure:
    fields = {"agent": "a", "service": "s", "version": "1", "provider": "", "duration_s": 0.5, **more}
    return Measure(kind="tool", name=name, at_ns=at_ns, span_id=b"s", **fields)  # type: ignore[arg-type]


def put(book: Book, *measures: Measure, now_ns: int = NOW_NS) -> None:
    book.put(Changes(added=list(measures), removed=[]), b"t" * 16, now_ns)


def count(book: Book) -> int:
    return sum(figures.count for figures in book.totals.values())


def test_tens_of_thousands_of_names_of_any_kind_are_counted_under_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "MAX_SERIES", 300)
    monkeypatch.setattr(books, "LENGTHS", tuple(length._replace(most=500) for length in books.LENGTHS))
    book, dice = Book(), random.Random(1)
    names = ["\x1b[31m\x00", "x" * 100_000, "a\nb", "\ud800"]
    for n in range(30_000):
        put(book, measure(f"n{n}" if n % 10 else names[n // 10 % 4], agent=f"a{dice.randrange(9)}"))
    assert count(book) == 30_000 and len(book.totals) <= 303
    assert {labels.name for labels in book.totals} > {OTHER}
    texts = [text for labels in book.totals for text in labels]
    assert all(text.isprintable() and len(text) < 1000 for text in texts)
    assert len(book._placed) <= 20_001


def test_where_there_are_too_many_series_all_others_are_one_of_their_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "MAX_SERIES", 3)
    book = Book()
    for n in range(9):
        put(book, measure(f"n{n}", error="TimeoutError" if n % 2 else ""))
    assert count(book) == 9
    assert {(labels.name, labels.error): figures.count for labels, figures in book.totals.items()} == {
        ("n0", ""): 1, ("n1", "TimeoutError"): 1, ("n2", ""): 1, (OTHER, OTHER): 3, (OTHER, ""): 3,
    }  # fmt: skip


def test_windows_grow_longer_with_age_and_go_after_a_month() -> None:
    book, every = Book(), 5
    for minute in range(0, 32 * DAY_MINUTES, every):
        put(book, measure(at_ns=NOW_NS + minute * MINUTE_NS), now_ns=NOW_NS + minute * MINUTE_NS)
    assert len(book.windows) < 135 // every + 23 * 4 + 6 * 24 + 23 * 4 + 20
    kept = sum(figures.count for _, _, figures in book.since(0))
    assert 0 <= kept - KEPT_MINUTES // every <= 360 // every and count(book) == 32 * DAY_MINUTES // every
    assert sum(book._counts) == sum(map(len, book.windows.values()))
    newest = (NOW_NS + 32 * DAY_MINUTES * MINUTE_NS) // MINUTE_NS
    assert {figures.count for _, _, figures in book.since(newest - 60)} == {1}
    assert sum(1 for _ in book.since(newest - 60)) == 60 // every
    ages = (60, 6 * 60, 3 * DAY_MINUTES, 20 * DAY_MINUTES)
    assert [book.window_minutes(newest - age) for age in ages] == [1, 15, 60, 360]


def test_what_is_taken_back_is_taken_from_where_it_lies_by_now() -> None:
    book, one = Book(), measure()
    put(book, one)
    book.passes(NOW_NS + 5 * 60 * MINUTE_NS)
    book.put(Changes(added=[], removed=[one]), b"t" * 16, NOW_NS + 5 * 60 * MINUTE_NS)
    assert count(book) == 0 and all(figures.is_nothing for _, _, figures in book.since(0))


def test_windows_grow_longer_sooner_where_there_are_too_many_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "LENGTHS", tuple(length._replace(most=100) for length in books.LENGTHS))
    book = Book()
    for n in range(4000):
        put(book, measure(f"n{n % 50}", at_ns=NOW_NS + n * MINUTE_NS), now_ns=NOW_NS + n * MINUTE_NS)
    assert sum(map(len, book.windows.values())) == sum(book._counts) <= 400 and count(book) == 4000
    assert sum(figures.count for w, _, figures in book.since(0) if w >= (NOW_NS // MINUTE_NS) + 3700) >= 150


def test_a_clock_that_runs_ahead_makes_no_window() -> None:
    book = Book()
    put(book, measure(at_ns=NOW_NS + 10**18))
    assert count(book) == 1 and not book.windows


@pytest.mark.parametrize("days", [0.5, 2, 400])
def test_a_clock_that_jumps_ahead_and_back_leaves_room_for_what_comes_then(days: float) -> None:
    book = Book()
    put(book, measure())
    ahead_ns = NOW_NS + int(days * 24 * 60) * MINUTE_NS
    put(book, measure(at_ns=ahead_ns), now_ns=ahead_ns)
    for minute in range(1, 5):
        put(book, measure(at_ns=NOW_NS + minute * MINUTE_NS), now_ns=NOW_NS + minute * MINUTE_NS)
    now = NOW_NS // MINUTE_NS
    assert sum(figures.count for window, _, figures in book.since(0) if abs(window - now) < 60) >= 4
    assert count(book) == 6 and sum(book._counts) == sum(map(len, book.windows.values()))


def test_a_trace_of_many_names_and_hours_has_a_bounded_tally(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "MAX_GROUPS", 40)
    run = Scenario()
    with run.agent("planner", task="Dig"):
        for n in range(200):
            run.tool(f"tool {n}", {"n": n}, result="ok")
            run.passes(300)
        run.returns("Done.")
    tally = TraceTally(run.trace(), PRICES)
    assert tally.look()
    assert sum(f.count for g, f in tally.tally.items() if g.kind == "tool") == 200 and len(tally.tally) <= 43
    saved = read_saved(tally.written())
    assert saved is not None and dict(saved.groups) == tally.tally
    again = TraceTally(run.trace(), PRICES, tally.written())
    assert not again.look()


def test_a_tool_at_many_hours_is_summed_up_in_longer_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "MAX_GROUPS", 4)
    run = Scenario()
    with run.agent("planner", task="Dig"):
        for _ in range(30):
            run.tool("dig", {}, result="ok")
            run.passes(300)
        run.returns("Done.")
    tally = TraceTally(run.trace(), PRICES)
    assert tally.look()
    assert sum(f.count for g, f in tally.tally.items() if g.name == "dig") == 30 and len(tally.tally) <= 6


def test_a_tally_that_cannot_be_read_is_counted_anew() -> None:
    run = Scenario()
    with run.agent("planner", task="Dig"):
        run.tool("dig", {}, result="ok")
        run.returns("Done.")
    tally = TraceTally(run.trace(), PRICES, b"\xc1 nothing of ours")
    assert tally.look() and len(tally.take().added) == 2


def test_sums_that_an_earlier_process_counted_are_in_the_windows_only() -> None:
    run = Scenario()
    with run.agent("planner", task="Dig"):
        run.tool("dig", {}, result="ok")
        run.returns("Done.")
    tally = TraceTally(run.trace(), PRICES)
    tally.look()
    book = Book()
    book.passes(run.trace().last_ns)
    book.add(tally.tally, is_new=False)
    assert count(book) == 0 and sum(figures.count for _, _, figures in book.since(0)) == 2
    assert Figures().is_nothing
