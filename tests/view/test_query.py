"""The filter language, over rows of the story."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tui.story import ALERTS, DELEGATIONS, LANES, NOW_NS, RUNS, SPANS, STEPS
from trajectory.errors import QueryError
from trajectory.view.fields import FIELDS, Row
from trajectory.view.query import LONGEST_FILTER, parse
from trajectory.view.rows import TraceRow
from trajectory.view.signal_rows import SignalPoint, SignalSeries

EVERY_ROW: list[Row] = [*RUNS, *SPANS, *STEPS, *LANES, *DELEGATIONS, *ALERTS]
words = st.sampled_from(
    [
        "(",
        ")",
        "-",
        "!",
        "not",
        "or",
        "and",
        '"',
        '"a b"',
        "memo",
        "~",
        ":",
        ">",
        "err>0",
        "tokens>=1k",
        "dur<2s",
        "last:5m",
        "x:y",
        "id:7f",
    ]
)
almost = st.one_of(
    st.text(max_size=40), st.lists(words, max_size=12).map(" ".join), st.lists(words, max_size=12).map("".join)
)


def runs(text: str) -> list[str]:
    keep = parse(text)
    return [row.trace_id[:4] for row in RUNS if keep(row, NOW_NS)]


@given(almost)
def test_any_text_is_a_filter_or_a_query_error_inside_it(text: str) -> None:
    try:
        keep = parse(text)
    except QueryError as error:
        assert 0 <= error.position <= len(text)
    else:
        assert all(isinstance(keep(row, NOW_NS), bool) for row in EVERY_ROW)


@given(almost, almost)
def test_not_and_or_and_and_mean_what_they_say(one: str, other: str) -> None:
    try:
        parse(one), parse(other)  # each alone, too: parentheses of ours put around `a)(b` make another filter of it
        first, second = parse(f"({one})"), parse(f"({other})")
        both, either, neither = parse(f"({one}) ({other})"), parse(f"({one}) or ({other})"), parse(f"-({one})")
    except QueryError:
        return
    for row in RUNS:
        assert both(row, NOW_NS) == (first(row, NOW_NS) and second(row, NOW_NS))
        assert either(row, NOW_NS) == (first(row, NOW_NS) or second(row, NOW_NS))
        assert neither(row, NOW_NS) != first(row, NOW_NS)


def test_an_empty_filter_keeps_every_row() -> None:
    assert parse("  ").is_empty
    assert len(runs("")) == len(RUNS)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("memo", ["7f3a", "7f2e", "7f1d"]),
        ("title~mem.$", ["7f3a", "7f2e", "7f1d"]),
        ("state:live", ["7f3a", "7f39", "7f31"]),
        ("state:live -memo", ["7f39", "7f31"]),
        ("state:live !memo", ["7f39", "7f31"]),
        ("err>1", ["7f3a", "7f2b", "7f1d"]),
        ("err>0 and not state=live", ["7f2b", "7f1d"]),
        ("alerts>=3", ["7f3a", "7f2b"]),
        ("tokens>300k", ["7f31", "7f2b"]),
        ("dur<30s", ["7f20"]),
        ("id:7f2", ["7f2e", "7f2b", "7f20"]),
        ("last:2m", ["7f3a", "7f39", "7f31"]),
        ("(digest or billing) agents>2", ["7f2b"]),
        ('"revenue memo"', ["7f3a", "7f2e", "7f1d"]),
        ("rvn", ["7f3a", "7f2e", "7f1d"]),
        ("state!=live", ["7f2e", "7f2b", "7f20", "7f1d"]),
        ("steps:214", ["7f3a"]),
    ],
)
def test_a_filter_keeps_what_it_says(text: str, kept: list[str]) -> None:
    assert runs(text) == kept


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("(memo", 0),
        ("memo)", 4),
        ("nothing:3", 0),
        ("err>many", 4),
        ("err:", 4),
        ("memo or", 7),
        ('say "this', 4),
        ("title~(", 6),
        ("last:soon", 5),
        ("title>3", 5),
        ("id>7f", 2),
        ("err~3", 3),
    ],
)
def test_a_fault_is_placed_where_it_is(text: str, position: int) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert caught.value.position == position


def test_a_fault_in_a_field_names_the_fields_there_are() -> None:
    with pytest.raises(QueryError, match=r"agent.*tokens"):
        parse("colour:red")
    assert "agent" in FIELDS


@pytest.mark.parametrize(
    ("text", "nearest"), [("agnt:x", "agent or agents"), ("eror>0", "err"), ("tokns>1k", "tokens")]
)
def test_a_mistyped_field_is_answered_with_what_is_nearest(text: str, nearest: str) -> None:
    with pytest.raises(QueryError, match=rf"^no field \w+; did you mean {nearest}\?"):
        parse(text)


def test_rows_without_a_field_do_not_match_it() -> None:
    assert not any(parse("tokens>=0")(row) for row in DELEGATIONS)
    series = SignalSeries("gpt-4o", "model", SignalPoint(calls=1))
    assert parse("gpt")(series) and not parse("dur>=0")(series) and not parse("at:0s..1h")(series)


def test_a_step_is_as_long_as_it_says() -> None:
    step = msgspec.structs.replace(STEPS[0], duration_ns=2_500_000_000)
    assert parse("dur>2s")(step) and not parse("dur>3s")(step)


@pytest.mark.parametrize(
    ("state", "returned_ns", "kept"),
    [
        ("returned", NOW_NS - 60_000_000_000, True),
        ("returned", NOW_NS - 200_000_000_000, False),
        ("sent", 0, True),
        ("lost", 0, False),
    ],
)
def test_a_delegation_is_alive_until_its_answer_comes(state: str, returned_ns: int, kept: bool) -> None:
    row = msgspec.structs.replace(
        DELEGATIONS[0], sent_ns=NOW_NS - 600_000_000_000, returned_ns=returned_ns, state=state
    )
    assert parse("last:2m")(row, NOW_NS) is kept


def test_spans_are_filtered_by_kind_agent_and_error() -> None:
    kept = [row.span_id for row in SPANS if parse("kind:tool agent:research#2 err>0")(row)]
    assert kept == ["3002", "3003", "3004", "8f02"]


def test_a_filter_that_is_too_long_or_too_deep_is_refused() -> None:
    for text in ("x" * (LONGEST_FILTER + 1), "(" * 100 + "x" + ")" * 100):
        with pytest.raises(QueryError):
            parse(text)


def test_running_work_counts_up_to_now() -> None:
    reviewer = next(lane for lane in LANES if lane.label == "reviewer#1")
    assert parse("dur>4s")(reviewer, NOW_NS)
    assert not parse("dur>4s")(reviewer, reviewer.start_ns)


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|a)*b", "(a|aa)+$b", "(.*)(.*)(.*)(.*)[0-9]"])
def test_patterns_that_hang_others_are_answered(pattern: str) -> None:
    long = msgspec.structs.replace(STEPS[0], text="a" * 4096)
    assert not parse(f'text~"{pattern}"')(long)


@pytest.mark.parametrize("pattern", ["[z-a]", "a{1000000}", "(?=a)", r"\1", "*", "\udcff"])
def test_what_is_no_pattern_is_refused_at_its_column(pattern: str) -> None:
    with pytest.raises(QueryError, match="not a pattern") as refusal:
        parse(f'text~"{pattern}"')
    assert refusal.value.position == 5


def test_a_run_is_found_by_the_agents_in_it() -> None:
    run = msgspec.structs.replace(RUNS[0], agent_names=["planner", "web research"])
    assert parse("agent:research")(run)
    assert parse("agent=planner")(run)
    assert parse("planner")(run)
    assert not parse("agent=research")(run)
    assert not parse("agent:coder")(run)


def test_text_also_keeps_the_runs_in_which_it_is_said_and_asks_once() -> None:
    asked: list[str] = []

    def saying(text: str) -> set[str]:
        asked.append(text)
        return {"bb"}

    rows = [
        TraceRow(trace_id, title, "done", "", "", 0, 0)
        for trace_id, title in (("aa", "refund"), ("bb", ""), ("cc", ""))
    ]
    for text, kept in (("text:refund", "aa bb"), ("-text:refund", "cc"), ("refund", "aa"), ("text=refund", "aa")):
        keep = parse(text, saying)
        assert " ".join(row.trace_id for row in rows if keep(row)) == kept
    assert asked == ["refund", "refund"]
    assert [row.trace_id for row in rows if parse("text:refund")(row)] == ["aa"]
