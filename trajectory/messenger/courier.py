"""A thread that carries letters to one channel: a channel that hangs holds up nobody but itself.

Invariant: one letter is under way at a time; whatever a channel raises is a failure of that letter. Owned by `Dispatch`.
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from trajectory.alerting.channels.contract import Channel, Refused, Unsent
from trajectory.alerting.outbox import Letter
from trajectory.alerting.secret import Vault
from trajectory.view.text import clean

_REASON_CHARS = 200


class Failure(NamedTuple):
    """Why a letter was not taken; `is_final` where it never will be."""

    reason: str
    pause_s: float = 0.0
    is_final: bool = False


class Courier:
    """Carries to one channel. `wake` is called from its thread when something became of a letter."""

    def __init__(self, name: str, channel: Channel, vault: Vault, wake: Callable[[], None] = lambda: None) -> None:
        self._channel = channel
        self._vault = vault
        self._wake = wake
        self._given: queue.SimpleQueue[Letter | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Letter, Failure | None]] = queue.SimpleQueue()
        self.is_idle = True
        self._since_s = 0.0
        threading.Thread(target=self._carry, name=f"alerts-{name}", daemon=True).start()

    def give(self, letter: Letter) -> None:
        """Sends it on its way. Only where it is idle."""
        self.is_idle, self._since_s = False, time.monotonic()
        self._given.put(letter)

    @property
    def since_s(self) -> float:
        """For how long a letter is under way; 0 where none is."""
        return 0.0 if self.is_idle else time.monotonic() - self._since_s

    def done(self) -> tuple[Letter, Failure | None] | None:
        """What became of the last letter; None where it is under way still, or there was none."""
        try:
            done = self._done.get_nowait()
        except queue.Empty:
            return None
        self.is_idle = True
        return done

    def close(self) -> None:
        """Ends the thread when what is under way has come to an end."""
        self._given.put(None)

    def _carry(self) -> None:
        while (letter := self._given.get()) is not None:
            self._done.put((letter, attempt(self._channel, letter, self._vault)))
            self._wake()


def attempt(channel: Channel, letter: Letter, vault: Vault) -> Failure | None:
    """Sends one letter; None where it was taken."""
    try:
        channel.send(letter.message)
    except Refused as fault:
        return Failure(_said(str(fault), vault), 0.0, True)
    except Unsent as fault:
        return Failure(_said(str(fault), vault), fault.pause_s)
    except Exception as fault:  # a stranger's channel may raise anything
        return Failure(_said(f"{type(fault).__name__}: {fault}", vault))
    return None


def _said(reason: str, vault: Vault) -> str:
    return clean(vault.scrub(reason))[:_REASON_CHARS]
