"""Brings what dead processes left in the spool to the collector they meant it for, or to where that has moved.

Invariant: facts keep their own (emitter, boot, sequence), so a collector that has some of them already stores none twice; what
was lost with its process is told as a gap of the right size. Run by `trajectory serve`, and by an emitter that finds
something at its start; a file is locked, so that only one of them delivers it.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import zmq

from trajectory.emitter.identity import Identity
from trajectory.emitter.leftover import QUIET_S, Leftover, claimed, names_in
from trajectory.emitter.link import Link
from trajectory.emitter.misuse import report
from trajectory.emitter.spool import default_dir
from trajectory.protocol import frames

EVERY_S = 2.0  # between two looks at the directory
ANSWER_S = 10.0  # unanswered that long, the file is left for another time
UNDER_WAY_BYTES = 1024 * 1024
_WAIT_S = 0.05


class UnansweredError(Exception):
    """The collector is not there, went away, refuses, or the courier was told to stop."""


class Courier:
    """Delivers the files of a directory that are meant for one endpoint, each as its own emitter. Never raises.

    `earlier` are endpoints at which the same collector was before: what is meant for one of them goes there where a
    collector answers, and here where none does.
    """

    def __init__(
        self,
        directory: Path,
        endpoint: str,
        quiet_s: float = QUIET_S,
        every_s: float = EVERY_S,
        earlier: Collection[str] = (),
    ) -> None:
        self._directory = directory
        self._endpoint = endpoint or frames.DEFAULT_ENDPOINT
        self._earlier = earlier
        self._found_s: dict[Path, float] = {}  # since when a file is known to be a dead process's
        self._quiet_s = quiet_s
        self._every_s = every_s
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, forever: bool) -> None:
        """Works in a daemon thread: until told to stop, or until nothing is left that could be delivered."""
        thread = threading.Thread(target=self._run, args=(forever,), name="trajectory-courier", daemon=True)
        thread.start()
        self._thread = thread

    def stop(self, timeout_s: float = 1.0) -> None:
        """Leaves what is not delivered yet to the next one."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def round(self) -> int:
        """Delivers what is there; returns how many files it could not, or not yet."""
        left_count = 0
        paths = names_in(self._directory)
        self._found_s = {path: found_s for path, found_s in self._found_s.items() if path in paths}
        for path in paths:
            if self._stopped.is_set():
                break
            left = claimed(path)
            if left is None:
                continue
            try:
                places = self._places_of(left)
                left_count += bool(places) and not any(self._delivered(left, place) for place in places)
            finally:
                left.let_go()
        return left_count

    def _run(self, forever: bool) -> None:
        while not self._stopped.is_set():
            try:
                left_count = self.round()
            except Exception as fault:
                left_count = 1
                report("courier", "trajectory: what is in the spool could not be delivered: %r", fault)
            if not left_count and not forever:
                return
            self._stopped.wait(self._every_s)

    def _places_of(self, left: Leftover) -> list[str]:
        """The endpoints to which a file may go, the one that it is meant for first; none where it is not for us."""
        if is_same_place(left.endpoint, self._endpoint):
            return [self._endpoint]
        has_moved = any(is_same_place(left.endpoint, place) for place in self._earlier)
        return [left.endpoint, self._endpoint] if has_moved else []

    def _delivered(self, left: Leftover, endpoint: str) -> bool:
        self._found_s.setdefault(left.path, time.monotonic())
        try:
            talk = Talk(endpoint, left.identity, self._stopped)
        except zmq.ZMQError:
            return False
        try:
            self._deliver(left, talk)
        except (UnansweredError, OSError):
            return False
        finally:
            talk.close()
        if left.is_damaged:
            report("damaged", "trajectory: %s was damaged; what could be read is delivered", left.path)
        left.finish()
        return True

    def _deliver(self, left: Leftover, talk: "Talk") -> None:
        position = max(talk.hello(left.base_seq), left.base_seq)
        for first_seq, facts in left.records():
            if first_seq + len(facts) <= position:
                continue
            if first_seq > position:
                self._tell_of_gap(left, talk, position, first_seq)
                position = first_seq
            talk.send(position, facts[position - first_seq :])
            position = first_seq + len(facts)
        if left.known_seq > position:
            self._tell_of_gap(left, talk, position, left.known_seq)
            position = left.known_seq
        talk.wait_stored(position)
        talk.bye(position)

    def _tell_of_gap(self, left: Leftover, talk: "Talk", position: int, next_seq: int) -> None:
        """One gap stands at the first missing position; a HELLO from behind them makes the collector note the others."""
        talk.wait_stored(position)
        if time.monotonic() - self._found_s[left.path] < self._quiet_s:
            raise UnansweredError  # what seems missing may have been on the wire when its process died
        reason = "spool_damaged" if left.is_damaged else "process_died"
        talk.send(position, [frames.pack((frames.GAP, time.time_ns(), 1, reason))])
        talk.wait_stored(position + 1)
        if next_seq > position + 1:
            talk.hello(next_seq)
            talk.wait_stored(next_seq)


