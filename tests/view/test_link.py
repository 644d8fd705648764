"""Links and times: what we write we read, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tui.rows import HOSTILE
from tests.tui.story import ALERTS, LANES, RUNS, START_NS, STEPS, TRACE_ID
from trajectory.errors import ConfigError
from trajectory.view.link import SCHEME, Link, alert_mark, link_text, parse_link
from trajectory.view.times import offset_ns, offset_text
from tui.links import is_alert, link_to

digits = "0123456789abcdef"
links = st.builds(
    Link,
    trace=st.text(digits, min_size=4, max_size=32),
    span=st.text(digits, min_size=4, max_size=16),
    at_ns=st.none() | st.integers(0, 10**17),
    view=st.sampled_from(["", "timeline", "agents"]),
)


@given(links)
def test_a_link_is_read_as_it_was_written(link: Link) -> None:
    assert parse_link(str(link)) == link
    assert parse_link(str(link).removeprefix(SCHEME)) == link


@given(st.one_of(st.text(max_size=60), st.text(max_size=40).map(lambda text: f"{SCHEME}7f3a{text}")))
def test_any_text_is_a_link_that_is_written_so_or_an_error_of_ours(text: str) -> None:
    try:
        link = parse_link(text)
    except ConfigError:
        return
    assert parse_link(str(link)) == link
    assert str(link).isascii() and str(link).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "7f3",
        "7F3A",
        "7f3a/",
        "7f3a/span",
        "7f3a/span/",
        "7f3a/span/../91c4",
        "7f3a/file/91c4",
        "7f3a/span/91c4/91c4",
        "7f3a?t=-1s",
        "7f3a?t=1",
        "7f3a?t=1s&t=2s",
        "7f3a?x=1",
        "7f3a?v=../x",
        "7f3a?",
        "7f3a#x",
        "7f3a/alert/cascade:1",
        "7f3a" + "0" * 300,
        f"7f3a/span/{HOSTILE}",
        "https://7f3a",
        "all?v=signals&m=A_B",
        "all?v=signals&agent=%zz",
        "all?v=signals&agent=%1B",
        f"all?v=signals&agent={'a' * 121}",
        "all?v=signals&w=31d",
        "all?v=signals&w=60m",
        "all?v=signals&at=-1",
    ],
)
def test_what_is_no_link_of_ours_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_link(SCHEME + text if "://" not in text else text)


def test_a_link_to_a_row_holds_nothing_that_an_agent_wrote() -> None:
    step = next(step for step in STEPS if step.span_id == "91c4")
    assert str(link_to(step, TRACE_ID, START_NS, "")).startswith(f"{SCHEME}{TRACE_ID}/span/91c4?t=33.")
    assert str(link_to(LANES[0], TRACE_ID, 0, "agents")) == f"{SCHEME}{TRACE_ID}/span/{LANES[0].span_id}?v=agents"
    assert str(link_to(RUNS[1], "", 0, "runs")) == f"{SCHEME}{RUNS[1].trace_id}"
    alert = link_to(ALERTS[0], TRACE_ID, START_NS, "")
    assert alert is not None and alert.alert == alert_mark(ALERTS[0].key) and ALERTS[0].key not in str(alert)
    assert is_alert(alert.alert, ALERTS[0].key, "A1") and is_alert("A1", ALERTS[0].key, "A1")
    assert link_to(None, HOSTILE, 0, "") is None
    assert link_to(LANES[0], TRACE_ID, 0, HOSTILE) is None


@given(st.integers(0, 10**18))
def test_a_time_is_read_as_it_was_written(ns: int) -> None:
    assert offset_ns(offset_text(ns)) == ns or ns >= 10**18


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("33.5s", 33_500_000_000),
        ("250ms", 250_000_000),
        ("1.5m", 90_000_000_000),
        ("00:01.5", 1_500_000_000),
        ("01:42", 102_000_000_000),
        ("1:00:00", 3_600_000_000_000),
        ("", None),
        ("12", None),
        ("1:99", None),
        ("-1s", None),
        ("١s", None),
        ("1s ", None),
    ],
)
def test_times_are_amounts_or_clocks(text: str, ns: int | None) -> None:
    assert offset_ns(text) == ns


def test_a_span_without_an_id_as_ours_are_is_linked_to_by_its_run() -> None:
    assert link_text("7f3a90c1", "91c4") == f"{SCHEME}7f3a90c1/span/91c4"
    assert link_text("7f3a90c1", "91") == f"{SCHEME}7f3a90c1"
