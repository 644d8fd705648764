"""The intake on its own: a process (or a thread) that does nothing but take frames, keep them and acknowledge.

Invariant: while it lives, nobody else writes the journal; when its collector is gone it is too, and whatever it acknowledged is
in the journal. So what is slow, folding and judging, holds up no emitter, and a crash of it loses nothing. Started by `server`.

As a process: `python -m trajectory.collector.front`, its settings as one line of JSON on standard input, which closes when the
collector is gone.
"""

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Protocol

import msgspec
import zmq

from trajectory.collector import child
from trajectory.collector.garbage import collect_rarely
from trajectory.collector.guard import Guard
from trajectory.collector.intake import Context, Intake
from trajectory.collector.keyring import Keyring
from trajectory.collector.line import Answer, Ended, Failed, Line, News, Ready, Settled, Stop
from trajectory.collector.quotas import Limits, Quotas
from trajectory.errors import ConfigError, StoreError, TrajectoryError, WireError
from trajectory.protocol import codec
from trajectory.protocol.codec import FactsFrame
from trajectory.store.journal import Journal, JournalReader, Position, line_of, locked, prepare

_WAIT_S = 0.25
_NEWS_S = 1.0  # at the latest
_LAST_ROUNDS_S = 3.0
_START_S = 30.0
_LOOK_S = 0.1
_LONGEST_PLACE_BYTES = 100  # of a socket's path: the system takes 107, or 103
_END_S = 10.0
_numbers = count()
_FAILURES: dict[str, type[TrajectoryError]] = {"WireError": WireError, "StoreError": StoreError}


class Settings(msgspec.Struct, frozen=True):
    """What an intake is told. `keys` is the keyring's directory, empty where none are asked for."""

    endpoint: str
    store: str
    journal: str
    line: str = ""
    keys: str = ""
    own_id: str = ""
    limits: Limits = Limits()


def serve(
    settings: Settings, context: Context, kept_seq: Callable[[bytes, bytes], int], is_orphan: Callable[[], bool]
) -> None:
    """Takes frames until it is told to stop, or its collector is gone. What keeps it from beginning is said on the line."""
    line = Line(context, settings.line, is_ours=False)
    try:
        with locked(Path(settings.journal)):
            _serve(settings, context, line, _Kept(Path(settings.journal), kept_seq), is_orphan)
    except TrajectoryError as fault:
        line.say(Failed(type(fault).__name__, str(fault), getattr(fault, "key", "")))
    finally:
        line.close()


def _serve(settings: Settings, context: Context, line: Line, kept_seq: "_Kept", is_orphan: Callable[[], bool]) -> None:
    guard = Guard(Keyring(settings.keys), settings.own_id) if settings.keys else None
    journal = Journal(Path(settings.journal))
    quotas = Quotas(settings.limits)
    intake = Intake(settings.endpoint, journal, kept_seq, time.time_ns, context, guard, quotas)
    try:
        intake.poller.register(line.socket, zmq.POLLIN)
        line.say(Ready(intake.endpoint))
        front = _Front(intake, line)
        while not is_orphan() and not front.is_told_to_stop:
            front.round(_WAIT_S)
        deadline_s = time.monotonic() + _LAST_ROUNDS_S
        while time.monotonic() < deadline_s and front.round(0.0):
            pass
    finally:
        intake.close()
    line.say(Ended())


class _Front:
    def __init__(self, intake: Intake, line: Line) -> None:
        self._intake = intake
        self._line = line
        self._told: News | None = None
        self._told_s = 0.0
        self.is_told_to_stop = False

    def round(self, timeout_s: float) -> bool:
        """One round of the intake, and what there is to say and to hear. True where anything came from outside."""
        came = self._intake.round(timeout_s)
        self._hear()
        for asked in self._intake.asked:
            self._line.say(asked)
        self._intake.asked.clear()
        news = self._intake.news()
        now_s = time.monotonic()
        if news != self._told or now_s - self._told_s > _NEWS_S:
            self._line.say(news)
            self._told, self._told_s = news, now_s
        return came

    def _hear(self) -> None:
        while (said := self._line.hear()) is not None:
            if isinstance(said, Answer):
                self._intake.answer(said.routing_id, said.frame)
            elif isinstance(said, Settled):
                self._intake.settled(Position(said.segment, said.offset))
            elif isinstance(said, Stop):
                self.is_told_to_stop = True


