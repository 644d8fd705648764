"""The inspector: what its fields open, how its contents fold, are copied, come raw and come whole."""

import json
from typing import Any

import msgspec
import pytest

from tests.tui.pilots import Driver, driving
from tests.tui.story import TRACE_ID, StoryFeed
from trajectory.view.rows import Content, LinkRow
from trajectory.view.views import Query, SpanQuery, SpanView, View
from tui.drawing.content import content_lines, content_text, content_title
from tui.drawing.line import plain, put_middle
from tui.screens.alert import AlertScreen
from tui.screens.span import SpanScreen
from tui.signs import UNICODE

OPEN = ("enter", "a", "enter", "enter")
DEEP = {"rows": [{"cells": [{"eu": 41.7, "us": 70.4}]}], "note": "as of 2024"}


class _Feed(StoryFeed):
    """The story, with other contents on every span."""

    def __init__(self, *contents: Content) -> None:
        super().__init__()
        self.contents = list(contents)

    def _answer(self, query: Query) -> View:
        view = super()._answer(query)
        return msgspec.structs.replace(view, contents=self.contents) if isinstance(view, SpanView) else view


def _json(value: object, **more: Any) -> Content:
    text = json.dumps(value)
    return Content("result", "application/json", "d2", text, more.pop("size_bytes", len(text)), **more)


async def _field(driver: Driver, name: str) -> None:
    """Puts the cursor on a field."""
    screen = driver.app.screen
    assert isinstance(screen, SpanScreen)
    screen.focus_pane(0)
    at = next(n for n, field in enumerate(screen._fields) if plain(field.line).strip().startswith(name))
    screen.fields.go(at)
    await driver.press("enter")
    await driver.beat()


async def test_enter_on_a_field_opens_what_it_names() -> None:
    async with driving() as driver:
        await driver.press(*OPEN)
        for name, span_id in (("parent", "a07e"), ("retry_of", "8f02")):
            await _field(driver, name)
            screen = driver.app.screen
            assert isinstance(screen, SpanScreen) and screen.span_id == span_id
            await driver.press("escape")
            assert isinstance(driver.app.screen, SpanScreen) and driver.app.screen.span_id == "91c4"
        await _field(driver, "▲ A1")
        assert isinstance(driver.app.screen, AlertScreen) and driver.app.screen.alert is not None
        await driver.press("escape")
        await _field(driver, "agent")
        assert driver.where == "timeline"


async def test_json_is_folded_from_its_fourth_level_on_and_enter_opens_what_is_folded() -> None:
    async with driving(_Feed(_json(DEEP))) as driver:
        await driver.press(*OPEN)
        assert '"cells": [… 1 item ]' in driver.text and "41.7" not in driver.text
        await driver.press("j", "j", "j")
        assert ".rows[0].cells   y copies it" in driver.text
        await driver.press("enter", "j", "l", "j")
        assert '"eu": 41.7' in driver.text and ".rows[0].cells[0].eu" in driver.text
        await driver.press("g", "j", "h")
        assert '"rows": [… 1 item ],' in driver.text and "41.7" not in driver.text


async def test_a_copy_takes_the_value_under_the_cursor() -> None:
    async with driving(_Feed(_json(DEEP))) as driver:
        await driver.press(*OPEN)
        screen = driver.app.screen
        assert isinstance(screen, SpanScreen)
        assert json.loads(screen.value_of(screen.content)) == DEEP
        await driver.press("j", "j", "j")
        assert json.loads(screen.value_of(screen.content)) == [{"eu": 41.7, "us": 70.4}]
        await driver.press("j", "j", "j")
        assert screen.value_of(screen.content) == "as of 2024"


async def test_a_body_that_was_cut_says_so_and_enter_asks_for_all_of_it() -> None:
    feed = _Feed(_json(DEEP, is_cut=True, size_bytes=2_000_000))
    async with driving(feed) as driver:
        await driver.press(*OPEN)
        assert "of 2.0 MB: ⏎ loads the rest" in driver.text
        await driver.press("G", "enter")
        await driver.beat()
        assert SpanQuery(TRACE_ID, "91c4", whole="d2") in feed.asked


