"""Rules of numbers that are none: whatever a call says that it used, sums, baselines and metrics hold only what can be."""

from math import inf, isfinite, nan
from random import Random

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.scenarios import Scenario
from trajectory.graph.trace import Trace
from trajectory.model.words import COSTS, INPUT_TOKENS, MODEL_NAME, OUTPUT_TOKENS
from trajectory.signals.anomalies import measures
from trajectory.signals.anomaly import COST, FIRST_TOKEN, TOKENS
from trajectory.signals.book import Book
from trajectory.signals.exposition import PLAIN, text_of
from trajectory.signals.families import families
from trajectory.signals.measures import CACHED_TOKENS, FIRST_CHUNK_S, REASONING_TOKENS, Measure
from trajectory.signals.prices import load_prices
from trajectory.signals.published import Publishing
from trajectory.signals.tally import Changes, TraceTally
from trajectory.signals.watch import Watch

NO_NUMBERS = [nan, inf, -inf, -1, -0.5, 1e308, 10**400, 1 << 63, "many", "", None, True, [1], {"a": 1}]
SAID = (INPUT_TOKENS, OUTPUT_TOKENS, CACHED_TOKENS, REASONING_TOKENS, FIRST_CHUNK_S, *COSTS)


def run_saying(number: object, number_of: int = 1) -> Trace:
    """A call whose numbers are all that one, between two that say what they used."""
    run = Scenario(trace_id=number_of.to_bytes(16, "big"))
    with run.agent("planner", task="Find a hotel"):
        run.says("I search.", attributes={MODEL_NAME: "gpt-4o", INPUT_TOKENS: 1000, OUTPUT_TOKENS: 10})
        run.says("I search.", attributes={MODEL_NAME: "gpt-4o", **dict.fromkeys(SAID, number)})
        run.says("I search.", attributes={MODEL_NAME: "gpt-4o", INPUT_TOKENS: 1000, OUTPUT_TOKENS: 10})
        run.returns("H99")
    return run.trace()


def published(trace: Trace) -> dict[str, float]:
    """The sums of one trace as Prometheus reads them, by sample and labels."""
    book, tally = Book(), TraceTally(trace, load_prices())
    tally.look()
    book.put(tally.take(), trace.trace_id, trace.last_ns)
    text = text_of(families(Publishing(book).copy((), {})), PLAIN).decode()
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("number", NO_NUMBERS, ids=lambda number: repr(number)[:12])
def test_a_number_that_is_none_is_not_known_and_never_nothing(number: object) -> None:
    samples = published(run_saying(number))
    assert all(isfinite(value) and value >= 0 for value in samples.values())
    by_name = {name: value for name, value in samples.items() if "gpt-4o" in name}
    cost = sum(value for name, value in by_name.items() if name.startswith("trajectory_cost_usd_total"))
    assert cost == pytest.approx(2 * (1000 * 2.5e-6 + 10 * 10e-6))
    assert sum(value for name, value in by_name.items() if name.startswith("trajectory_unknown_cost_calls_total")) == 1
    tokens = [value for name, value in by_name.items() if name.startswith("gen_ai_client_token_usage_count")]
    assert tokens and set(tokens) == {2}
    watch, trace = Watch(), run_saying(number)
    assert watch.put(trace.trace_id, list(measures(trace, watch)), trace.last_ns) == []
    seen = {key.metric: len(series._recent) for key, series in watch._new.items() if key.kind == "model"}
    assert (seen[TOKENS], seen[COST], seen.get(FIRST_TOKEN, 0)) == (2, 2, 0)


def test_values_that_can_hardly_be_spoil_neither_sums_nor_what_is_usual() -> None:
    watch, book, dice = Watch(), Book(), Random(1)
    began_ns = 1_790_000_000_000_000_000
    for run in range(300):
        at_ns = began_ns + run * 60_000_000_000
        took_s = dice.choice((0.0, 9.2e9, 1e-9)) if run % 40 == 7 else dice.lognormvariate(0, 0.2)
        tokens = 10**17 if run % 40 == 7 else 1000
        one = Measure(
            "model", "m", "a", "s", "1", "", at_ns, b"s", duration_s=took_s, input_tokens=tokens, cost_usd=float(tokens)
        )
        assert watch.put(run.to_bytes(16, "big"), [one], at_ns) == []
        book.put(Changes(added=[one], removed=[]), b"t" * 16, at_ns)
    (usual,) = (series._stream.usual for key, series in watch._warm.items() if key.metric == TOKENS)
    assert usual is not None and usual.middle == pytest.approx(1000)
    text = text_of(families(Publishing(book).copy((), {})), PLAIN).decode()
    values = [sample.value for family in text_string_to_metric_families(text) for sample in family.samples]
    assert values and all(isfinite(value) and value >= 0 for value in values)
