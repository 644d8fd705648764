"""What leaves the screen: exports, a look in an editor, links."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import pytest

from tests.tui.pilots import Driver, driving, full_disk
from tests.tui.rows import HOSTILE
from tests.tui.story import TRACE_ID, StoryFeed
from trajectory.view.feed import FeedLost, Format
from trajectory.view.rows import Content
from trajectory.view.views import Query, SpanQuery, SpanView, View
from tui.app import TrajectoryApp
from tui.taking import Exported, new_file

EDITOR = """#!/bin/sh
for last; do :; done
cp "$last" "$KEPT/seen"
ls -l "$last" "${last%/*}/.." > "$KEPT/where"
echo "$@" > "$KEPT/words"
"""


async def exported(driver: Driver) -> None:
    """Waits until an export has been told of."""
    thread = driver.app._exporting
    assert thread is not None
    thread.join(10)
    await driver.beat()


@pytest.mark.parametrize("path", [[], ["enter"], ["t"], ["enter", "a", "enter"], ["enter", "a", "enter", "enter"]])
async def test_a_run_is_exported_from_every_screen_into_a_private_file_named_by_us(
    path: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with driving(size=(80, 24)) as driver:
        await driver.press(*path, "e")
        assert driver.where == "export"
        assert all(suffix in driver.text for suffix in (".jsonl", ".md", ".mmd"))
        await driver.press("j", "enter")
        await exported(driver)
        (written,) = tmp_path.iterdir()
        assert written.name.startswith("trajectory-7f3a0000-") and written.suffix == ".md"
        assert written.read_text() == f"{TRACE_ID} trace"
        assert stat.S_IMODE(written.stat().st_mode) == 0o600
        assert f"wrote {written.name}" in driver.text


async def test_the_menu_remembers_the_last_format_and_steps_through_the_graphs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with driving() as driver:
        await driver.press("e", "l", "j", "j", "enter")
        await exported(driver)
        (written,) = tmp_path.iterdir()
        assert written.name.startswith("trajectory-7f3a0000-spans-") and written.suffix == ".mmd"
        await driver.press("e")
        assert "graphs of: spans" in driver.text
        await driver.pilot.double_click("#export", offset=(5, 3))
        await driver.ready()
        await exported(driver)
        assert [path.read_text() for path in tmp_path.iterdir()] == [f"{TRACE_ID} spans"] * 2
        await driver.press("e", "escape")
        assert driver.where == "runs"


async def test_an_export_that_fails_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("e")
        feed.lost = True
        await driver.press("enter")
        await exported(driver)
        assert "nothing exported: nobody answers" in driver.text
        assert list(tmp_path.iterdir()) == []


async def test_a_second_export_waits_for_the_first_and_one_that_has_nowhere_to_go_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    goes_on = Event()

    class Slow(StoryFeed):
        few: list[Format] | None = None

        def export(self, *what: Any) -> None:
            goes_on.wait(10)
            super().export(*what)

        def formats(self) -> list[Format]:
            if self.lost:
                raise FeedLost("nobody answers")
            return self.few if self.few is not None else super().formats()

    feed = Slow()
    async with driving(feed) as driver:
        feed.few = []
        await driver.press("e", "l", "enter", "escape")
        feed.few = [Format(".jsonl", "trace", "every fact")]
        await driver.press("e", "l", "escape")
        assert driver.where == "runs" and driver.app.doing == ""
        await driver.press("e", "enter", "e", "enter")
        assert "one export is still under way" in driver.text
        goes_on.set()
        await exported(driver)
        (written,) = tmp_path.iterdir()
        written.unlink()
        driver.app.on_exported(Exported(path=str(written)))  # somebody took it in the meantime
        assert "(gone again)" in driver.app.screen.said
        nowhere(tmp_path, monkeypatch)
        await driver.press("e", "enter")
        assert "neither here nor in the temporary directory" in driver.text
        assert driver.app.save_picture().startswith("nothing could be saved")
        feed.lost = True
        await driver.press("e")
        assert driver.where == "runs" and "nothing exported: nobody answers" in driver.text
        feed.lost = False
        await driver.press("slash", *"zzz", "enter", "e")
        assert driver.where == "runs" and "no run to export here" in driver.text


def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes away the directory that one is in, and that of temporary files."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "never"))


def test_from_a_directory_that_is_gone_files_go_into_the_temporary_one_and_ten_of_a_second_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere(tmp_path, monkeypatch)
    assert new_file("a", ".md") is None
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = new_file("a", ".md")
    assert made is not None and made.parent == tmp_path and stat.S_IMODE(made.stat().st_mode) == 0o600
    monkeypatch.setattr("time.strftime", lambda _format: "now")
    names = [path.name if (path := new_file("b", ".md")) else "" for _ in range(10)]
    assert names == ["b-now.md", *(f"b-now-{again}.md" for again in range(2, 10)), ""]


async def test_on_a_full_disk_a_picture_and_the_file_of_a_copy_are_told_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with driving() as driver:
        with full_disk():
            await driver.press("y")
        assert driver.app.clipboard == TRACE_ID and "copied 32 characters (no file: File too large)" in driver.text
        with full_disk():
            await driver.press("S")
        assert "nothing saved: File too large" in driver.text and not [*tmp_path.glob("*.svg")]


@contextmanager
def giving_the_terminal() -> Iterator[None]:
    yield


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An editor that keeps what it saw; its directory, and that of temporary files, which is empty otherwise."""
    program, temporary = tmp_path / "nvim", tmp_path / "temporary"
    program.write_text(EDITOR)
    program.chmod(0o700)
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(TrajectoryApp, "suspend", lambda _app: giving_the_terminal())
    monkeypatch.setattr("tui.taking._AT_ONCE_S", 0.0)
    monkeypatch.setenv("KEPT", str(tmp_path))
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{program} -x")
    return tmp_path