async def test_v_shows_a_body_as_it_was_stored_and_then_all_of_them() -> None:
    feed = _Feed(Content("input", "text/plain", "d1", "user: hello", 11), _json(DEEP))
    async with driving(feed) as driver:
        await driver.press(*OPEN, "v")
        await driver.beat()
        assert SpanQuery(TRACE_ID, "91c4", raw=True) in feed.asked
        assert json.dumps(DEEP)[:40] in driver.text and "hello" not in driver.text
        await driver.press("v")
        await driver.beat()
        assert "user: hello" in driver.text and "result · json" in driver.text


async def test_what_cannot_be_done_on_a_span_is_said() -> None:
    async with driving(_Feed(Content("result", "text/plain", "d1", "one line", 8))) as driver:
        await driver.press(*OPEN)
        for key, said in (
            ("9", "there is no tab 9 here"),
            ("enter", "nothing to open on this line; esc goes back"),
            ("l", "nothing folds here"),
            ("n", "nothing looked for"),
        ):
            await driver.press(key)
            assert said in driver.text, key
        driver.app.open_span(TRACE_ID, "4002", 0)  # the second of three
        await driver.beat(2)
        for bracket, said in (("[", "no sibling before this one"), ("]", "no sibling after this one")):
            while said not in driver.text:
                await driver.press(bracket)
        assert driver.where == "span"


async def test_long_lines_are_cut_and_panned_and_an_open_fold_is_not_opened_twice() -> None:
    async with driving(_Feed(_json({"a": {"b": 1}, "long": "x" * 90 + "END" + "x" * 90}))) as driver:
        await driver.press(*OPEN, "j", "l")
        assert '"b": 1' in driver.text, "what is open stays"
        await driver.press("w")
        assert "long lines are cut" in driver.text and "END" not in driver.text
        screen = driver.app.screen
        assert isinstance(screen, SpanScreen)
        await driver.press(*["l"] * 6)
        assert "END" in driver.text and "column 49" in screen.content.status
        await driver.press(*["h"] * 9)
        assert "column 1" in screen.content.status


async def test_what_was_cut_and_is_no_longer_kept_whole_says_so_and_does_not_open_an_editor_later() -> None:
    class Cut(_Feed):
        def _answer(self, query: Query) -> View:
            view = super()._answer(query)
            if isinstance(view, SpanView) and isinstance(query, SpanQuery) and query.whole and self.is_gone:
                return msgspec.structs.replace(view, contents=[])
            return view

        is_gone = False

    feed = Cut(_json(DEEP, is_cut=True, size_bytes=2_000_000))
    async with driving(feed) as driver:
        await driver.press(*OPEN, "G", "enter")
        await driver.beat()
        assert "no more can be shown here" in driver.text
        await driver.press("]", "[")
        feed.is_gone = True
        await driver.press("o")
        await driver.beat(2)
        assert driver.where == "span" and "ended with" not in driver.text and "loads the rest" in driver.text


async def test_each_pane_copies_its_own_and_a_span_that_runs_ticks() -> None:
    async with driving() as driver:
        await driver.press(*OPEN, "1", "j", "y")
        screen = driver.app.screen
        assert isinstance(screen, SpanScreen) and not screen.ticks
        assert driver.app.clipboard == screen._fields[screen.fields.cursor].value
        await driver.press("2", "3", "u", "y")
        assert screen.pane is screen.used and driver.app.clipboard == "planner#1 passed on delegate writer"
        screen.used.go(0)
        await driver.press("enter")
        assert "nothing to open on this line" in driver.text
        driver.app.open_span(TRACE_ID, "c3f1", 0)
        await driver.beat(2)
        assert driver.app.screen is not screen and driver.app.data_screen is not None and driver.app.data_screen.ticks


