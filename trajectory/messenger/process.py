"""The process that sends alerts, beside its collector: looks at the store, sends, and reads its policy again when that changes.

Invariant: it may be killed at any time and goes on from its state; a policy that is wrong is told of, and the one before stays.
Begun by `beside`, as `python -m trajectory.messenger.process`.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from trajectory.alerting.channels.registry import channel_of
from trajectory.alerting.policy import Policy
from trajectory.alerting.policy_file import read_policy
from trajectory.alerting.secret import Vault
from trajectory.alerting.state import State, state_of
from trajectory.collector import child
from trajectory.collector.reporting import Told
from trajectory.errors import ConfigError, StoreError
from trajectory.messenger.courier import Courier
from trajectory.messenger.dispatch import Dispatch
from trajectory.store.location import locate
from trajectory.store.sqlite import open_reader
from trajectory.view.text import clean

DRAIN_S = 3.0  # at the end, for what has come in and was not sent yet
LOOK_S = 0.25
_READ_S = 1.0  # between two looks at the policy's file
_FAULT_CHARS = 300
_DRAIN_LOOK_S = 0.02
_AGAIN_S = 1.0  # before what cannot be opened is tried again


class Settings(msgspec.Struct, frozen=True):
    """What the process is told. `told_fd` is the pipe on which it says how it goes."""

    store: str
    policy: str
    start_frame: int
    told_fd: int = -1


_Tell = Callable[[list[str]], None]


class _Desk:
    """The parts that come and go: the policy as it was last read well, its couriers, and what is wrong with either."""

    def __init__(self, path: Path, wake: int) -> None:
        self.policy: Policy | None = None  # until one was read well, nothing is looked at: nobody would be told of it
        self.couriers: dict[str, Courier] = {}
        self.troubles: list[str] = []
        self._path = path
        self._wake = wake
        self._stamp: tuple[int, int, int] | None = None
        self._looked_s = 0.0

    def read(self, *, is_asked: bool) -> bool:
        """Reads the policy where its file changed, or it is asked to; whether there is another now."""
        now_s = time.monotonic()
        if not is_asked and now_s - self._looked_s < _READ_S:
            return False
        self._looked_s = now_s
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
        except OSError:
            stamp = (0, 0, 0)
        if stamp == self._stamp and not is_asked:
            return False
        is_first = self._stamp is None
        self._stamp = stamp
        try:
            policy = read_policy(self._path)
        except ConfigError as fault:
            self.troubles = [f"{fault}" + ("" if is_first else ". The policy of before stays.")]
            return False
        self._take(policy)
        return True

    def _take(self, policy: Policy) -> None:
        for courier in self.couriers.values():
            courier.close()
        self.policy, self.couriers, self.troubles = policy, {}, []
        for name, configured in policy.channels.items():
            vault = Vault()
            try:
                self.couriers[name] = Courier(name, channel_of(configured, vault), vault, self._ring)
            except ConfigError as fault:
                self.troubles.append(vault.scrub(f"no alerts to {name}: {fault}"))

    def _ring(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake, b".")


def main() -> None:
    """The process's body."""
    settings = child.told(Settings)
    if settings is None:
        return
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    asked: list[int] = []

    def ask(*_: object) -> None:
        asked.append(1)
        with contextlib.suppress(OSError):
            os.write(wake, b".")

    signal.signal(signal.SIGHUP, ask)
    desk = _Desk(Path(settings.policy), wake)
    said: list[str] | None = None

    def tell(notices: list[str]) -> None:
        nonlocal said
        notices = [clean(notice) for notice in [*desk.troubles, *notices]]
        if notices != said:
            said = notices
            with contextlib.suppress(OSError):
                os.write(settings.told_fd, msgspec.json.encode(Told(0, notices)) + b"\n")

    def rest(seconds: float) -> bool:
        """Waits, or until something happened; True at the end."""
        ready, _, _ = select.select([0, woken], [], [], seconds)
        if woken in ready:
            with contextlib.suppress(OSError):
                os.read(woken, 4096)
        return 0 in ready and not os.read(0, 4096)

    desk.read(is_asked=True)
    asked.clear()
    while True:
        try:
            if desk.policy is None:
                tell([])
                desk.read(is_asked=bool(asked))
                asked.clear()
            elif _serve(settings, desk, desk.policy, asked, tell, rest):
                return
        except StoreError as fault:
            tell([f"no alerts are sent: {fault}"])
            desk.read(is_asked=False)
        except Exception as fault:  # whatever a damaged state or hostile words make of us: said, and tried again
            tell([f"no alerts are sent: {type(fault).__name__}: {fault}"[:_FAULT_CHARS]])
        if rest(_AGAIN_S if desk.policy is not None else LOOK_S):
            return


def _serve(
    settings: Settings, desk: _Desk, policy: Policy, asked: list[int], tell: _Tell, rest: Callable[[float], bool]
) -> bool:
    """Sends until the end, then for a moment what is left; True at the end."""
    path = Path(locate(settings.store))
    state = State(Path(policy.state).expanduser() if policy.state else state_of(path))
    try:
        reader = open_reader(settings.store)
        try:
            dispatch = Dispatch(reader, state, policy, desk.couriers, time.time_ns, settings.start_frame)
            is_over = False
            while not is_over:
                is_asked = bool(asked)
                asked.clear()
                if desk.read(is_asked=is_asked) and desk.policy is not None:
                    if desk.policy.state != dispatch.policy.state:
                        return False  # another file: begun anew
                    dispatch.use(desk.policy, desk.couriers)
                is_behind = dispatch.step()
                tell(dispatch.notices())
                is_over = rest(0.0 if is_behind else LOOK_S)
            ends_s = time.monotonic() + DRAIN_S
            while time.monotonic() < ends_s and (dispatch.step() or dispatch.is_waiting):
                time.sleep(_DRAIN_LOOK_S)
            return True
        finally:
            reader.close()
    finally:
        state.close()


if __name__ == "__main__":
    main()
