"""What people said in other sessions, kept by digest for a while, so that it is known again where it does not belong.

Invariant: bounded (`MAX_SESSIONS_COUNT` sessions, the least recently told of go first, `MAX_KEYS_COUNT` things of each), and
only digests are kept, never what was said. What more than `MAX_SHARED_COUNT` sessions say is common and belongs to none. Traces
of one run are of one session, but for those that name different ones, as a server's may. A collector makes one for all the
traces that it folds. Called by the detector of mixed context.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from trajectory.graph.trace import Trace
from trajectory.model.hashing import blake2b
from trajectory.model.words import RUN_ID

MAX_SESSIONS_COUNT = 512
MAX_KEYS_COUNT = 400
MAX_SHARED_COUNT = 2
_PERSON = ("user.id", "enduser.id", "langfuse.user.id", "session.user_id")


class Told(NamedTuple):
    """That a person said something in a session, first at a time in nanoseconds. `person` is empty where nobody said who, `run`
    where the trace names none; of a trace that names a run and no session, the session is the run."""

    session: str
    person: str
    at_ns: int
    run: str = ""

    def is_beside(self, other: "Told") -> bool:
        """Whether both are of one session: also where one says its session, and of the other only the run is known."""
        return self.session == other.session or (
            self.run == other.run != "" and self.run in (self.session, other.session)
        )


class Sessions:
    """Who said what, by digest."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, set[bytes]] = OrderedDict()  # by session
        self._told: dict[bytes, list[Told]] = {}

    def learn(self, told: Told, things: Iterable[str]) -> None:
        """Notes what a person said in a session; the earliest time counts."""
        held = self._keys.setdefault(told.session, set())
        self._keys.move_to_end(told.session)
        for thing in things:
            key = digest_of(thing)
            known = self._told.setdefault(key, [])
            mine = next((i for i, other in enumerate(known) if other.session == told.session), None)
            if mine is not None:
                known[mine] = min(known[mine], told, key=lambda t: t.at_ns)
            elif len(held) < MAX_KEYS_COUNT and len(known) <= MAX_SHARED_COUNT:
                held.add(key)
                known.append(told)
            if not known:
                del self._told[key]
        while len(self._keys) > MAX_SESSIONS_COUNT:
            self._forget(self._keys.popitem(last=False))

    def others(self, told: Told, thing: str) -> list[Told]:
        """Who said a thing in other sessions before, where that is not common and was not the same person."""
        known = self._told.get(digest_of(thing), [])
        if len(known) > MAX_SHARED_COUNT or any(other.is_beside(told) for other in known):
            return []
        return [o for o in known if o.at_ns < told.at_ns and not (o.person and o.person == told.person)]

    def holds(self, session: str, things: Iterable[str]) -> bool:
        """Whether people said all of some things in a session."""
        held = self._keys.get(session, set())
        return all(digest_of(thing) in held for thing in things)

    def _forget(self, gone: tuple[str, set[bytes]]) -> None:
        session, keys = gone
        for key in keys:
            left = [told for told in self._told.get(key, ()) if told.session != session]
            if left:
                self._told[key] = left
            else:
                self._told.pop(key, None)


def digest_of(thing: str) -> bytes:
    return blake2b(thing.encode("utf-8", "replace"), digest_size=8).digest()


def told_in(trace: Trace, at_ns: int = 0) -> Told:
    """Where and by whom something is said in a trace. A trace that names no session is of its run's, and without a run one of
    its own; what came into a program from outside is of no run."""
    root = trace.root
    run = str(root.source.resource.get(RUN_ID, "")) if root is not None and root.source is not None else ""
    named = (root.attributes.get(name) for name in _PERSON) if root is not None else ()
    person = next((str(one) for one in named if one), "")
    return Told(trace.session_id or run or trace.trace_id.hex(), person, at_ns, run)
