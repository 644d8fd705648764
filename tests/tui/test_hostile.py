"""Whatever agents send, on any screen: nothing but text is shown, frames stand where they stood, and no key is slow or lost."""

import unicodedata

import pytest
from rich.cells import cell_len, get_character_cell_size

from tests.tui.goldens import PATHS
from tests.tui.hostile import HostileFeed
from tests.tui.pilots import Driver, driving
from tui.widgets.pane import Pane

EDGES = frozenset("│┃▐|#!╭╮╰╯┏┓┗┛+%█")
PLAIN = {name: PATHS[name] for name in ("delegation", "span", "replay")}
MENUS = {
    "exports": ["enter", "e"],
    "marks": ["enter", "m", "a", "m"],
    "palette": ["enter", "ctrl+p"],
    "prompt": ["enter", "colon"],
}
PANES = {
    "panes of an alert": ["enter", "a", "enter", "2", "3", "z", "tab"],
    "panes of an agent": ["enter", "j", "j", "enter", "1", "2", "v", "z"],
}


def is_text_in_its_place(driver: Driver, where: str) -> None:
    columns, rows = driver.app.size
    strips = driver.app.screen._compositor.render_strips()
    lines = ["".join(segment.text for segment in strip) for strip in strips]
    assert len(lines) == rows and {cell_len(line) for line in lines} == {columns}, where
    seen = {char for line in lines for char in line}
    assert not {hex(ord(c)) for c in seen if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}, where
    assert not seen & set("\u200d\ufe0f"), where
    if driver.app.is_plain:
        return
    cells = [[char for char in line for _ in range(get_character_cell_size(char))] for line in lines]
    for pane in driver.app.screen.query(Pane):
        box = pane.region
        if pane.display and box.right - box.x > 2 and box.bottom <= rows:
            edges = {cells[line][column] for line in range(box.y, box.bottom) for column in (box.x, box.right - 1)}
            assert edges <= EDGES, (where, pane.id, edges)


@pytest.mark.parametrize(("size", "glyphs", "is_plain"), [((80, 24), "unicode", False), ((60, 20), "ascii", True)])
async def test_hostile_text_in_every_field_is_text_on_every_screen(
    size: tuple[int, int], glyphs: str, is_plain: bool
) -> None:
    async with driving(HostileFeed(), size=size, glyphs=glyphs, is_plain=is_plain) as driver:
        seen = set()
        for name, keys in (PATHS | PANES | MENUS).items() if not is_plain else PLAIN.items():
            ways = [tuple(keys[:count]) for count in range(1, len(keys) + 1)]
            known_count = sum(way in seen for way in ways)
            await driver.press(*keys[:known_count])
            for key in keys[known_count:]:
                await driver.press(key)
                is_text_in_its_place(driver, f"{name} {key}")
            seen.update(ways)
            for key in ("j", "tab") if name in PATHS else ():
                await driver.press(key)
                is_text_in_its_place(driver, f"{name} {key}")
            await driver.home()


async def test_markup_is_shown_as_it_was_written() -> None:
    async with driving(HostileFeed()) as driver:
        shown = ""
        for keys in (["enter"], ["a", "enter"], ["enter"]):
            await driver.press(*keys)
            shown += driver.text
        assert "[bold red]x" in shown and "␛[2J" in shown


async def test_lines_of_a_megabyte_are_cut_and_not_worked_through() -> None:
    async with driving(HostileFeed(is_long=True), size=(80, 24)) as driver:
        for keys in (
            [],
            ["enter"],
            ["t", "j"],
            ["enter"],
            ["escape", "escape", "a", "enter"],
            ["escape", "escape", "d", "d"],
            ["escape", "r"],
        ):
            await driver.press(*keys)
            is_text_in_its_place(driver, str(keys))
