"""One agent on the screen: every line in its width, the steps by word and sign, and the ways in, through and out."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tui import rows
from tests.tui.agents import agent_view
from tests.tui.pilots import Driver, driving
from tests.tui.story import TRACE_ID, StoryFeed
from tests.tui.test_drawing import holds, levels
from trajectory.view.agent_rows import AgentFacts, AgentMessage, AgentStep, UsualRow
from trajectory.view.rows import Health
from trajectory.view.views import AgentQuery, AgentView, Query, TraceQuery, View
from tui.drawing.agent import agent_headline, came_with, fact_lines, message_lines, trajectory_line, usual_lines
from tui.drawing.line import plain
from tui.screens.agent import AgentScreen
from tui.screens.delegation import DelegationScreen
from tui.screens.span import SpanScreen
from tui.signs import LEVELS, UNICODE, signs_at

OPEN = ("enter", "j", "j", "enter")
_WHAT = ["receive", "model", "tool", "retry", "delegate", "answer", "thought", "return", "step", "new word"]
found = st.lists(st.tuples(st.sampled_from(["critical", "info", "new"]), rows.texts), max_size=3)
steps = st.builds(
    AgentStep, key=rows.texts, at_ns=rows.times, what=st.sampled_from(_WHAT), name=rows.texts, status=rows.states,
    text=rows.texts, span_id=rows.texts,
    duration_ns=rows.times, tokens=rows.counts, mark=rows.marks, count=rows.counts, found=found,
)  # fmt: skip
messages = st.builds(
    AgentMessage, key=rows.texts, at_ns=rows.times, who=rows.texts, name=rows.texts, text=rows.texts, span_id=rows.texts,
    step_key=rows.texts, is_error=st.booleans(), is_cut=st.booleans(), mark=rows.marks, found=found,
)  # fmt: skip
facts = st.builds(
    AgentFacts, label=rows.labels, agent=rows.texts, service=rows.texts, span_id=rows.texts, state=rows.states, mark=rows.marks,
    start_ns=rows.times, end_ns=rows.times, models=st.lists(rows.texts, max_size=3), steps=rows.counts, errors=rows.counts,
    retries=rows.counts, input_tokens=rows.counts, output_tokens=rows.counts, cached_tokens=rows.some, calls=rows.counts,
    context=st.lists(rows.counts, max_size=50), context_peak=rows.counts, context_window=rows.counts, latency_p50_ns=rows.times,
    latency_p95_ns=rows.times, cost_usd=st.one_of(st.none(), st.floats(0, 1e9)),
)  # fmt: skip
usual = st.builds(
    UsualRow, name=rows.texts, now=rows.counts, low=rows.counts, high=rows.counts,
    unit=st.sampled_from(["", "ns", "tokens", "new"]), is_outside=st.booleans(),
)  # fmt: skip
views = st.builds(
    AgentView, version=st.just(1), health=st.just(Health()), trace=rows.traces, facts=facts, number=rows.counts,
    total=rows.counts, given=st.lists(rows.delegations, max_size=2),
    gave=st.lists(rows.delegations, max_size=2), gave_total=rows.counts,
    arrived=st.one_of(st.none(), st.tuples(rows.counts, rows.counts)), steps=st.lists(steps, max_size=3),
    messages=st.lists(messages, max_size=3), alerts=st.lists(rows.alerts, max_size=2), usual=st.lists(usual, max_size=3),
    usual_of=st.integers(-1, 20),
)  # fmt: skip


@settings(max_examples=40)
@given(views, st.integers(36, 200), levels)
def test_the_lines_of_an_agent_have_their_width(view, width, signs) -> None:  # type: ignore[no-untyped-def]
    came = came_with(view, signs)
    holds([agent_headline(view, width, signs, 0)], width)
    holds([trajectory_line(step, came, "00:00.000", width, signs) for step in view.steps], width)
    holds([line.line for line in message_lines(view.messages, width, signs, str, 3)], width)
    holds([line.line for line in fact_lines(view, width, signs, str, 0) if line.value], width)


@pytest.mark.parametrize("level", LEVELS)
def test_a_step_is_told_by_its_word_and_how_it_went_by_its_sign(level: str) -> None:
    signs = signs_at(level)
    drawn = {
        status: plain(trajectory_line(AgentStep("k", 0, "tool", "fetch", status, "", "s"), [], "00:00", 70, signs))
        for status in ("ok", "error", "running", "cut_off")
    }
    assert len(set(drawn.values())) == len(drawn)
    assert all("tool" in line for line in drawn.values())


def told(agent: str = "research#2") -> AgentView:
    view = agent_view(StoryFeed()._trace(TraceQuery(TRACE_ID, tail=0, spans=1000)), AgentQuery(TRACE_ID, agent))
    assert view is not None
    return view


def test_what_nobody_said_is_no_zero_and_too_few_runs_are_no_history() -> None:
    silent = msgspec.structs.replace(
        told(), facts=AgentFacts("a#1", "a", "", "", "ok", calls=2, steps=3), given=[], usual=[], usual_of=3, alerts=[]
    )
    text = "\n".join(plain(line.line) for line in fact_lines(silent, 60, UNICODE, str, 0))
    assert (
        "tokens    not said" in text and "model     not said" in text and "context" not in text and "cost" not in text
    )
    assert "nobody is known to have asked it" in text and "no history: 3 earlier runs of it" in text
    assert "reading" in plain(usual_lines(msgspec.structs.replace(silent, usual_of=-1), 60, UNICODE)[0].line)


def page(driver: Driver) -> AgentScreen:
    screen = driver.app.screen
    assert isinstance(screen, AgentScreen)
    return screen


async def test_from_a_lane_to_what_was_lost_to_the_step_and_back() -> None:
    async with driving(size=(80, 24)) as driver:
        await driver.press(*OPEN)
        assert "5 of 7 items, − lost fiscal_year" in driver.text and "▲ A2" in driver.text
        await driver.press("d")
        assert isinstance(driver.app.screen, DelegationScreen) and driver.app.screen.delegation_id == "d2"
        await driver.press("escape", "!")
        assert page(driver).step is not None and page(driver).step.span_id == "3002"  # type: ignore[union-attr]
        await driver.press("j", "enter", "j")  # what is alike opens, and then its steps do
        assert "×2" not in driver.text
        await driver.press("enter")
        assert isinstance(driver.app.screen, SpanScreen) and driver.app.screen.span_id == "3004"
        await driver.press("escape", "h")
        assert "×2" in driver.text
        await driver.press("a")
        assert driver.where == "alert"


async def test_messages_go_with_the_steps_and_the_steps_with_the_messages() -> None:
    async with driving() as driver:
        await driver.press(*OPEN, "j", "j", "j", "j", "j", "j")
        screen = page(driver)
        assert screen.messages.value == '{"EU": 38.9, "unit": "M", "as_of": "2024-11-02"}'
        await driver.press("3", "k", "k")
        assert screen.step is not None and screen.step.span_id == "3005"
        await driver.press("v")
        assert '{"text": "3 hits"}' in driver.text and "raw" in screen.messages.status
        await driver.press("y")
        assert driver.app.clipboard == '{"text": "3 hits"}'
        await driver.press("Y")
        assert msgspec.json.decode(driver.app.clipboard)["name"] == "search_web"


async def test_agents_are_walked_filtered_linked_and_gone_to_by_name() -> None:
    async with driving() as driver:
        await driver.press(*OPEN, "]")
        assert "coder#1" in driver.text and "no history" in driver.text
        await driver.press("[", "[", "[", "[")
        assert "no agent before this one" in driver.text
        await driver.press("colon", *"research#2", "enter")
        assert page(driver).view is not None and page(driver).view.facts.label == "research#2"  # type: ignore[union-attr]
        await driver.press("slash", *"status:error", "enter")
        assert all(step.status == "error" for step in page(driver).view.steps)  # type: ignore[union-attr]
        await driver.press("escape", "U")
        link = driver.app.clipboard
        assert link == f"trajectory://{TRACE_ID}/agent/a07e"
        while driver.where != "runs":
            await driver.press("escape")
        driver.app.go_to(link)
        await driver.beat(2)
        assert page(driver).agent == "a07e"


async def test_an_agent_is_reached_from_whatever_tells_of_it() -> None:
    async with driving() as driver:
        await driver.press("enter", "d", "j", "A")
        assert page(driver).view is not None and page(driver).view.facts.label == "research#1"  # type: ignore[union-attr]
        await driver.press("t", "A")
        assert page(driver).trace_id == TRACE_ID
        await driver.press("1")
        facts = page(driver).facts
        facts.go(next(n for n, line in enumerate(facts.lines) if line.delegation_id))
        await driver.press("enter")
        assert isinstance(driver.app.screen, DelegationScreen)


async def test_what_is_copied_and_opened_of_an_agent_and_what_it_does_not_have() -> None:
    feed = StoryFeed()
    feed.alerts = feed.alerts[1:2]
    async with driving(feed) as driver:
        await driver.press(*OPEN, "!", "y", "Y")
        screen = page(driver)
        assert screen.step is not None and msgspec.json.decode(driver.app.clipboard)["span_id"] == screen.step.span_id
        assert screen.value_of(screen.steps) == screen.step.text == "timeout"
        await driver.press("3", "enter")
        assert isinstance(driver.app.screen, SpanScreen) and driver.app.screen.span_id == screen.step.span_id
        await driver.press("escape", "1")
        screen.facts.go(next(n for n, line in enumerate(screen.facts.lines) if line.alert_key))
        await driver.press("enter")
        assert driver.where == "alert"
        await driver.press("escape", "g", "enter")
        assert "nothing to open on this line" in driver.text
        driver.app.open_agent(TRACE_ID, "a01f")
        await driver.beat(2)
        await driver.press("a")
        assert driver.where == "alert", "a task of the planner's lost something"
        feed.alerts = []
        feed.moved()
        await driver.press("escape")
        await driver.beat(2)
        await driver.press("a")
        assert "no alert is on this agent" in driver.text
        while page(driver).step is not None and page(driver).step.delegation_id:  # type: ignore[union-attr]
            await driver.press("j")
        await driver.press("d")
        assert "no delegation is known by which it got its work" in driver.text


@pytest.mark.parametrize("keys", [OPEN, ("enter", "d", "j", "j", "d"), ("p",)])
async def test_where_there_is_no_room_one_pane_is_shown_and_each_is_one_key_away(keys: tuple[str, ...]) -> None:
    async with driving(size=(44, 12)) as driver:
        await driver.press(*keys)
        screen = driver.app.data_screen
        assert screen is not None
        for number, pane in enumerate(screen.panes(), 1):
            await driver.press(str(number))
            assert [each for each in screen.panes() if each.display] == [pane] and pane.size.height > 4
            assert {len(line) <= 44 for line in driver.text.splitlines()} == {True}


class _Long(StoryFeed):
    """The story, with one agent of very many steps."""

    def _answer(self, query: Query) -> View:
        view = super()._answer(query)
        if not isinstance(view, AgentView) or not isinstance(query, AgentQuery):
            return view
        count = 50_000
        offset = max(0, min(query.offset, count - query.limit))
        made = [
            AgentStep(f"k{n}", 0, "tool", f"call {n}", "error" if n == 30_000 else "ok", "", f"{n:04x}")
            for n in range(offset, offset + query.limit)
        ]
        return msgspec.structs.replace(
            view, steps=made, offset=offset, rows_total=count, messages=[], failed=[(30_000, "k30000")]
        )


async def test_an_agent_of_very_many_steps_is_paged_through() -> None:
    async with driving(_Long()) as driver:
        await driver.press(*OPEN)
        assert "1 of 50 000" in driver.text
        await driver.press("G")
        await driver.beat()
        assert "50 000 of 50 000" in driver.text and "call 49999" in driver.text
        await driver.press("exclamation_mark")
        await driver.beat()
        assert page(driver).step is not None and page(driver).step.key == "k30000"  # type: ignore[union-attr]
        await driver.press("g")
        await driver.beat()
        assert "call 0" in driver.text and "1 of 50 000" in driver.text
        screen = page(driver)
        for end, offset in ((-1, 150), (-1, 300), (0, 150)):
            screen.steps.go(end % len(screen.steps.keys))
            at = screen.step
            await driver.beat(2)
            assert screen.view is not None and screen.view.offset == offset, "the window slides with the cursor"
            assert at is not None and screen.step is not None and screen.step.key == at.key, "which stays on its step"
