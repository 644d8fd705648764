"""The view of work in numbers: the same from a running collector and from its store, bounded, nothing of it mixed."""

from pathlib import Path

import pytest

from tests.collector.builders import SECOND_NS, Clock
from tests.scenarios import SOURCE, Scenario
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.publish import Publisher
from trajectory.collector.store_feed import StoreFeed
from trajectory.model.fact import Batch
from trajectory.model.words import INPUT_TOKENS, MODEL_NAME, OUTPUT_TOKENS
from trajectory.store.sqlite import open_reader, open_writer
from trajectory.view.rows import Health
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
        Publisher(pipeline, lambda: health, is_live=lambda: True),
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


def test_one_trace_one_agent_one_kind_and_a_limit(both: list[Publisher | StoreFeed]) -> None:
    trace_id = story().trace().trace_id.hex()
    for of in both:
        view = asked(of, by="agent", trace_id=trace_id, minutes=0, agent="research", kind="tool")
        assert [(s.name, s.total.calls) for s in view.series] == [("research", 2)]
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
