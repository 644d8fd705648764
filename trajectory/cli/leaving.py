"""Sees to it that a dashboard ends when it is told to, or when its terminal is gone, whatever it is stuck in.

Invariant: after SIGTERM, SIGHUP or the terminal's hang-up the process lives for `DEADLINE_S` at most. A terminal that is
gone takes no output, and the toolkit waits for its output without end; so the last word has a thread that waits for nothing.
Called by `watch.show`.
"""

import asyncio
import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Coroutine
from types import FrameType
from typing import Protocol

DEADLINE_S = 3.0
_LEAVE_SCREEN = b"\x1b[?1000l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1049l\x1b[?25h"


class Leavable(Protocol):
    """What can be run and be asked to end: a Textual app."""

    def run_async(self, *, mouse: bool = True) -> Coroutine[object, object, object]: ...

    def exit(self) -> None: ...


class Ending:
    """Runs an app between `begin` and `done`; `number` is the signal that ended it, or 0."""

    def __init__(self, app: Leavable) -> None:
        self.number = 0
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None
        self._done = threading.Event()
        self._before = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGHUP)}
        self._attributes = _attributes()

    def run(self, mouse: bool) -> None:
        """Runs the app to its end."""
        for name in self._before:
            signal.signal(name, self._on_signal)
        threading.Thread(target=self._watch_terminal, name="trajectory-hangup", daemon=True).start()
        asyncio.run(self._main(mouse))

    def done(self) -> None:
        """Everything is put away: nothing has to be forced any more."""
        self._done.set()
        for name, handler in self._before.items():
            signal.signal(name, handler)

    async def _main(self, mouse: bool) -> None:
        self._loop = asyncio.get_running_loop()
        if self.number:
            return
        try:
            await self._app.run_async(mouse=mouse)
        except (OSError, termios.error):
            if not _is_hung_up(0):
                raise
            # The toolkit wrote to a terminal that is gone, and told of it there once more.
            self.number = self.number or signal.SIGHUP

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._end(number)

    def _end(self, number: int) -> None:
        if self.number:
            return
        self.number = number
        threading.Thread(target=self._force, name="trajectory-deadline", daemon=True).start()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._app.exit)

    def _watch_terminal(self) -> None:
        """Ends the app when the terminal hangs up: no signal comes to a process that is not in its foreground."""
        if _is_hung_up():
            self._end(signal.SIGHUP)

    def _force(self) -> None:
        if self._done.wait(DEADLINE_S):
            return
        _give_back(self._attributes)
        os._exit(128 + self.number)


def _is_hung_up(within_ms: int | None = None) -> bool:
    """Whether the terminal is gone; waits until it is, or something is wrong with it, where no time is given."""
    watched = select.poll()
    watched.register(sys.__stdin__.fileno() if sys.__stdin__ else 0, 0)  # hang-ups and errors are told in any case
    return any(what & select.POLLHUP for _, what in watched.poll(within_ms))


def _attributes() -> "list[object] | None":
    try:
        return termios.tcgetattr(0)
    except termios.error:
        return None


def _give_back(attributes: "list[object] | None") -> None:
    """The terminal as it was, where it still is and takes output at once."""
    try:
        if attributes is None:
            return
        termios.tcsetattr(0, termios.TCSANOW, attributes)  # type: ignore[arg-type]
        ready = select.select([], [2], [], 0)[1]
        if ready:
            os.write(2, _LEAVE_SCREEN)
    except (OSError, termios.error):
        return
