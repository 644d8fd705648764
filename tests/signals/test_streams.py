"""Rules of one stream: silent while nothing happens, quick when something does, and unharmed by whatever numbers come."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.signals import streams
from tests.signals.streams import STREAMS
from trajectory.signals import baseline, failing, mix
from trajectory.signals.baseline import RETURNED, SETTLED, Alarm, Baseline
from trajectory.signals.failing import FailureShare
from trajectory.signals.mix import ToolMix

ANY = (
    st.floats(allow_nan=True, allow_infinity=True)
    | st.integers(-(10**400), 10**400)
    | st.sampled_from([0.0, 1.0, 1e308])
)
TIMES = st.integers(-(2**63), 2**63)


def alarms(stream: Baseline | FailureShare, values: list[float], first: int = 0) -> list[Alarm]:
    told = (stream.put(value, first + at) for at, value in enumerate(values))
    return [alarm for alarm in told if alarm is not None]


def used_to(values: list[float]) -> Baseline:
    stream = Baseline()
    assert alarms(stream, values) == []
    return stream


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_in_which_nothing_happens_is_silent_but_for_its_first_swing(name: str) -> None:
    found = [alarm.at_ns for seed in range(4) for alarm in alarms(Baseline(), STREAMS[name](5000, Random(seed)))]
    assert len(found) <= (6 if name.startswith("swing") else 1)
    assert all(at < 1500 for at in found if name.startswith("swing"))


@pytest.mark.parametrize(("times", "within"), [(1.5, 60), (2, 25), (5, 12), (0.5, 25), (0.2, 12)])
def test_a_change_begins_one_alarm_that_tells_since_when(times: float, within: int) -> None:
    chance = Random(2)
    stream = used_to(streams.lognormal(400, chance))
    (alarm,) = alarms(stream, [times * value for value in streams.lognormal(60 + within, chance)], 400)
    assert alarm.at_ns < 400 + within and abs(alarm.onset_ns - 400) <= 15
    assert alarm.usual.low < 1 < alarm.usual.high and 0.8 < alarm.usual.middle < 1.25
    assert alarm.is_above is (times > 1) and 0.5 < alarm.sureness < 1
    assert times / 1.8 < alarm.seen < times * 1.8


def test_an_alarm_grows_ends_when_the_stream_is_back_and_begins_again() -> None:
    chance = Random(4)
    stream = used_to(streams.lognormal(400, chance))
    (alarm,) = alarms(stream, [3 * value for value in streams.lognormal(30, chance)], 400)
    assert stream.alarm is not None and stream.alarm.value_count > alarm.value_count
    assert alarms(stream, streams.lognormal(60, chance), 430) == [] and stream.alarm is None
    assert stream.ended == RETURNED
    assert len(alarms(stream, [3 * value for value in streams.lognormal(30, chance)], 490)) == 1


def test_what_lasts_becomes_usual_and_what_was_usual_before_still_is() -> None:
    chance = Random(5)
    stream = used_to(streams.lognormal(400, chance))
    assert len(alarms(stream, [4 * value for value in streams.lognormal(400, chance)], 400)) == 1
    assert stream.alarm is None and stream.usual is not None and stream.usual.middle > 3 and stream.ended == SETTLED
    assert alarms(stream, streams.lognormal(200, chance), 800) == []


def test_small_differences_are_nobodys_concern() -> None:
    stream = used_to([1.0] * 200)
    assert alarms(stream, [1.1] * 200) == []


def test_differences_are_judged_where_values_are_no_quantities() -> None:
    chance = Random(6)
    stream = Baseline(is_quantity=False)
    assert alarms(stream, [chance.gauss(-5, 1) for _ in range(400)]) == []
    assert [alarm.is_above for alarm in alarms(stream, [chance.gauss(-2, 1) for _ in range(20)], 400)] == [True]


@given(st.lists(st.tuples(ANY, TIMES), max_size=60), st.booleans(), st.randoms(use_true_random=False))
def test_no_number_and_no_clock_harms_a_stream(
    told: list[tuple[float, int]], is_quantity: bool, chance: Random
) -> None:
    one, other, calls = Baseline(is_quantity=is_quantity), Baseline(is_quantity=is_quantity), FailureShare()
    values = [*told, *((chance.lognormvariate(0, 1), at) for at in range(50)), *told * 3]
    chance.shuffle(values)
    early = [one.put(*value) for value in values[: baseline.WARM_UP_COUNT]]
    assert set(early) <= {None}
    said = early + [one.put(*value) for value in values[baseline.WARM_UP_COUNT :]]
    assert said == [other.put(*value) for value in values]
    for value, at_ns in values:
        calls.put(value, at_ns)
    for alarm in filter(None, said):
        assert alarm.onset_ns <= alarm.at_ns and 0 <= alarm.sureness <= 1


def test_memory_is_bounded() -> None:
    chance = Random(7)
    stream, calls, runs = Baseline(), FailureShare(), ToolMix()
    for at in range(3000):
        stream.put(chance.lognormvariate(0, 1) * (1 + at // 700), at)
        calls.put(at // 200 % 2, at)
        runs.put({f"tool-{at}": at, "search": 1}, at)
    assert len(stream._reference) <= baseline.REFERENCE_COUNT and len(stream._held) <= baseline._MOST_HELD_COUNT
    assert len(stream._levels) <= baseline.LEVELS_COUNT and len(stream._sorted) == len(stream._reference)
    assert len(calls._reference) <= failing.REFERENCE_COUNT and len(calls._held) <= 200
    assert len(runs._runs) <= mix.REFERENCE_COUNT and len(runs._reference) <= 4 * mix.MAX_TOOLS_COUNT


@pytest.mark.parametrize("stream", [Baseline(), FailureShare()], ids=["values", "failures"])
def test_what_is_usual_is_not_known_before_enough_came(stream: Baseline | FailureShare) -> None:
    for at in range(baseline.WARM_UP_COUNT + 1):
        assert stream.is_warm is (stream.usual is not None)
        stream.put(1.0, at)
    for at in range(300):
        stream.put(1.0, at)
    assert stream.usual is not None and stream.usual.middle == 1


@pytest.mark.parametrize("usual", [0, 0.02, 0.1, 0.3])
def test_calls_that_fail_as_they_always_did_are_one_alarm_in_ten_thousand_at_most(usual: float) -> None:
    found = []
    for seed in range(3):
        chance = Random(seed)
        found += alarms(FailureShare(), [1.0, 1.0, 1.0, *(float(chance.random() < usual) for _ in range(5000))])
    assert len(found) <= 1


def test_failures_that_always_came_in_clumps_are_usual_and_a_tool_that_fails_for_good_is_told_nevertheless() -> None:
    pairs = [alarms(FailureShare(), streams.in_pairs(5000, Random(seed))) for seed in range(4)]
    bursts = [FailureShare() for _ in range(4)]
    told = [alarms(stream, streams.in_bursts(5000, Random(seed))) for seed, stream in enumerate(bursts)]
    assert sum(map(len, pairs)) <= 1 and sum(map(len, told)) <= 16  # of about a hundred bursts
    assert all(len(alarms(stream, [1.0] * 100, 5000)) == 1 for stream in bursts if stream.alarm is None)


def test_a_tool_that_begins_to_fail_is_told_until_it_works_again() -> None:
    chance = Random(9)
    stream = FailureShare()
    assert alarms(stream, [float(chance.random() < 0.02) for _ in range(300)]) == []
    (alarm,) = alarms(stream, [float(chance.random() < 0.6) for _ in range(40)], 300)
    assert 0.4 < alarm.seen <= 1 and alarm.usual.high < 0.1 and 296 <= alarm.onset_ns <= 304 and alarm.at_ns < 325
    assert alarms(stream, [0.0] * 200, 340) == [] and stream.alarm is None and stream.ended == RETURNED
    assert len(alarms(stream, [1.0] * 300, 540)) == 1 and stream.alarm is None and stream.ended == SETTLED


def mixed(chance: Random, **weights: float) -> dict[str, int]:
    called = chance.choices(list(weights), list(weights.values()), k=chance.randint(1, 6))
    return {name: called.count(name) * chance.choice((1, 1, 1, 4)) for name in called}


def test_tools_that_are_each_called_once_tell_of_no_change_and_runs_without_calls_of_nothing() -> None:
    runs = ToolMix()
    for at in range(mix.WARM_UP_COUNT + mix.WINDOW_COUNT):
        assert runs.put({f"tool-{at % mix.MAX_TOOLS_COUNT}": 1}, at) is None
        assert runs.put({}, at) is None and runs.put({"none": 0}, at) is None
    assert runs.is_warm and runs.share("tool-1") == 1 / mix.WARM_UP_COUNT and runs.share("none") == 0


def test_an_agent_that_calls_other_tools_than_before_is_told_with_the_tool() -> None:
    chance = Random(10)
    runs = ToolMix()
    before = [runs.put(mixed(chance, search=5, read=3, write=1), at) for at in range(3000)]
    assert set(before) == {None}
    told = [runs.put(mixed(chance, search=1, read=3, write=1, page=9), at) for at in range(3000, 3030)]
    (alarm,) = filter(None, told)
    assert alarm.what == "page" and alarm.is_above and alarm.usual.high < 0.2 < alarm.seen
    assert alarm.onset_ns <= 3004 and alarm.at_ns < 3020
    for at in range(3030, 3140):
        runs.put(mixed(chance, search=5, read=3, write=1), at)
    assert runs.alarm is None and runs.ended == RETURNED
