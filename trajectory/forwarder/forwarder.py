"""The loop that forwards one store to one target: take, send until taken, note the position, from the beginning.

Invariant: the position moves only when all before it was taken or refused, so a kill at any instant sends again at most the last
frames, and a backend may see those spans twice (same trace and span ids, same content). One thread runs it.
"""

import time
from collections.abc import Callable
from pathlib import Path

from trajectory.errors import StoreError
from trajectory.forwarder.answers import Backend
from trajectory.forwarder.backlog import Backlog, marks_of
from trajectory.forwarder.position import PositionFile, forwarder_id
from trajectory.forwarder.requests import requests_of
from trajectory.forwarder.sending import Pause, Sending, Standing
from trajectory.forwarder.target import Target
from trajectory.store.contract import Reader
from trajectory.view.text import clean

LOOK_S = 0.25  # between two looks at a store in which there was nothing new
AGAIN_S = 1.0  # before a store that could not be read is tried again
LATE_S = 30.0  # so long behind, it is said
MANY_TRIES = 3

Tell = Callable[[list[str]], None]


class Forwarder:
    """Forwards what comes into a store. `start_frame` is where it begins for a target that is new.

    `pause` waits and says whether to end; `tell` hears what is to be said to an operator, each time that it changes.
    """

    def __init__(
        self,
        store: Path,
        open_reader: Callable[[], Reader],
        target: Target,
        backend: Backend,
        start_frame: int,
        pause: Pause,
        tell: Tell,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = store
        self._open_reader = open_reader
        self._name = target.name
        self._start_frame = start_frame
        self._pause = pause
        self._tell = tell
        self._now_ns = now_ns
        self._position = PositionFile(store, target)
        self._sending = Sending(target, backend, pause, lambda _: self._say())
        self._marks = marks_of("")  # until the store says who this is
        self._trouble = ""
        self._said: list[str] = []
        self._waiting_count = 0
        self._late_since_ns = 0  # since when it has more to send than it could; 0 where it has not

    def run(self) -> None:
        """Forwards until told to end. A store that cannot be read, or a position that cannot be written, is tried again."""
        while True:
            try:
                self._forward()
                return
            except StoreError as fault:
                self._trouble = str(fault)
                self._say()
                if self._pause(AGAIN_S):
                    return

    def _forward(self) -> None:
        reader = self._open_reader()
        try:
            backlog = self._begin(reader)
            while self._turn(backlog):
                pass
        finally:
            reader.close()

    def _begin(self, reader: Reader) -> Backlog:
        own_id = forwarder_id(self._store)
        self._marks = marks_of(own_id)
        known = self._position.read()
        if known is None or known.frame > reader.last_frame():  # another store is there now
            self._position.write(min(self._start_frame, reader.last_frame()), [])
            known = self._position.read()
        frame, traces = (self._start_frame, []) if known is None else (known.frame, known.open)
        return Backlog(reader, own_id, frame, map(bytes.fromhex, traces), self._now_ns)

    def _turn(self, backlog: Backlog) -> bool:
        """Forwards the next frames, or waits for some; False where it was told to end."""
        portions = backlog.take()
        self._waiting_count = backlog.waiting_count
        if portions is None:
            self._note_late(is_late=False)
            return not self._pause(LOOK_S)
        self._note_late(is_late=True)
        for request in requests_of(portions, self._marks):
            if not self._sending.send(request):
                return False
        self._position.write(backlog.frame, backlog.open_traces)
        return True

    def _note_late(self, is_late: bool) -> None:
        self._trouble = ""
        if not is_late:
            self._late_since_ns = 0
        elif not self._late_since_ns:
            self._late_since_ns = self._now_ns()
        self._say()

    def _say(self) -> None:
        said = [clean(line) for line in self._lines(self._sending.standing)]
        if said != self._said:
            self._said = said
            self._tell(said)

    def _lines(self, standing: Standing) -> list[str]:
        """What an operator has to know: why it waits, how far it is behind, what was refused. Nothing where all is well."""
        late_s = (self._now_ns() - self._late_since_ns) / 1e9 if self._late_since_ns else 0.0
        said = []
        if self._trouble:
            said.append(f"forwarding to {self._name} waits: {self._trouble}")
        elif standing.trouble:
            tries = f", tried {standing.try_count} times" if standing.try_count >= MANY_TRIES else ""
            said.append(
                f"forwarding to {self._name} waits: {standing.trouble}{tries}. Nothing is lost: the store keeps it."
            )
        elif late_s > LATE_S:
            frames = f", {self._waiting_count} frames" if self._waiting_count else ""
            said.append(f"forwarding to {self._name} is behind since {late_s:.0f} s{frames}: it takes less than comes")
        if standing.refused_count:
            said.append(f"{self._name} refused {standing.refused_count} spans, the last: {standing.refusal}")
        return said
