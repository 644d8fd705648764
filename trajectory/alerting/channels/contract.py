"""The seam of a channel: it is made of its options and sends one message at a time.

Invariant: `send` returns when the message is taken, within its own timeout, and raises `Unsent` or `Refused` where it is not;
anything else that it raises counts as Unsent. One thread of its own calls it. The outbox keeps what was not taken.
"""

from typing import Any, Protocol

import msgspec

from trajectory.alerting.message import Message
from trajectory.alerting.secret import Vault


class Unsent(Exception):
    """Not taken, and to be sent again later; `pause_s` is how long the other side asks to be left alone."""

    def __init__(self, reason: str, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class Refused(Exception):
    """This message is never taken."""


class Channel(Protocol):
    """A way to people. `takes` is the struct that its table in the policy has to fit.

    `hears` are the actions that it is told of, beside `open`, `worse`, `repeat` and `test`.
    """

    takes: type[msgspec.Struct]
    hears: frozenset[str]

    def send(self, message: Message) -> None:
        """Sends a message. Raises Unsent or Refused, with a reason for operators."""
        ...


class ChannelFactory(Protocol):
    """What an entry point names: a class with `takes`. Raises ConfigError where a secret is not to be had."""

    takes: type[msgspec.Struct]
    hears: frozenset[str]

    def __call__(self, options: Any, vault: Vault) -> Channel: ...