async def test_a_field_leads_to_a_delegation_and_says_of_another_trace_that_it_is_one() -> None:
    class Linked(StoryFeed):
        def _answer(self, query: Query) -> View:
            view = super()._answer(query)
            if not isinstance(view, SpanView):
                return view
            there = LinkRow("caused_by", "ee" * 16, "0001", "elsewhere")
            return msgspec.structs.replace(
                view, links=[there], row=msgspec.structs.replace(view.row, kind="delegation")
            )

    async with driving(Linked()) as driver:
        await driver.press(*OPEN)
        await _field(driver, "caused_by")
        assert f"it is in another trace: {'ee' * 16}" in driver.text
        await _field(driver, "status")
        assert isinstance(driver.app.screen, SpanScreen) and driver.app.screen.pane is driver.app.screen.content
        await _field(driver, "kind")
        assert driver.where == "delegation"


def test_a_body_is_called_by_what_it_is_and_not_by_whose_format() -> None:
    types = ("application/json", "application/vnd.example.message+json", "text/plain; charset=utf-8", "")
    titles = [content_title(Content("input", each, "d", "", 98), UNICODE).split(" · ")[1] for each in types]
    assert titles == ["json", "message", "plain", "text"]


def test_names_that_begin_alike_are_told_apart_where_they_are_cut() -> None:
    names = [f"trajectory.delegation.{end}" for end in ("source", "target", "mode", "grade")]
    shown = [put_middle(name, 18)[0] for name in names]
    assert len(set(shown)) == 4 and {len(text) for text in shown} == {18}


def test_every_line_of_a_body_has_its_own_key_and_a_long_one_takes_no_long_time() -> None:
    text = json.dumps({"a b": {"c": [1, "x" * 900_000]}, "e": [], "[0]": None})
    for is_raw in (False, True):
        lines = content_lines(Content("r", "", "d", text, len(text)), 66, UNICODE, wrap=True, is_raw=is_raw)
        assert len({line.key for line in lines}) == len(lines) > 10_000


@pytest.mark.parametrize("depth", [150, 300, 950, 5_000, 200_000])
@pytest.mark.parametrize("opens", ["[", '{"a":'])
def test_json_that_is_nested_too_deep_to_be_written_again_is_a_text_and_can_be_copied(depth: int, opens: str) -> None:
    text = opens * depth + "1" + ("]" if opens == "[" else "}") * depth
    content = Content("result", "application/json", "d", text, len(text))
    lines = content_lines(content, 60, UNICODE, wrap=False)
    assert json.loads(lines[0].copied) if depth == 150 else lines[0].copied == text
    assert content_text(content)[1] is (depth == 150)


@pytest.mark.parametrize("text", ['{"a": ', "[1, 2", "{broken}"])
def test_what_begins_like_json_and_is_none_is_a_text(text: str) -> None:
    assert content_text(Content("result", "application/json", "d", text, len(text))) == (text, False)


async def test_u_tells_where_a_value_went_and_enter_opens_what_used_it() -> None:
    async with driving(size=(80, 24)) as driver:
        await driver.press(*OPEN, "u")
        screen = driver.app.screen
        assert isinstance(screen, SpanScreen) and screen.pane is screen.used
        assert "Used later by" in driver.text and "passed on" in driver.text and "2 more between" in driver.text
        assert "2024-11-02: no later step holds it" in driver.text
        await driver.press("j", "j", "enter")
        assert isinstance(driver.app.screen, SpanScreen) and driver.app.screen.span_id == "c3f8"
        await driver.press("escape", "escape")
        assert driver.app.screen is screen and screen.pane is screen.content and "Used later by" not in driver.text
        await driver.press("j", "u")
        assert "Nothing here can be followed" in driver.text
        await driver.press("escape", "j", "u", "2", "u")
        await driver.press("u")
        assert "passed on" in driver.text  # asked once more of the same: what came of the span


async def test_a_pane_that_was_hidden_is_drawn_for_the_width_that_it_comes_back_with() -> None:
    async with driving(size=(80, 24)) as driver:
        await driver.press(*OPEN)
        content = driver.text
        await driver.press("tab")
        fields = driver.text
        await driver.press("tab")
        assert driver.text == content
        await driver.press("tab")
        assert driver.text == fields
        assert "agent    research#2" in fields
