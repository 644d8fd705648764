"""The view of work in numbers: the same from a running collector and from its store, bounded, nothing of it mixed."""

from pathlib import Path

import pytest

from tests.collector.builders import SECOND_NS, Clock
from tests.scenarios import SOURCE, Scenario
from trajectory.collector import rolling, runs_then
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.publish import Publisher
from trajectory.collector.rolling import Rolling, Sums
from trajectory.collector.runs_then import MAX_RUNS, RunsThen
from trajectory.collector.signal_rows import signals_view
from trajectory.collector.store_feed import StoreFeed
from trajectory.model.fact import Batch
from trajectory.model.words import INPUT_TOKENS, MODEL_NAME, OUTPUT_TOKENS
from trajectory.signals.book import Book, Labels
from trajectory.signals.figures import WINDOW_NS, Figures, Group
from trajectory.signals.measures import Kind
from trajectory.store.sqlite import open_reader, open_writer
from trajectory.view.rows import Health, TraceRow
from trajectory.view.views import Missing, SignalsQuery, SignalsView

USED = {MODEL_NAME: "gpt-4o", INPUT_TOKENS: 1000, OUTPUT_TOKENS: 10}


def story() -> Scenario:
    run = Scenario()
    with run.agent("planner", task="Find a hotel"):
        run.says("I ask.", attributes=USED)
        with run.delegate("research", task="Find a hotel"):
            run.tool("search", {"city": "Lyon"}, error=("TimeoutError", "no answer"))
            run.passes(300)
            run.tool("search", {"city": "Lyon"}, result="3 hotels")
            run.says("H99.", attributes=USED | {MODEL_NAME: "our-own"})
            run.returns("H99")
        run.returns("Take H99.")
    return run


@pytest.fixture
def both(tmp_path: Path) -> list[Publisher | StoreFeed]:
    """A collector and a store, of the same run."""
    run, clock = story(), Clock()
    clock.at_ns = run.trace().last_ns + SECOND_NS
    writer = open_writer(tmp_path / "store.db")
    pipeline = Pipeline(writer, [], clock)
    batch = Batch(SOURCE, 0, run.facts)
    pipeline.store([batch])
    pipeline.fold([batch])
    pipeline.finish()
    health = Health(now_ns=clock.at_ns)
    return [
        Publisher(pipeline, lambda: health, is_live=lambda: True, clock=lambda: 0),
        StoreFeed(open_reader(tmp_path / "store.db"), "store.db"),
    ]


def asked(of: Publisher | StoreFeed, **query: object) -> SignalsView:
    for _ in range(100):  # a busy machine gives parts
        view = of.answer(SignalsQuery(**query), -1) if isinstance(of, Publisher) else of.pull(SignalsQuery(**query), -1)  # type: ignore[arg-type]
        assert isinstance(view, SignalsView)
        if view.version >= 0:
            break
    return view


def test_a_collector_and_its_store_say_the_same(both: list[Publisher | StoreFeed]) -> None:
    for query in ({"by": by} for by in ("agent", "model", "tool", "edge", "service", "version", "finding", "error")):
        live, stored = (asked(of, **query) for of in both)
        assert [(s.name, s.kind, s.total, s.points) for s in live.series] == [
            (s.name, s.kind, s.total, s.points) for s in stored.series
        ]
    of_agents = asked(both[0], by="agent")
    assert {(s.name, s.kind, s.total.calls) for s in of_agents.series} == {
        ("planner", "model", 1), ("planner", "agent", 1), ("research", "model", 1), ("research", "tool", 2),
        ("research", "agent", 1),
    }  # fmt: skip
    (edge,) = asked(both[0], by="edge").series
    assert (edge.name, edge.total.calls) == ("planner → research", 1)


def test_points_lie_in_windows_and_a_model_without_price_is_counted_so(both: list[Publisher | StoreFeed]) -> None:
    view = asked(both[0], by="tool")
    assert [(p.calls, p.errors) for p in view.series[0].points] == [(1, 1), (1, 0)]
    assert view.series[0].trace_id == story().trace().trace_id.hex()
    wide = asked(both[0], by="tool", points=1)
    assert len(wide.series[0].points) == 1 and wide.window_ns == 3600 * SECOND_NS
    models = {s.name: s.total for s in asked(both[0], by="model").series}
    assert models["gpt-4o"].cost_usd == pytest.approx(0.0026) and models["gpt-4o"].cost_unknown == 0
    assert (models["our-own"].cost_usd, models["our-own"].cost_unknown) == (0, 1)
    assert (models["our-own"].tokens_known, models["our-own"].chars_known) == (1, 1)
    assert (view.series[0].total.tokens_known, view.series[0].total.chars_known) == (0, 0)


def test_one_trace_one_agent_one_kind_and_a_limit(both: list[Publisher | StoreFeed]) -> None:
    trace_id = story().trace().trace_id.hex()
    for of in both:
        view = asked(of, by="agent", trace_id=trace_id, minutes=0, agent="research", kind="tool")
        assert [(s.name, s.total.calls) for s in view.series] == [("research", 2)]
        assert asked(of, by="agent", trace_id=trace_id, minutes=0, points=0).window_ns % (60 * SECOND_NS) == 0
        assert view.window_ns < 60 * SECOND_NS and sum(p.calls for p in view.series[0].points) == 2  # it is short
        assert (len(asked(of, limit=1).series), asked(of, limit=1).total) == (1, 5)
        assert asked(of, service="nobody").series == []
    assert isinstance(both[1], StoreFeed)
    assert isinstance(both[1].pull(SignalsQuery(trace_id="ab" * 16), -1), Missing)
    both[1].close()


