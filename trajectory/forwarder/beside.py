"""Forwarding as its collector's process sees it: a process that may come and go, and what it says of how it goes.

Invariant: the collector waits for nothing of it. Called by `trajectory serve`; loads nothing of HTTP or gRPC itself.
"""

import contextlib
import os
import select
import subprocess

import msgspec

from trajectory.collector import child
from trajectory.forwarder.process import DRAIN_S, Settings, Told

_END_S = DRAIN_S + 2.0
_MAX_LINE_BYTES = 1 << 20


class ForwarderProcess(child.Attended):
    """Keeps a forwarder going until `close`. `notices` are what an operator has to know just now."""

    def __init__(self, settings: Settings) -> None:
        self.notices: list[str] = []
        self._told: dict[int, list[str]] = {}
        self._settings = settings
        self._told_read, self._said = -1, b""
        super().__init__("trajectory-forwarding", _END_S)

    def close(self) -> None:
        """Gives the process a moment for what it has yet to send, and ends it."""
        super().close()
        self._hear_no_more()

    def _begin(self) -> "subprocess.Popen[bytes]":
        self._hear_no_more()
        self._told_read, told_write = os.pipe()
        try:
            settings = msgspec.structs.replace(self._settings, told_fd=told_write)
            return child.begin("trajectory.forwarder.process", settings, (told_write,))
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
