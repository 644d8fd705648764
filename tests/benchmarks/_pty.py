"""A real terminal for a program, played by a pseudo-terminal: what it draws, when, and in how many bytes.

Invariant: a frame counts when the program says that it is whole (synchronised output, mode 2026, which this terminal says it
has), so a time is that of a finished picture. Used by the benchmark of the dashboard.
"""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte

from tests.benchmarks import AbsentError
from tests.benchmarks._rounds import REPOSITORY

Lines = list[str]
_ASKED, _ANSWERED, _FRAME_END = b"\x1b[?2026$p", b"\x1b[?2026;2$y", b"\x1b[?2026l"
UNKNOWN = re.compile(rb"\x1b\[[<>=][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$p")  # what pyte would print as text
_TICKS = os.sysconf("SC_CLK_TCK")


class Terminal:
    """Runs `command` in a terminal of so many columns and rows. Use with `with`; the program is ended at the end."""

    def __init__(
        self, command: Sequence[str], columns: int = 120, rows: int = 36, environment: Mapping[str, str] | None = None
    ) -> None:
        self._command = list(command)
        self._size = (columns, rows)
        self._environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", **(environment or {})}
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._changed = threading.Condition()
        self.byte_count = 0
        self.frame_count = 0
        self.began_s = self.painted_s = self.first_s = 0.0  # when it was started, last drew, first drew

    def __enter__(self) -> "Terminal":
        self._master, slave = pty.openpty()
        columns, rows = self._size
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.began_s = time.monotonic()
        self._process = subprocess.Popen(
            self._command, stdin=slave, stdout=slave, stderr=slave, cwd=REPOSITORY, env=self._environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        os.close(self._master)

    @property
    def pid(self) -> int:
        return self._process.pid

    def lines(self) -> Lines:
        """What stands on the screen."""
        with self._changed:
            return list(self._screen.display)

    def press(self, keys: str) -> float:
        """Presses keys; returns when, by the monotonic clock."""
        at_s = time.monotonic()
        os.write(self._master, keys.encode())
        return at_s

    def until(self, seen: Callable[[Lines], bool], timeout_s: float = 20.0) -> float:
        """Waits for a picture in which something is seen; returns when it was drawn. Raises AbsentError."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while not seen(list(self._screen.display)):
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or not self._changed.wait(left_s):
                    told = "\n".join(line.rstrip() for line in self._screen.display)
                    raise AbsentError(f"the screen did not show it within {timeout_s:g} s:\n{told}")
            return self.painted_s

    def stop(self, is_stopped: bool = True) -> None:
        os.kill(self.pid, signal.SIGSTOP if is_stopped else signal.SIGCONT)

    def cpu_s(self) -> float:
        """What the program has used of the processor so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory_mb(self) -> float:
        """What it holds in memory."""
        told = Path(f"/proc/{self.pid}/status").read_text()
        return int(told.partition("VmRSS:")[2].split()[0]) / 1024

    def _read(self) -> None:
        held = b""
        while True:
            try:
                data = os.read(self._master, 1 << 16)
            except OSError:  # the program has ended
                return
            at_s = time.monotonic()
            if not data:
                return
            self.byte_count += len(data)
            self.first_s = self.first_s or at_s
            if _ASKED in data:
                os.write(self._master, _ANSWERED)
            held += data
            whole, mark, rest = held.rpartition(_FRAME_END)
            if not mark and len(held) < 1 << 20 and self.frame_count:
                continue
            with self._changed:
                self._stream.feed(UNKNOWN.sub(b"", whole + mark if mark else held))
                self.frame_count += held.count(_FRAME_END)
                self.painted_s = at_s
                self._changed.notify_all()
            held = rest if mark else b""
