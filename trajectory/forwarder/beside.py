"""Forwarding as its collector's process sees it: a process that may come and go, and what it says of how it goes.

Invariant: the collector waits for nothing of it. Called by `trajectory serve`; loads nothing of HTTP or gRPC itself.
"""

import contextlib
import os
import select
import subprocess
import threading
import time

import msgspec

from trajectory.collector import child
from trajectory.forwarder.process import DRAIN_S, Settings, Told

_END_S = DRAIN_S + 2.0
_AGAIN_S = 0.25  # before a process that died is begun anew; longer where it dies at once
_LONGEST_PAUSE_S = 30.0
_SHORT_S = 5.0
_LOOK_S = 0.5
_MAX_LINE_BYTES = 1 << 20


class ForwarderProcess:
    """Keeps a forwarder going until `close`. `notices` are what an operator has to know just now."""

    def __init__(self, settings: Settings) -> None:
        self.notices: list[str] = []
        self._told: dict[int, list[str]] = {}
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._end_read, self._end_write = os.pipe()
        self._thread = threading.Thread(target=self._keep, name="trajectory-forwarding", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """Of the process; 0 while there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else 0

    def close(self) -> None:
        """Gives the process a moment for what it has yet to send, and ends it."""
        os.close(self._end_write)
        self._thread.join()
        os.close(self._end_read)

    def _keep(self) -> None:
        pause_s = _AGAIN_S
        while True:
            began_s = time.monotonic()
            if self._live():
                return
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S) if time.monotonic() - began_s < _SHORT_S else _AGAIN_S
            if select.select([self._end_read], [], [], pause_s)[0]:
                return

    def _live(self) -> bool:
        """One life of the process; True where it was ended, False where it died."""
        told_read, told_write = os.pipe()
        try:
            settings = msgspec.structs.replace(self._settings, told_fd=told_write)
            process = self._process = child.begin("trajectory.forwarder.process", settings, (told_write,))
        finally:
            os.close(told_write)
        said = b""
        try:
            while process.poll() is None:
                ready, _, _ = select.select([told_read, self._end_read], [], [], _LOOK_S)
                if self._end_read in ready:
                    child.end(process, _END_S)
                    return True
                if told_read in ready:
                    part = os.read(told_read, 65536)
                    *lines, said = (said + part).split(b"\n")
                    said = said[-_MAX_LINE_BYTES:]
                    self._hear(lines)
                    if not part:
                        process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:  # it closed its end, and lives: of no use
            process.kill()
        finally:
            os.close(told_read)
        return False

    def _hear(self, lines: list[bytes]) -> None:
        for line in lines:
            with contextlib.suppress(msgspec.MsgspecError):
                told = msgspec.json.decode(line, type=Told)
                self._told[told.target] = told.notices
        self.notices = [notice for target in sorted(self._told) for notice in self._told[target]]
