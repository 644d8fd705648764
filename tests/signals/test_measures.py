"""Rules of what is counted of a run: each piece of work once, unknown is not nothing, and sums can be taken back."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.scenarios import Scenario
from trajectory.errors import ConfigError
from trajectory.graph.trace import ROLLUP_INPUT_TOKENS, ROLLUP_OUTPUT_TOKENS, Trace
from trajectory.model.fact import SpanEnded, SpanStarted
from trajectory.model.words import INPUT_TOKENS, MODEL_NAME, OUTPUT_TOKENS
from trajectory.signals.figures import SECONDS, Figures, Spread, group_of
from trajectory.signals.measures import CACHED_TOKENS, FIRST_CHUNK_S, Measure, delegation_measure, measures_of
from trajectory.signals.prices import load_prices
from trajectory.signals.tally import TraceTally

PRICES = load_prices()


def used(model: str, tokens_in: int, tokens_out: int, **more: object) -> dict[str, object]:
    return {MODEL_NAME: model, INPUT_TOKENS: tokens_in, OUTPUT_TOKENS: tokens_out, **more}


def team() -> Trace:
    run = Scenario()
    with run.agent("planner", task="Find a hotel"):
        run.says("I ask research.", attributes=used("gpt-4o-2024-08-06", 1000, 100))
        with run.delegate("research", task="Find a hotel"):
            failed = run.tool("search", {"city": "Lyon"}, error=("TimeoutError", "no answer"))
            run.tool("search", {"city": "Lyon"}, result="3 hotels", retry_of=failed)
            more = {CACHED_TOKENS: 1500, FIRST_CHUNK_S: 0.25}
            run.says("H99 is best.", attributes=used("claude-sonnet-4-5-20250929", 2000, 200, **more))
            run.says("Or H7.", attributes=used("our-own-model", 10, 10))
            run.returns("H99")
        run.returns("Take H99.")
    return run.trace()


def measured(trace: Trace) -> list[Measure]:
    found = [m for invocation in trace.invocations() for m in measures_of(trace, invocation, PRICES)]
    return [*found, *filter(None, map(delegation_measure, trace.delegations()))]


def of(kind: str, trace: Trace) -> list[Measure]:
    return [m for m in measured(trace) if m.kind == kind]


def test_each_model_call_is_measured_once_with_what_it_used() -> None:
    first, second, third = of("model", team())
    assert (first.agent, first.name, first.input_tokens, first.output_tokens) == (
        "planner",
        "gpt-4o-2024-08-06",
        1000,
        100,
    )
    assert first.cost_usd == pytest.approx(1000 * 2.5e-6 + 100 * 10e-6)
    assert second.cost_usd == pytest.approx(500 * 3e-6 + 1500 * 0.3e-6 + 200 * 15e-6)
    assert (second.cached_tokens, second.first_chunk_s, second.output_chars) == (1500, 0.25, len("H99 is best."))
    assert third.cost_usd is None and third.cached_tokens is None and third.first_chunk_s is None


def test_the_sums_of_a_run_are_those_that_it_is_listed_with() -> None:
    trace = team()
    usage = [invocation.usage for invocation in trace.invocations()]
    models = of("model", trace)
    assert len(models) == sum(u.model_calls for u in usage)
    assert sum(m.input_tokens or 0 for m in models) == sum(u.input_tokens for u in usage)
    assert sum(m.output_tokens or 0 for m in models) == sum(u.output_tokens for u in usage)
    assert len(of("tool", trace)) == sum(u.tool_calls for u in usage)


def test_tools_say_how_they_failed_and_which_call_was_a_retry() -> None:
    failed, again = of("tool", team())
    assert (failed.name, failed.error, failed.is_retry) == ("search", "TimeoutError", False)
    assert (again.error, again.is_retry) == ("", True)


def test_agents_and_delegations_are_measured_when_they_are_over() -> None:
    trace = team()
    assert [m.name for m in of("agent", trace)] == ["planner", "research"]
    asked = of("delegation", trace)
    assert [(m.agent, m.name, m.error) for m in asked] == [("planner", "research", "")]
    assert (asked[0].duration_s or 0) > 0
    run = Scenario()
    with run.agent("planner"), run.delegate("research", "Find a hotel"):
        part = run.trace()
        assert not measured(part)


@pytest.mark.parametrize(
    ("name", "is_known"),
    [
        ("gpt-4o", True), ("openai/gpt-4o", True), ("GPT-4o-2024-08-06", True),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", True),
        ("claude-3-5-sonnet-latest", True), ("models/gemini-2.5-flash", True), ("gpt-4o-my-finetune", False), ("", False),
        ("llama-3-70b", False),
    ],
)  # fmt: skip
def test_a_model_is_known_by_its_name_with_or_without_maker_and_release(name: str, is_known: bool) -> None:
    assert (PRICES.cost_usd(name, 1000, 1000) is not None) is is_known


def test_a_users_prices_go_over_ours_or_stand_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "prices.toml"
    theirs.write_text('["our-own-model"]\ninput = 1\noutput = 2\n["gpt-4o"]\ninput = 0\noutput = 0\n')
    prices = load_prices(theirs)
    assert prices.cost_usd("our-own-model", 1_000_000, 1_000_000) == 3
    assert prices.cost_usd("gpt-4o", 1000, 1000) == 0 and prices.cost_usd("gpt-4o-mini", 1000, 0)
    theirs.write_text('replace = true\n["m"]\ninput = 1\noutput = 2\n')
    assert load_prices(theirs).cost_usd("gpt-4o", 1000, 1000) is None


@pytest.mark.parametrize(
    "text", ["[m", '["m"]\ninput = "a"\noutput = 1', '["m"]\ninput = -1\noutput = 1', '["m"]\ninput = 1', "replace = 3",
             '["m"]\ninput = nan\noutput = 1', "m = 3", '["m"]\ninput = 1\noutput = 1\nouput = 2'],
)  # fmt: skip
def test_wrong_prices_are_refused_with_where_and_what_was_expected(text: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=str(path)):
        load_prices(path)


def test_a_table_of_prices_that_is_none_or_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_prices(tmp_path / "nowhere.toml")
    (tmp_path / "large.toml").write_text("#" * 1_000_001)
    with pytest.raises(ConfigError, match="larger than 1000 kB"):
        load_prices(tmp_path / "large.toml")


def test_names_of_models_without_end_are_forgotten_and_no_price_with_them() -> None:
    prices = load_prices()
    for number in range(10_005):
        assert prices.price_of(f"no-{number}") is None
    assert len(prices._found) < 100 and prices.price_of("gpt-4o") is not None


def test_a_wrong_price_is_told_with_its_line_and_key(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('# ours\n["a"]\ninput = 1\noutput = 1\n\n["b.c"]\ninput = "x"\noutput = 1\n')
    with pytest.raises(ConfigError, match=r"prices.toml:6: \['b.c'\]: .*input") as refused:
        load_prices(path)
    assert refused.value.key == "b.c"


def summed(measures: list[Measure]) -> Figures:
    sums = Figures()
    for measure in measures:
        sums.put(measure)
    return sums


def test_the_sums_of_a_team_count_its_errors_its_retries_and_what_nobody_knows_the_price_of() -> None:
    tools, models = summed(of("tool", team())), summed(of("model", team()))
    assert (tools.errors, tools.retries) == (1, 1)
    assert (models.count, models.input_tokens.sum, models.cost_unknown) == (3, 3010, 1)


finite = st.floats(0, 1000)
measures = st.builds(
    lambda kind, minute, seconds, tokens, cost, error: Measure(
        kind, "n", "a", "s", "", "", minute * 60_000_000_000, b"s", error=error, duration_s=seconds, input_tokens=tokens,
        cost_usd=cost,
    ),
    st.sampled_from(["model", "tool"]), st.integers(0, 3), st.none() | finite, st.none() | st.integers(0, 10**6),
    st.none() | st.integers(0, 100).map(float), st.sampled_from(["", "TimeoutError"]),
)  # fmt: skip


@given(st.lists(measures, max_size=12), st.lists(measures, max_size=12))
@settings(max_examples=50)
def test_what_was_added_can_be_taken_away_again(one: list[Measure], other: list[Measure]) -> None:
    total = summed(one)
    total.add(summed(other))
    assert total.count == len(one) + len(other)
    total.add(summed(other), -1)
    assert (total.count, total.errors, total.seconds.count) == (len(one), summed(one).errors, summed(one).seconds.count)
    assert total.cost_usd == sum(m.cost_usd or 0 for m in one)
    total.add(summed(one), -1)
    assert total.is_nothing


@example([0.5] * 20, 0.95)
@given(st.lists(finite, min_size=1, max_size=50), st.floats(0, 1))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: list[float], part: float) -> None:
    spread = Spread()
    for value in values:
        spread.put(value, SECONDS)
    guess = spread.quantile(part, SECONDS)
    assert guess is not None and guess >= 0
    true = sorted(values)[min(max(-int(-part * len(values) // 1) - 1, 0), len(values) - 1)]
    at = next((i for i, bound in enumerate(SECONDS) if true <= bound), len(SECONDS))
    low = SECONDS[at - 1] if at else 0.0
    assert guess >= low * 0.999 and (at == len(SECONDS) or guess <= SECONDS[at] * 1.001)


@pytest.mark.parametrize(
    ("values", "part", "most"), [([0.305, 0.706], 0.95, 0.86), ([0.7] * 3, 0.95, 0.83), ([0.0, 100.0], 1.0, 100.0)]
)
def test_a_quantile_of_a_few_leaves_room_for_the_others_in_their_sum(
    values: list[float], part: float, most: float
) -> None:
    spread = Spread()
    for value in values:
        spread.put(value, SECONDS)
    guess = spread.quantile(part, SECONDS)
    assert guess is not None and max(values) * 0.9 <= guess <= most


def test_a_group_has_the_minute_in_which_the_work_ended() -> None:
    measure = Measure("tool", "t", "a", "s", "1", "", 61_000_000_000, b"s")
    assert group_of(measure).window == 1
    assert Figures().cost_unknown == 0


def sums_of(tally: TraceTally) -> dict[str, tuple[int | None, int | None]]:
    """What work used, tokens in and out, by its name."""
    return {m.name: (m.input_tokens, m.output_tokens) for m in tally.current() if m.kind != "delegation"}


def test_an_agent_that_turns_out_to_be_the_one_around_it_is_counted_once() -> None:
    run = Scenario()
    with run.agent("planner"):
        above = run.opens("other", "graph")
        inner = run.opens("agent", "planner", agent="planner", under="graph")
        run.ends(inner)
        run.ends(above)
        run.returns("Done.")
    late = [f for f in run.facts if isinstance(f, SpanStarted) and f.span_id == above]
    trace = Trace(run.trace_id)
    for fact in (f for f in run.facts if f not in late):
        trace.apply(fact, run.source)
    tally = TraceTally(trace, PRICES)
    tally.look()
    assert [m.name for m in tally.current()] == ["planner", "planner"]
    for fact in late:
        trace.apply(fact, run.source)
    tally.look()
    assert [m.name for m in tally.current()] == ["planner"]


def test_an_agents_own_sum_counts_where_no_model_call_says_what_was_used_and_no_longer_when_one_does() -> None:
    run = Scenario()
    with run.agent("planner"):
        clerk = run.opens(
            "agent", "clerk", agent="clerk", attributes={ROLLUP_INPUT_TOKENS: 500, ROLLUP_OUTPUT_TOKENS: 70}
        )
        run.ends(run.opens("tool", "file", under="clerk"))
        run.ends(clerk)
    trace = run.trace()
    tally = TraceTally(trace, PRICES)
    assert tally.look()
    sums = sums_of(tally)
    assert sums["clerk"] == (500, 70) and not any(sums["planner"]) and not any(sums["file"])
    asked = {"kind": "model", "name": "chat", "attributes": used("gpt-4o", 300, 30)}
    trace.apply(SpanStarted(trace.trace_id, b"its-call", clerk, trace.last_ns, 1, **asked), run.source)
    trace.apply(SpanEnded(trace.trace_id, b"its-call", trace.last_ns + 1, 2, "ok"), run.source)
    tally.look()
    sums = sums_of(tally)
    assert sums["gpt-4o"] == (300, 30) and not any(sums["clerk"])