class Talk:
    """A conversation with a collector in the name of one emitter. Its methods raise UnansweredError."""

    def __init__(self, endpoint: str, identity: Identity, stopped: threading.Event) -> None:
        """Raises zmq.ZMQError on an endpoint that cannot be one."""
        self._link = Link(endpoint)
        self._identity = identity
        self._stopped = stopped
        self._stored_seq = 0
        self._answer_count = 0
        self._under_way_bytes = 0

    def hello(self, held_seq: int) -> int:
        """Says who this is and from where on its facts are held; returns how far the collector has them."""
        emitter_id, boot_id, resource = self._identity
        answer_count = self._answer_count
        self._wait(lambda: self._link.up)  # so that it goes at once: the clock of this host is that of the dead one
        self._say(frames.hello(emitter_id, boot_id, resource, held_seq, time.time_ns()))
        self._wait(lambda: self._answer_count > answer_count)
        return self._stored_seq

    def send(self, first_seq: int, facts: list[bytes]) -> None:
        """Sends facts; waits first while too much is under way."""
        if self._under_way_bytes > UNDER_WAY_BYTES:
            self.wait_stored(first_seq)
        frame = frames.facts_frame(self._identity.emitter_id, self._identity.boot_id, first_seq, facts)
        self._under_way_bytes += len(frame)
        self._say(frame)

    def wait_stored(self, next_seq: int) -> None:
        """Returns when everything below `next_seq` is stored."""
        self._wait(lambda: self._stored_seq >= next_seq)
        self._under_way_bytes = 0

    def bye(self, next_seq: int) -> None:
        answer_count = self._answer_count
        self._say(frames.bye(self._identity.emitter_id, self._identity.boot_id, next_seq))
        self._wait(lambda: self._answer_count > answer_count)

    def close(self) -> None:
        self._link.close()

    def _say(self, frame: bytes) -> None:
        self._wait(lambda: self._link.up and self._link.send(frame))

    def _wait(self, holds: Callable[[], bool]) -> None:
        """Reads answers until the condition holds. An answer is a sign of life: silence alone ends the patience."""
        deadline_s = time.monotonic() + ANSWER_S
        while not holds():
            if self._stopped.is_set() or time.monotonic() > deadline_s:
                raise UnansweredError
            self._link.wait(_WAIT_S)
            was_up = self._link.up
            if self._link.watch() and was_up:
                raise UnansweredError  # another process may answer from here on, and it was not greeted
            if self._link.failed and not was_up and not self._link.up:
                raise UnansweredError
            if self._read():
                deadline_s = time.monotonic() + ANSWER_S

    def _read(self) -> bool:
        stored_seq = self._stored_seq
        while (frame := self._link.receive()) is not None:
            try:
                answer = frames.answer(frame)
            except ValueError:
                raise UnansweredError from None
            if not isinstance(answer, frames.Ack):
                raise UnansweredError
            if answer.boot_id == self._identity.boot_id:
                self._answer_count += 1
                self._stored_seq = max(self._stored_seq, answer.next_seq)
        return self._stored_seq > stored_seq


@contextlib.contextmanager
def delivering(endpoint: str, directory: Path | None = None, earlier: Collection[str] = ()) -> Iterator[None]:
    """While it lasts, what dead processes of this user left for `endpoint` is delivered there: for who listens at it.

    So is what they left for the `earlier` endpoints of the same store, where nobody else listens now.
    """
    try:
        courier = Courier(directory or default_dir(), endpoint, earlier=earlier)
    except RuntimeError:  # nobody's home: nobody's spool
        yield
        return
    courier.start(forever=True)
    try:
        yield
    finally:
        courier.stop()


def is_same_place(one: str, other: str) -> bool:
    """Whether two endpoints name the same one. An empty one, from a damaged file, is any."""
    return not one or _plain(one) == _plain(other)


def _plain(endpoint: str) -> str:
    scheme, _, rest = endpoint.strip().partition("://")
    host, colon, port = rest.rstrip("/").rpartition(":")
    return f"{scheme}://{'127.0.0.1' if host in ('localhost', '[::1]') else host}{colon}{port}"