def test_a_look_at_one_trace_counts_nothing_twice(both: list[Publisher | StoreFeed]) -> None:
    before = asked(both[0], by="model")
    asked(both[0], by="model", trace_id=story().trace().trace_id.hex(), minutes=0)
    assert asked(both[0], by="model").series == before.series


def test_which_runs_were_at_work_then_is_said_with_the_numbers_of_that_time(both: list[Publisher | StoreFeed]) -> None:
    trace = story().trace()
    at_ns = trace.first_ns
    for of in both:
        for query, found in (
            ({"by": "tool", "name": "search", "work": "tool"}, [1]),
            ({"by": "tool", "name": "nobody", "work": "tool"}, [0]),
            ({"agent": "nobody"}, [0]),
            ({"trace_id": trace.trace_id.hex(), "minutes": 0, "name": "search"}, [1]),
            ({"trace_id": trace.trace_id.hex(), "minutes": 60}, [1]),
        ):
            for _ in range(2):  # the second time it is known
                view = asked(of, at_ns=at_ns, until_ns=trace.last_ns + 1, **query)
                assert [view.runs_total] == found and len(view.runs or ()) == found[0], query
        assert asked(of, at_ns=at_ns, until_ns=at_ns).runs == []  # no time at all
        assert asked(of, at_ns=at_ns + 10**15, until_ns=at_ns + 10**15 + 1).runs == []  # long after it


def test_a_collector_that_begins_anew_knows_the_runs_of_a_time_by_what_was_saved(
    both: list[Publisher | StoreFeed],
) -> None:
    before = both[0]
    assert isinstance(before, Publisher)
    store, at_ns, until_ns = before._library.writer, story().trace().first_ns, story().trace().last_ns + 1  # type: ignore[attr-defined]
    pipeline = Pipeline(store, [], Clock())
    pipeline.recover()
    after = Publisher(pipeline, lambda: Health(now_ns=until_ns), is_live=lambda: True, clock=lambda: 0)
    query = {"by": "tool", "name": "search", "work": "tool", "at_ns": at_ns, "until_ns": until_ns}
    assert asked(after, **query).runs_total == 1


def row_at(number: int, started_ns: int) -> TraceRow:
    return TraceRow(number.to_bytes(16, "big").hex(), "", "done", "", "", started_ns, started_ns + 2)


def test_runs_of_a_time_are_looked_for_to_a_bound_and_a_day_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_then, "_MOST_KNOWN", 1)
    asked_for: list[bytes] = []

    def groups_of(trace_id: bytes) -> list[Group]:
        asked_for.append(trace_id)
        name = "search" if trace_id[-1] % 2 else "dig"
        return [Group(10**6, Kind.TOOL, name, "", "", "", "", ""), Group(1, Kind.TOOL, "search", "", "", "", "", "")]

    at_ns = 10**6 * WINDOW_NS
    query = SignalsQuery(by="tool", name="search", work=Kind.TOOL, at_ns=at_ns, until_ns=at_ns + WINDOW_NS)
    rows = [row_at(n, at_ns - n + 1) for n in range(1, 3 * MAX_RUNS)]
    runs, total, are_more = RunsThen(groups_of).of(query, rows)
    assert (runs, total, are_more) == (rows[:3:2], 2, False)  # those that were over before are none of it
    long_before = [row_at(1, at_ns + 1), row_at(2, at_ns - 2 * 86_400_000_000_000), row_at(3, at_ns + 1)]
    assert RunsThen(groups_of).of(query, long_before)[0] == long_before[:1]
    many = [row_at(n, at_ns + n) for n in range(3 * MAX_RUNS)]
    runs, total, are_more = RunsThen(groups_of).of(query, many)
    assert (len(runs), total, are_more) == (MAX_RUNS, MAX_RUNS, True)
    assert len(asked_for) < 4 * MAX_RUNS


def counted(*windows: int) -> Book:
    book = Book()
    figures = Figures()
    figures.count = 1
    book.passes(max(windows) * WINDOW_NS)
    for window in windows:
        book.add({Group(window, Kind.TOOL, "search", "a", "", "", "", ""): figures})
    return book


def summed(of: Rolling, book: Book, question: object = "") -> Sums:
    return of.sums(book, 0, 1, question, lambda labels: (labels.name, labels.kind), lambda labels: None)


def test_what_there_is_no_time_for_stands_as_it_was_and_is_said_to_be_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolling, "MAX_QUESTIONS", 2)
    book, of = counted(10**6), Rolling()
    whole = summed(of, book)
    assert whole.is_whole and [slot.series["search", Kind.TOOL].count for slot in whole.slots.values()] == [1]
    book.add({Group(10**6, Kind.TOOL, "search", "a", "", "", "", ""): whole.totals["search", Kind.TOOL]})
    of._budget_ns = -1
    part = summed(of, book)
    assert not part.is_whole and [slot.series["search", Kind.TOOL].count for slot in part.slots.values()] == [1]
    for question in range(3):
        summed(of, book, question)
    assert not summed(of, book).slots  # three questions later nothing is kept of the first


@pytest.mark.parametrize(("agent", "marks"), [("", 1), ("a", 1), ("nobody", 0)])
def test_a_finding_is_marked_where_its_agent_is_asked_for(agent: str, marks: int) -> None:
    figures = Figures()
    figures.count = 1
    finding = Group(10**6, Kind.FINDING, "cascade", "a", "", "", "", "critical")
    points = [(finding.window, Labels(*finding[1:]), figures)]
    view = signals_view(SignalsQuery(agent=agent), points, finding.window * WINDOW_NS, 1, Health())
    assert len(view.marks) == marks
