"""Runs a program of the user's with the message as JSON on its standard input: an argument list, and never a shell.

Invariant: a program that does not end in time is killed with all that it began; nothing of the message is an argument.
"""

import contextlib
import os
import signal
import subprocess
import tempfile

import msgspec

from trajectory.alerting.channels.contract import Unsent
from trajectory.alerting.message import Message, message_json
from trajectory.alerting.secret import Vault
from trajectory.view.text import clean

_SAID_BYTES = 2_000
_SAID_CHARS = 160


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
    """Runs the program once for each message; exit 0 means taken."""

    takes = Options
    hears = frozenset({"acknowledge", "close"})

    def __init__(self, options: Options, vault: Vault) -> None:
        self._options = options
        self._vault = vault

    def send(self, message: Message) -> None:
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
            given.write(msgspec.json.encode(message_json(message)) + b"\n")
            given.seek(0)
            try:
                process = subprocess.Popen(
                    self._options.argv, stdin=given, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
                )
            except OSError as fault:
                raise Unsent(f"{self._options.argv[0]} cannot be run: {fault.strerror}") from None
            try:
                code = process.wait(self._options.timeout_s)
            except subprocess.TimeoutExpired:
                raise Unsent(f"it did not end within {self._options.timeout_s:g} s and was killed") from None
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)  # and what it left behind
                process.wait()
            if code:
                said.seek(0)
                words = clean(said.read(_SAID_BYTES).decode("utf-8", "replace").strip())[:_SAID_CHARS]
                raise Unsent(self._vault.scrub(f"it ended with {code}" + (f": {words}" if words else "")))
