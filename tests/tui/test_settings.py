"""Settings: read with their faults told by line, written in place, and what was opened is remembered."""

import stat
from pathlib import Path

import pytest

from tests.tui.pilots import Driver, driving, full_disk
from tests.tui.story import RUNS, StoryFeed
from trajectory.errors import QueryError
from tui.app import TrajectoryApp
from tui.key_words import footer_keys, help_groups
from tui.keymap import moved_keys
from tui.keys import KEYS, SCREENS, key_id, keys_on, moved_row
from tui.screens.runs import _ORDERS
from tui.seen import MAX_RUNS_COUNT, Seen
from tui.settings import MAX_FILTERS_COUNT, SORTS, Settings, replace_file
from tui.signs import UNICODE
from tui.themes import OURS

WRITTEN = """\
# mine
theme = "nord"   # calm
sort = "alerts"
wall_times = 3
colour = "red"

[filters]
broken = "err>>"
bad = "err>0"

[keys]
sort = "O"
sorts = "s"
follow = "z"
zoom = ["Z", "ctrl+l"]
health = "z"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "settings.toml").write_text(WRITTEN)
    return tmp_path / "settings.toml"


def test_what_makes_sense_is_taken_and_the_rest_is_told_with_its_line(path: Path) -> None:
    settings = Settings(path)
    assert settings.values == {"theme": "nord", "sort": "alerts"}
    assert settings.filters == {"bad": "err>0"}
    assert settings.moved == {"sort": ("O",), "zoom": ("Z", "ctrl+l"), "follow": ("z",)}
    assert [fault.partition(" ")[0] for fault in settings.faults] == [
        f"settings.toml:{line}:" for line in (4, 5, 8, 13, 16)
    ]
    assert "follow already (runs)" in settings.faults[-1]


@pytest.mark.parametrize("body", [b"theme = ", b"\xff\xfe", b"x = 1\n" * 60_000])
def test_a_file_that_cannot_be_read_is_told_and_never_overwritten(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(body)
    settings = Settings(path)
    assert settings.told.startswith("settings.toml is not read")
    assert settings.set("theme", "nord").startswith("not saved")
    assert path.read_bytes() == body


def test_a_change_is_written_in_place_and_for_the_user_alone(path: Path, tmp_path: Path) -> None:
    assert not Settings(path).set("theme", "dracula")
    changed = path.read_text()
    assert changed == WRITTEN.replace('"nord"', '"dracula"')
    fresh = Settings(tmp_path / "new" / "settings.toml")
    assert fresh.keep_filter("err>0 agent:research @mine") == "saved as @mine"
    assert stat.S_IMODE((tmp_path / "new" / "settings.toml").stat().st_mode) == 0o600
    assert Settings(tmp_path / "new" / "settings.toml").meant("@mine") == "err>0 agent:research"
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["settings.toml"]


@pytest.mark.parametrize("body", ["filters = 3", "keys = ['o']"])
def test_a_table_that_is_none_is_told_and_what_is_to_stand_in_it_is_not_saved(tmp_path: Path, body: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(body)
    settings, name = Settings(path), body.split()[0]
    assert settings.told == f"settings.toml:1: {name} is to be a table: [{name}]"
    assert settings._write(name, "mine", "err>0").startswith("not saved: ")
    assert path.read_text() == body


def test_filters_are_bounded_whether_they_are_read_or_saved(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("[filters]\n" + "".join(f'f{number} = "err>{number}"\n' for number in range(MAX_FILTERS_COUNT + 5)))
    settings = Settings(path)
    assert len(settings.filters) == MAX_FILTERS_COUNT
    assert settings.keep_filter("err>0 @one-more") == f"not saved: there are {MAX_FILTERS_COUNT} filters already"
    assert settings.keep_filter("err>7 @f3") == "saved as @f3" and settings.meant("@f3") == "err>7"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('"a b" = "err>0"', "a filter's name has letters"),
        (f'{"x" * 41} = "err>0"', "40 at most"),
        ("mine = 3", "@mine is to be a filter in quotes"),
    ],
)
def test_a_filter_that_makes_no_sense_is_told_with_its_line(tmp_path: Path, line: str, why: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(f"[filters]\n{line}\n")
    settings = Settings(path)
    assert settings.told.startswith("settings.toml:2: ") and why in settings.told and not settings.filters


def test_a_fault_whose_line_is_not_found_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('keys.srot = "o"\n')
    assert Settings(path).told.startswith("settings.toml: there is no key called srot")


def test_a_theme_that_is_set_and_does_not_exist_is_told_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('theme = "nrod"\n')
    app = TrajectoryApp(StoryFeed(), settings=Settings(path))
    assert app.settings.told == "there is no theme 'nrod'; did you mean nord?" and app.theme == OURS[0].name


def test_what_does_not_fit_on_the_disk_leaves_the_file_as_it_was_and_nothing_beside_it(path: Path) -> None:
    settings = Settings(path)
    with full_disk():
        with pytest.raises(OSError, match="File too large"):
            replace_file(path, b"x" * 10)
        assert settings.set("theme", "dracula") == "not saved: File too large"
    assert path.read_text() == WRITTEN and [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_filter_that_is_not_saved_is_told_with_those_that_are(path: Path) -> None:
    with pytest.raises(QueryError, match="no filter is saved as @other; there are @bad"):
        Settings(path).meant("@other")
    assert Settings(path).meant("title~a@b.c") == "title~a@b.c"


def test_a_mistyped_setting_key_panel_or_filter_is_answered_with_what_is_nearest(path: Path) -> None:
    path.write_text('them = "nord"\n[filters]\nmine = "err>0"\n[keys]\nsrot = "o"\n[[panels]]\nmetrc = "p95"\n')
    near = {1: "there is no setting them", 5: "there is no key called srot", 7: "a panel has no metrc"}
    meant = {1: "theme", 5: "sort", 7: "metric"}
    assert Settings(path).faults == [f"settings.toml:{at}: {near[at]}; did you mean {meant[at]}?" for at in near]
    with pytest.raises(QueryError, match=r"saved as @mien; did you mean @mine\?"):
        Settings(path).meant("@mien")
    path.write_text("colour = 1\n")
    assert "there is no setting colour; there are theme, glyphs" in Settings(path).told


def test_every_row_has_an_id_of_its_own_on_a_screen() -> None:
    for screen in SCREENS:
        ids = [key_id(row) for row in keys_on(screen)]
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("sort", "", "is to be a key"),
        ("sort", "nokey", "is to be a key"),
        ("sort", ["a"] * 5, "is to be a key"),
        ("sort", 7, "is to be a key"),
        ("sort", "ctrl+q", "always quits"),
        ("sort", "3", "pane already"),
        ("sort", "q", "quit already"),
        ("pane", "a", "many keys at once"),
        ("sort", "hyper+s", "is to be a key"),
    ],
)
def test_a_move_that_would_break_something_is_left_out(name: str, value: object, why: str) -> None:
    moved, [(told, reason)] = moved_keys({name: value})
    assert not moved and told == name and why in reason


def test_two_keys_can_change_places_and_are_shown_there() -> None:
    moved, faults = moved_keys({"sort": "f", "follow": "s", "line-next": ["ctrl+n", "down"]})
    assert not faults
    assert ("f", "sort", "screen.sort") in footer_keys("runs", "", UNICODE, moved)
    listed = {row.does: row.sign for rows in help_groups(["runs"], UNICODE, moved).values() for row in rows}
    assert listed["follow the newest"] == "s"
    assert "^n down" in listed["next, previous line"]
    for screen in SCREENS:
        pressed = [key for row in KEYS if screen in row.screens for key in moved_row(row, moved).keys]
        assert len(pressed) == len(set(pressed))


def test_the_orders_that_can_be_set_are_those_of_the_list() -> None:
    assert tuple(name for name, _ in _ORDERS) == SORTS


async def test_the_dashboard_opens_as_it_was_left(tmp_path: Path) -> None:
    path, seen = tmp_path / "settings.toml", tmp_path / "seen.json"
    path.write_text('nonsense = 1\n[keys]\nsort = "f"\nfollow = "s"\n')

    async def opened(driver: Driver) -> None:
        assert "settings.toml:1: there is no setting nonsense" in driver.text
        await driver.press("f", "T", "v", "slash", *"err>0", "space", "at", *"bad", "enter")
        assert "saved as @bad" in driver.text
        await driver.press("escape", "enter", "escape")
        assert "nothing since you last opened it" in driver.text

    async with driving(settings=Settings(path), seen=Seen(seen)) as driver:
        await opened(driver)
    async with driving(settings=Settings(path), seen=Seen(seen)) as driver:
        assert driver.app.theme == "okabe-light"
        assert driver.app.wall_times
        assert "sort alerts" in driver.text
        driver.app.screen.list.want(RUNS[0].trace_id)  # type: ignore[attr-defined]
        await driver.beat()
        assert "nothing since you last opened it" in driver.text
        await driver.press("slash", "at", *"bad", "enter")
        assert "err>0" in driver.text
        await driver.press("s")
        assert "the newest live run stays selected" in driver.text
    assert RUNS[0].title.encode() not in seen.read_bytes()


async def test_what_is_changed_on_the_screen_and_cannot_be_kept_is_told(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("theme = ")
    async with driving(settings=Settings(path)) as driver:
        assert "settings.toml is not read" in driver.text
        await driver.press("v")
        assert driver.app.wall_times and path.read_text() == "theme = "
        driver.app.keep("sort", "errors")
        await driver.ready()
        assert "not saved: settings.toml has a fault" in driver.text


def test_what_was_seen_is_bounded_and_shared(tmp_path: Path) -> None:
    path = tmp_path / "seen.json"
    first, second = Seen(path), Seen(path)
    for number in range(MAX_RUNS_COUNT):
        first[f"{number:032x}"] = RUNS[0]
    second["f" * 32] = RUNS[1]
    first.keep()
    second.keep()
    again = Seen(path)
    assert len(again) == MAX_RUNS_COUNT
    assert again["f" * 32].steps == RUNS[1].steps and f"{0:032x}" not in again
    path.write_bytes(b"[1, 2")
    assert not Seen(path)
