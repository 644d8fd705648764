"""The dashboard ends with its terminal, however early that goes and whatever the dashboard is doing."""

import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cli.terminal import trajectory, until
from tests.tui.story import StoryFeed
from tui.app import TrajectoryApp

WATCH = ("-m", "trajectory", "watch", "--no-settings", "--store")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    log = folder / "chat.jsonl"
    log.write_text('{"history": [{"role": "user", "content": "ask"}, {"role": "assistant", "content": "answer"}]}\n')
    assert trajectory("import", log, "--store", folder / "s.db").code == 0
    return folder / "s.db"


class Window:
    """A terminal window with a dashboard in it; `leads` is whether the dashboard is told by a signal that it closes."""

    def __init__(self, *words: object, leads: bool = True) -> None:
        self.pid, self._master = pty.fork() if leads else _without_signal()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", LANG="C.UTF-8")
            os.execv(sys.executable, [sys.executable, "-P", *map(str, words)])
        termios.tcsetwinsize(self._master, (36, 120))
        self.is_open = True

    def read(self, count: int) -> None:
        """Takes at least so many bytes of what is drawn."""
        while count > 0:
            count -= len(os.read(self._master, count))

    def read_until(self, text: bytes) -> bytes:
        """All that is drawn until there is a text."""
        drawn = b""
        while text not in drawn:
            drawn += os.read(self._master, 65536)
        return drawn

    def write(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def close(self) -> None:
        if self.is_open:
            os.close(self._master)
            self.is_open = False

    def code(self) -> int:
        """How the dashboard ended, as a shell tells it."""
        _, status = until(lambda: found if (found := os.waitpid(self.pid, os.WNOHANG))[0] else None)
        self.pid = 0
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def kill(self) -> None:
        self.close()
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def _without_signal() -> tuple[int, int]:
    master, slave = pty.openpty()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        for number in (0, 1, 2):
            os.dup2(slave, number)
        os.close(master)
    os.close(slave)
    return pid, master


@pytest.fixture
def windows() -> Iterator[list[Window]]:
    opened: list[Window] = []
    yield opened
    for window in opened:
        window.kill()


def test_a_terminal_that_closes_ends_the_dashboard_however_early(store: Path, windows: list[Window]) -> None:
    byte_counts = (1, 40, 400, 4000)
    windows += [Window(*WATCH, store) for _ in byte_counts]
    windows.append(Window(*WATCH, store, leads=False))
    for window, count in zip(windows, (*byte_counts, 1), strict=True):
        window.read(count)
        window.close()
    assert {window.code() for window in windows} == {128 + signal.SIGHUP}


# What an app does that was still writing when its terminal went: to tell of it, it writes there once more.
WRITES_ON = """
import os, sys
from trajectory.cli.leaving import Ending

class App:
    async def run_async(self, *, mouse=True):
        print("begun", flush=True)
        while True:
            os.write(1, b"\\0" * 4096)

    def exit(self):
        pass

ending = Ending(App())
ending.run(False)
ending.done()
sys.exit(128 + ending.number)
"""


@pytest.mark.parametrize("leads", [True, False])
def test_an_app_that_writes_to_a_terminal_that_is_gone_ends_as_the_terminal_did(
    leads: bool, windows: list[Window]
) -> None:
    windows.append(Window("-c", WRITES_ON, leads=leads))
    windows[0].read(10)
    windows[0].close()
    assert windows[0].code() == 128 + signal.SIGHUP


# What an app does that hears nothing any more, or that fails: a word says which.
STUCK = """
import os, signal, sys, time
from trajectory.cli import leaving

class App:
    async def run_async(self, *, mouse=True):
        if sys.argv[1] == "fails":
            raise OSError("no such screen")
        assert sys.argv[1] != "told before"
        print("begun", flush=True)
        while True:
            time.sleep(0.05)

    def exit(self):
        pass

leaving.DEADLINE_S = 0.1
ending = leaving.Ending(App())
if sys.argv[1] == "told before":
    leaving.DEADLINE_S = 60.0
    ending._on_signal(signal.SIGTERM, None)
ending.run(False)
ending.done()
sys.exit(128 + ending.number)
"""


def test_an_app_that_hears_nothing_is_ended_and_the_terminal_is_given_back(windows: list[Window]) -> None:
    for closes in (False, True):
        window = Window("-c", STUCK, "hears nothing")
        windows.append(window)
        said = window.read_until(b"begun")
        if closes:
            window.close()
            assert window.code() == 128 + signal.SIGHUP
        else:
            os.kill(window.pid, signal.SIGTERM)
            assert window.read_until(b"\x1b[?1049l\x1b[?25h").count(b"\x1b[?1049l") == 1 and b"\x1b" not in said
            assert window.code() == 128 + signal.SIGTERM
    piped = subprocess.Popen(
        [sys.executable, "-P", "-c", STUCK, "hears nothing"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with piped:
        assert piped.stdout is not None and piped.stdout.readline() == b"begun\n"
        piped.terminate()
        assert (piped.wait(30), piped.stdout.read()) == (128 + signal.SIGTERM, b"")


def test_who_is_told_to_end_before_it_began_does_not_begin_and_a_fault_of_the_app_is_passed_on(
    windows: list[Window],
) -> None:
    windows += [Window("-c", STUCK, "told before"), Window("-c", STUCK, "fails")]
    assert windows[0].code() == 128 + signal.SIGTERM
    assert b"OSError: no such screen" in windows[1].read_until(b"OSError: no such screen")
    assert windows[1].code() == 1


def test_a_link_is_opened_and_what_leads_nowhere_is_said_before_the_screen_is_taken(
    store: Path, windows: list[Window]
) -> None:
    (trace_id,) = trajectory("traces", "--ids", "--store", store).out.split()
    here = ("--no-settings", "--store", store)
    for words, said in (
        (("open", "trajectory://ffff", *here), b"has no run that begins with ffff"),
        (("watch", "--trace", "ffff", *here), b"has no run that begins with ffff"),
        (("watch", "--theme", "no-such-theme", *here), b"no-such-theme"),
    ):
        window = Window("-m", "trajectory", *words)
        windows.append(window)
        assert b"\x1b[?1049h" not in window.read_until(said)
        assert window.code() == 2
    window = Window("-m", "trajectory", "open", f"trajectory://{trace_id[:8]}", *here)
    windows.append(window)
    window.read_until(b"answer")  # of the run, and not of the list of runs
    window.write(b"q")
    assert window.code() == 0


def test_a_terminal_that_takes_no_output_does_not_keep_the_dashboard(store: Path, windows: list[Window]) -> None:
    window = Window(*WATCH, store)
    windows.append(window)
    window.read(1)  # and no more: what is drawn fills the terminal
    os.kill(window.pid, signal.SIGTERM)
    assert window.code() == 128 + signal.SIGTERM


def test_whoever_reads_the_terminal_is_told_to_end_though_the_toolkit_did_not() -> None:
    app = TrajectoryApp(StoryFeed(), ticks_per_s=0)
    reading = threading.Event()
    app._driver = SimpleNamespace(exit_event=reading)  # type: ignore[assignment]  # as left where a terminal goes early
    app.release(timeout_s=0.0)
    assert reading.is_set()