class _Kept:
    """How far each source was kept before: by the store, or by a journal that was there at the start and is not settled."""

    def __init__(self, journal: Path, stored_seq: Callable[[bytes, bytes], int]) -> None:
        self._stored_seq = stored_seq
        self._ends: dict[tuple[bytes, bytes], int] = {}
        reader = JournalReader(journal)
        at = Position()
        while records := reader.read(at):
            for record in records:
                self._note(record.frame)
            at = records[-1].end
        reader.close()

    def __call__(self, emitter_id: bytes, boot_id: bytes) -> int:
        return max(self._ends.get((emitter_id, boot_id), 0), self._stored_seq(emitter_id, boot_id))

    def _note(self, frame: bytes) -> None:
        with contextlib.suppress(WireError):
            read = codec.read_frame(frame)
            if isinstance(read, FactsFrame):
                key = (read.emitter_id, read.boot_id)
                self._ends[key] = max(self._ends.get(key, 0), read.first_seq + read.count)


class Front(Protocol):
    """The intake as its collector has it. `close` tells it to stop, waits until it has ended, and may be called again."""

    line: Line

    def is_alive(self) -> bool: ...

    def close(self) -> None: ...


def await_ready(front: Front) -> str:
    """The endpoint that it has bound. Raises what keeps it from beginning: WireError, StoreError, ConfigError."""
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s:
        was_alive = front.is_alive()
        if not front.line.wait(_LOOK_S) and not was_alive:
            raise WireError("the intake ended at its start: what it said stands above")
        match front.line.hear():
            case Ready(endpoint):
                return endpoint
            case Failed("ConfigError", reason, key):
                raise ConfigError(reason, key)
            case Failed(kind, reason):
                raise _FAILURES.get(kind, WireError)(reason)
    raise WireError(f"the intake did not begin within {_START_S:.0f} s")


class FrontThread:
    """In a thread of this process: for tests, and for whoever has a collector for a moment."""

    def __init__(self, context: Context, settings: Settings, kept_seq: Callable[[bytes, bytes], int]) -> None:
        told = msgspec.structs.replace(settings, line=f"inproc://intake-{id(self)}")
        self.line = Line(context, told.line, is_ours=True)
        self._thread = threading.Thread(
            target=serve, args=(told, context, kept_seq, lambda: False), name="trajectory-intake", daemon=True
        )
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        if not self.line.socket.closed:
            self.line.say(Stop())
            self._thread.join(_END_S)
            self.line.close()


class FrontProcess:
    """In a process of its own: what `trajectory serve` does."""

    def __init__(self, context: Context, settings: Settings) -> None:
        self._undo = contextlib.ExitStack()
        told = msgspec.structs.replace(settings, line=f"ipc://{self._place(Path(settings.journal))}")
        self.line = Line(context, told.line, is_ours=True)
        self._process = child.begin("trajectory.collector.front", told)

    def _place(self, journal: Path) -> Path:
        """Where the line is, in a directory that nobody else enters: the journal's own, unless its path is too long for one."""
        number = next(_numbers)  # a socket that closes deletes its file in its own time, perhaps that of the next one
        place = line_of(journal, number)
        if len(os.fsencode(place)) > _LONGEST_PLACE_BYTES:
            folder = self._undo.enter_context(tempfile.TemporaryDirectory(prefix="trajectory-"))
            place = line_of(Path(folder), number)
        prepare(place.parent)
        return place

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        if self.line.socket.closed:
            return
        self.line.say(Stop())
        child.end(self._process, _END_S)
        self.line.close()
        self._undo.close()


@contextlib.contextmanager
def _reader(store: str) -> Iterator[Callable[[bytes, bytes], int]]:
    from trajectory.store.sqlite import open_reader

    reader = open_reader(store)
    try:
        yield reader.next_seq
    finally:
        reader.close()


def main() -> None:
    """The process's body."""
    settings = child.told(Settings)
    if settings is None:
        return
    collect_rarely()
    context: Context = zmq.Context()
    with _reader(settings.store) as kept_seq:
        serve(settings, context, kept_seq, child.is_orphan)
    context.term()


if __name__ == "__main__":
    main()
