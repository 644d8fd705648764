"""Forwarding as a process of its own beside the collector, a thread for each target: none holds up another, nor the collector.

Invariant: it may be killed at any time: it goes on from the positions beside the store. Begun by `beside`, as
`python -m trajectory.forwarder.process`; what operators are to know goes back on a pipe, a line of JSON each time.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from trajectory.collector import child
from trajectory.collector.reporting import Told
from trajectory.errors import ConfigError
from trajectory.forwarder.forwarder import Forwarder
from trajectory.forwarder.sending import backend_of
from trajectory.forwarder.target import Target
from trajectory.store.location import locate
from trajectory.store.sqlite import open_reader

DRAIN_S = 3.0  # at the end, for what has come in and was not sent yet


class Settings(msgspec.Struct, frozen=True):
    """What a forwarder is told. `told_fd` is the pipe on which it says how it goes."""

    store: str
    start_frame: int
    targets: list[Target]
    told_fd: int = -1


class _Ending:
    """The end as threads meet it: each wait is cut short, and after it what is there is sent, for a moment."""

    def __init__(self) -> None:
        self._begun = threading.Event()

    def begin(self) -> None:
        self._begun.set()

    def pause(self, seconds: float) -> bool:
        return self._begun.wait(seconds)


def main() -> None:
    """The process's body."""
    settings = child.told(Settings)
    if settings is None:
        return
    ending, speaking = _Ending(), threading.Lock()

    def tell_of(target: int) -> Callable[[list[str]], None]:
        def tell(notices: list[str]) -> None:
            with speaking:
                os.write(settings.told_fd, msgspec.json.encode(Told(target, notices)) + b"\n")

        return tell

    threads = []
    for number, target in enumerate(settings.targets):
        thread = threading.Thread(
            target=_forward, args=(settings, target, ending, tell_of(number)), name=f"forward-{number}", daemon=True
        )
        thread.start()
        threads.append(thread)
    while os.read(0, 4096):
        pass
    ending.begin()
    deadline_s = time.monotonic() + DRAIN_S
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))


def _forward(settings: Settings, target: Target, ending: _Ending, tell: Callable[[list[str]], None]) -> None:
    try:
        backend = backend_of(target)
    except ConfigError as fault:
        tell([f"nothing is forwarded to {target.name}: {fault}"])
        return
    path = Path(locate(settings.store))
    Forwarder(
        path, lambda: open_reader(settings.store), target, backend, settings.start_frame, ending.pause, tell
    ).run()
    backend.close()


if __name__ == "__main__":
    main()