async def test_the_editor_gets_the_value_in_a_private_file_that_is_gone_after(
    editor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.tui.story._CACHED", HOSTILE)
    async with driving() as driver:
        await driver.press("enter", "a", "enter", "enter", "o")
        assert (editor / "seen").read_bytes() == HOSTILE.encode("utf-8", "replace")
        where, words = (editor / "where").read_text(), (editor / "words").read_text()
        assert where.startswith("-rw-------") and "drwx------" in where
        assert words.startswith("-x --cmd set nomodeline /")
        assert "nvim is left" in driver.text
        assert list((editor / "temporary").iterdir()) == []


async def test_the_editor_gets_all_of_a_value_that_is_cut_on_the_screen(
    editor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Long(StoryFeed):
        def _answer(self, query: Query) -> View:
            view = super()._answer(query)
            if not isinstance(query, SpanQuery) or not isinstance(view, SpanView):
                return view
            text = "x" * 200_000
            is_cut = query.whole != "d1"
            cut = Content("result", "text/plain", "d1", text[:65_536] if is_cut else text, 200_000, is_cut)
            return msgspec.structs.replace(view, contents=[cut])

    async with driving(Long()) as driver:
        await driver.press("enter", "a", "enter", "enter", "o")
        await driver.beat(2)
        assert (editor / "seen").stat().st_size == 200_000
        assert "nvim is left" in driver.text
        assert "cut" in driver.text


async def test_an_editor_with_a_window_of_its_own_keeps_its_file_until_the_dashboard_is_left(
    editor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.taking._AT_ONCE_S", 60.0)
    async with driving() as driver:
        await driver.press("o")
        assert '"title": "Q3 revenue memo"' in (editor / "seen").read_text()
        assert "goes when you quit" in driver.text
        assert len(list((editor / "temporary").iterdir())) == 1
    assert list((editor / "temporary").iterdir()) == []


async def test_without_an_editor_that_is_said(editor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with driving() as driver:
        monkeypatch.setenv("EDITOR", "/nowhere/vi")
        await driver.press("o")
        assert "/nowhere/vi cannot be run: No such file" in driver.text
        monkeypatch.setenv("EDITOR", "false")
        await driver.press("o")
        assert "false ended with code 1" in driver.text
        monkeypatch.setenv("EDITOR", '"')
        await driver.press("o")
        assert "no editor is set: VISUAL or EDITOR names one" in driver.text
        monkeypatch.undo()
        monkeypatch.setenv("VISUAL", "vi")
        await driver.press("o")
        assert "cannot be given to an editor" in driver.text
