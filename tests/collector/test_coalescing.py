"""Rules of the bars of a lane: few, and none of a kind, an error or a mark is lost from where it was."""

from hypothesis import given
from hypothesis import strategies as st

from trajectory.collector.coalescing import bars_a_lane, coalesced
from trajectory.view.rows import LaneBar

_S = 1_000_000_000
starts = st.integers(0, 100 * _S)
bars = st.lists(
    st.builds(
        lambda start, took, kind, status, mark: LaneBar("s", kind, start, start + took if took else 0, status, mark),
        starts, st.integers(0, 3 * _S), st.sampled_from(["model", "tool"]), st.sampled_from(["ok", "error"]),
        st.sampled_from(["", "root"]),
    ),
    max_size=300,
).map(lambda found: sorted(found, key=lambda bar: bar.start_ns))  # fmt: skip


def _alternating(count: int) -> list[LaneBar]:
    return [LaneBar(str(at), ("model", "tool")[at % 2], at * _S, at * _S + _S // 2, "ok") for at in range(count)]


def test_few_bars_stay_as_they_are() -> None:
    few = _alternating(60)
    assert coalesced(few, 60) == few


def test_calls_that_take_turns_are_still_there_from_the_first_to_the_last() -> None:
    many = _alternating(5000)
    merged = coalesced(many, 100)
    assert len(merged) <= 100
    assert merged[0].start_ns == 0 and max(bar.end_ns for bar in merged) == many[-1].end_ns
    assert {bar.kind for bar in merged if bar.start_ns < 50 * _S} == {"model", "tool"}


def test_one_error_among_thousands_keeps_its_bar_and_what_runs_still_runs() -> None:
    many = _alternating(5000)
    many[2500] = LaneBar("bad", "tool", 2500 * _S, 2501 * _S, "error")
    many[-1] = LaneBar("open", "tool", 4999 * _S, 0, "unset")
    merged = coalesced(many, 100)
    assert [bar.span_id for bar in merged if bar.status == "error"] == ["bad"]
    assert [bar.span_id for bar in merged if not bar.end_ns] == ["open"]


@given(bars, st.integers(8, 100))
def test_each_bar_lies_in_one_of_its_kind(found: list[LaneBar], most: int) -> None:
    merged = coalesced(found, most)
    assert len(merged) <= max(most, 8)
    assert [bar.start_ns for bar in merged] == sorted(bar.start_ns for bar in merged)
    for bar in found:
        alike = [each for each in merged if (each.kind, each.status, each.mark) == (bar.kind, bar.status, bar.mark)]
        assert any(each.start_ns <= bar.start_ns and (not each.end_ns or bar.end_ns <= each.end_ns) for each in alike)


def test_a_lane_has_fewer_bars_the_more_lanes_there_are() -> None:
    assert [bars_a_lane(count) for count in (0, 1, 20, 100, 10_000)] == [600, 600, 400, 80, 60]
