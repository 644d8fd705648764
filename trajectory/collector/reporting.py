"""A process beside the collector that sends something elsewhere, as the collector sees it: it may come and go.

Invariant: the collector waits for nothing of it. Subclassed for the forwarder's and the alerts' processes; loads none of theirs.
"""

import contextlib
import os
import select
import subprocess

import msgspec

from trajectory.collector import child

_MAX_LINE_BYTES = 1 << 20


class Told(msgspec.Struct, frozen=True):
    """What is to be said from now on of one of those that a process sends to."""

    target: int
    notices: list[str]


class Reporting(child.Attended):
    """Keeps the process `python -m module` going until `close`. `notices` are what an operator has to know just now."""

    def __init__(self, name: str, end_s: float, module: str, settings: msgspec.Struct) -> None:
        self.notices: list[str] = []
        self._told: dict[int, list[str]] = {}
        self._module = module
        self._settings = settings
        self._told_read, self._said = -1, b""
        super().__init__(name, end_s)

    def close(self) -> None:
        """Gives the process a moment for what it has yet to send, and ends it."""
        super().close()
        self._hear_no_more()

    def _begin(self) -> "subprocess.Popen[bytes]":
        self._hear_no_more()
        self._told_read, told_write = os.pipe()
        try:
            settings = msgspec.structs.replace(self._settings, told_fd=told_write)
            return child.begin(self._module, settings, (told_write,))
        finally:
            os.close(told_write)

    def _hear(self, timeout_s: float) -> bool:
        if self._told_read < 0:
            return self._is_over(timeout_s)
        ready, _, _ = select.select([self._told_read, self._end_read], [], [], timeout_s)
        if self._told_read in ready:
            part = os.read(self._told_read, 65536)
            *lines, said = (self._said + part).split(b"\n")
            self._said = said[-_MAX_LINE_BYTES:]
            self._note(lines)
            if not part:  # it ends, or says no more
                self._hear_no_more()
        return self._end_read in ready

    def _hear_no_more(self) -> None:
        if self._told_read >= 0:
            os.close(self._told_read)
        self._told_read, self._said = -1, b""

    def _note(self, lines: list[bytes]) -> None:
        for line in lines:
            with contextlib.suppress(msgspec.MsgspecError):
                told = msgspec.json.decode(line, type=Told)
                self._told[told.target] = told.notices
        self.notices = [notice for target in sorted(self._told) for notice in self._told[target]]
