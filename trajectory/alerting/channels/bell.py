"""The bell: rings the terminal in which the collector runs, and writes a line there.

Invariant: only to a terminal, and without a control code but the bell itself.
"""

import os
import sys
from collections.abc import Callable

import msgspec

from trajectory.alerting.channels.contract import Refused
from trajectory.alerting.message import Message
from trajectory.alerting.secret import Vault
from trajectory.view.text import clean


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    line: bool = True  # besides the bell


class Bell:
    """Rings on standard error; Refused where that is no terminal. `write` and `is_terminal` are for tests."""

    takes = Options
    hears: frozenset[str] = frozenset()

    def __init__(
        self,
        options: Options,
        vault: Vault,
        write: Callable[[bytes], object] = lambda said: os.write(2, said),
        is_terminal: Callable[[], bool] = lambda: bool(sys.__stderr__ and sys.__stderr__.isatty()),
    ) -> None:
        self._options, self._vault = options, vault
        self._write, self._is_terminal = write, is_terminal

    def send(self, message: Message) -> None:
        if not self._is_terminal():
            raise Refused("there is no terminal to ring in: the collector's standard error is none")
        line = f"{clean(message.line)}  {message.link}\r\n" if self._options.line else ""
        self._write(f"\a{line}".encode())
