"""Runs a program of the user's with the message as JSON on its standard input: an argument list, and never a shell.

Invariant: a program that does not end in time is killed with all that it began; nothing of the message is an argument; however
much it says, nothing of that lies on a disk.
"""

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time

import msgspec

from trajectory.alerting.channels.contract import Unsent
from trajectory.alerting.message import Message, message_json
from trajectory.alerting.secret import Vault
from trajectory.view.text import clean

_SAID_BYTES = 2_000
_SAID_CHARS = 160
_LOOK_S = 0.05  # between two looks at whether it ended, where what it left behind keeps its standard error open


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    argv: list[str]
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if not self.argv or not self.argv[0]:
            raise ValueError(
                'argv: is empty; expected a program and its arguments, such as ["/usr/bin/logger", "-t", "agents"]'
            )
        if not 0 < self.timeout_s <= 120:
            raise ValueError("timeout_s: expected seconds, more than 0 and 120 at most")


class Command:
    """Runs the program once for each message; exit 0 means taken, any other Unsent."""

    takes = Options
    hears = frozenset({"acknowledge", "close"})

    def __init__(self, options: Options, vault: Vault) -> None:
        self._options = options
        self._vault = vault

    def send(self, message: Message) -> None:
        with tempfile.TemporaryFile() as given:
            given.write(msgspec.json.encode(message_json(message)) + b"\n")
            given.seek(0)
            try:
                process = subprocess.Popen(
                    self._options.argv,
                    stdin=given,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            except OSError as fault:
                raise Unsent(f"{self._options.argv[0]} cannot be run: {fault.strerror}") from None
            assert process.stderr is not None
            with process.stderr as stream:
                try:
                    said = self._heard(process, stream.fileno())
                finally:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(process.pid, signal.SIGKILL)  # and what it left behind
                    process.wait()
            if process.returncode:
                words = clean(said.decode("utf-8", "replace").strip())[:_SAID_CHARS]
                raise Unsent(self._vault.scrub(f"it ended with {process.returncode}" + (f": {words}" if words else "")))

    def _heard(self, process: "subprocess.Popen[bytes]", stream: int) -> bytes:
        """Waits for the end of a program, and gives the beginning of what it said: the rest is read and thrown away."""
        ends_s, said, is_open = time.monotonic() + self._options.timeout_s, b"", True
        os.set_blocking(stream, False)
        while True:
            is_over = process.poll() is not None
            with contextlib.suppress(BlockingIOError):
                while is_open and time.monotonic() < ends_s:
                    part = os.read(stream, 65_536)
                    is_open = bool(part)
                    said = (said + part)[:_SAID_BYTES]
            if is_over:
                return said
            left_s = ends_s - time.monotonic()
            if left_s <= 0:
                raise Unsent(f"it did not end within {self._options.timeout_s:g} s and was killed")
            select.select([stream] if is_open else [], [], [], min(left_s, _LOOK_S))
