"""What the dashboard says while there is nothing to see, nobody answers or facts are missing; and its first-minute guide."""

from hypothesis import given
from hypothesis import strategies as st

from tests.tui import rows
from tests.tui.pilots import driving
from tests.tui.story import StoryFeed, health
from tests.tui.test_drawing import holds, levels, widths
from trajectory.view.rows import Health
from tui.drawing.bars import Contact
from tui.drawing.line import cut, plain
from tui.drawing.states import banner_lines, empty_lines
from tui.guide import Guide
from tui.signs import UNICODE

_STATES = st.sampled_from(["connecting", "live", "busy", "reconnecting"])


@given(_STATES, rows.texts, st.lists(rows.texts, max_size=6), st.integers(0, 10**6), widths, levels)
def test_a_state_is_told_in_lines_that_can_be_cut_to_any_width(state, where, lossy, count, width, signs) -> None:  # type: ignore[no-untyped-def]
    contact = Contact(state, 3, 12)
    said = banner_lines(contact, Health(dropped_count=count, lossy=lossy), where, "", "14:02:11", signs)
    holds([cut(line, width) for line in [*said, *empty_lines(where, False), *empty_lines(where, True)]], width)
    assert bool(said) == (state != "live" or count > 0)


def test_each_state_says_what_is_so_and_what_to_do() -> None:
    def said(contact: Contact, **changes: object) -> str:
        lines = banner_lines(contact, health(**changes), "tcp://10.0.0.7:5570", "", "14:02:11", UNICODE)
        return "\n".join(plain(line) for line in lines)

    first = said(Contact("connecting", 2, 3))
    assert "tcp://10.0.0.7:5570" in first and "3 s, try 2" in first and "trajectory serve" in first
    lost = said(Contact("reconnecting", 4, 12))
    assert "12 s ago" in lost and "14:02:11" in lost and "try 4" in lost and "Agents keep their facts" in lost
    missing = said(Contact("live"), dropped_count=3120, lossy=["a", "b", "c", "d", "e"])
    assert "3 120 facts are missing, from a, b, c and 2 more." in missing
    assert "Steps, tokens and errors with a + are lower bounds" in missing
    empty = "\n".join(plain(line) for line in empty_lines("tcp://127.0.0.1:7007", False))
    assert empty.count("tcp://127.0.0.1:7007") == 3 and "trajectory demo --connect" in empty


async def test_who_is_not_admitted_reads_why_and_not_that_nobody_is_there() -> None:
    feed = StoryFeed()
    feed.refusal = (
        "tcp://10.0.0.7:5570 does not know this key, or revoked it: get one made there by trajectory keys add"
    )
    async with driving(feed, size=(80, 24)) as driver:
        for word in (
            "does not know this key, or revoked it ",
            "get one made there by trajectory keys add ",
            "trajectory doctor",
        ):
            assert word in driver.text
        assert "Is the collector up?" not in driver.text
        feed.refusal = ""
        await driver.beat()
        assert "does not know this key" not in driver.text and driver.where == "runs"
        feed.refusal = "this key may emit and not read: watch with one made by trajectory keys add NAME --role watch"
        feed.moved()
        await driver.beat()
        assert "may emit and not read" in driver.text and "Lost the collector" not in driver.text


def test_the_guide_leads_from_the_runs_to_the_root_and_tells_no_step_twice() -> None:
    guide = Guide()
    way = [("runs", "runs"), ("cockpit", "agents"), ("cockpit", "alerts"), ("alert", "path"), ("span", "content")]
    told = [guide.hint(*place) for place in way]
    assert all(told) and len(set(told)) == len(told)
    assert [guide.hint(*place) for place in way[:-1]] == [""] * 4
    assert guide.hint("timeline", "spans") == ""


async def test_a_newcomer_is_led_to_the_root_cause_by_the_hints_alone() -> None:
    async with driving(size=(80, 24), is_guided=True) as driver:
        for key, word in (("enter", "opens the run"), ("a", "a goes to the alerts"), ("enter", "opens the alert")):
            assert word in driver.text.splitlines()[-2]
            await driver.press(key)
        assert "◆ is where it began" in driver.text.splitlines()[-2]
        await driver.press("enter")
        assert driver.where == "span" and "read_cache" in driver.text
        await driver.press("escape", "escape")
        assert "opens the alert" not in driver.text
    async with driving() as driver:
        assert "opens the run under the cursor" not in driver.text
