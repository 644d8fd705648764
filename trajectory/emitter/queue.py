"""The facts between the agents' threads and the sender: a bounded queue, the only place where facts can be lost.

Invariant: while there is room, `put` takes no lock, makes no system call and never waits. Every fact that finds no room is
counted, and the sender tells the collector the count in the stream itself; under the policy `block` a fact waits for room
first, a bounded time. Bodies count by their bytes, small facts by their number. Many threads put, one thread takes. Every
put counts itself where a kill of the process does not reach (`put_count`).
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from trajectory.emitter.put_count import PutCount

Fact = tuple[Any, ...]

LIMIT_FACTS = 262_144
LIMIT_BYTES = 64 * 1024 * 1024


class FlushMark:
    """Stands in the queue behind everything that was put before it; `reached` is set once all of that is acknowledged."""

    __slots__ = ("dropped_count", "reached")

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.dropped_count = 0


class FactQueue:
    """A bounded queue of facts. `limit` is the facts it takes now: 0 until a sender runs, and while its outbox is full.

    A fact waits for room up to `waits_s`; once one has waited in vain, none does until there was room again.
    """

    def __init__(
        self,
        start: Callable[[], bool],
        limit_facts: int = LIMIT_FACTS,
        limit_bytes: int = LIMIT_BYTES,
        waits_s: float = 0.0,
    ) -> None:
        self.limit = 0
        self.put_count = PutCount()
        self._start = start
        self._started = False
        self._limit_facts = limit_facts
        self._limit_bytes = limit_bytes
        self._items: deque[Any] = deque()  # a fact, a (fact, weight) pair, or a FlushMark
        # Reentrant, because a signal's handler may put while the thread that it interrupted holds it.
        self._lock = threading.RLock()
        self._room_made = threading.Condition(self._lock)
        self._waits_s = waits_s
        self._waiting = 0  # threads
        self._waited_in_vain = False
        self._taker = 0  # the sender's thread, which cannot wait for itself
        self._heavy_bytes = 0
        self._mark_count = 0
        self._dropped = 0
        self.dropped_count = 0  # since the beginning

    def __len__(self) -> int:
        return len(self._items)

    @property
    def waiting_count(self) -> int:
        """The facts that were put and neither taken nor told of as dropped."""
        return max(0, len(self._items) - self._mark_count + self._dropped)

    def put(self, fact: Fact) -> bool:
        """Takes a fact of a few hundred bytes; False where there was no room."""
        self.put_count.words[0] += 1
        items = self._items
        if len(items) < self.limit or self._room():
            items.append(fact)
            return True
        return self._put_late(fact, 0) if self._waits_s else self._drop()

    def put_heavy(self, fact: Fact, weight_bytes: int) -> bool:
        """Takes a fact that holds `weight_bytes` of text or body; False where there was no room for them."""
        self.put_count.words[0] += 1
        if len(self._items) >= self.limit and not self._room():
            return self._put_late(fact, weight_bytes) if self._waits_s else self._drop()
        with self._lock:
            fits = self._heavy_bytes + weight_bytes <= self._limit_bytes
            if fits:
                self._heavy_bytes += weight_bytes
        if not fits:
            return self._put_late(fact, weight_bytes) if self._waits_s else self._drop()
        self._items.append((fact, weight_bytes))
        return True

    def put_mark(self, mark: FlushMark) -> None:
        """Marks whose turn comes when everything before has been taken. Never refused."""
        with self._lock:
            self._mark_count += 1
        self._items.append(mark)

    def take(self, most_count: int) -> tuple[list[Fact], FlushMark | None]:
        """Up to so many of the oldest facts, in order, and the mark that stood behind them. For the sender's thread alone."""
        self._taker = threading.get_ident()
        pop, count = self._items.popleft, min(most_count, len(self._items))
        # Counted before they were put: where these say that there is none, none is among the first `count`.
        if self._heavy_bytes or self._mark_count:
            taken, mark = self._take_each(count)
        else:
            taken, mark = [pop() for _ in range(count)], None
        self.put_count.take(len(taken))
        self._tell_of_room()
        return taken, mark

    def _take_each(self, most_count: int) -> tuple[list[Fact], FlushMark | None]:
        taken: list[Fact] = []
        light_bytes, mark = 0, None
        for _ in range(most_count):
            item = self._items.popleft()
            if type(item) is not tuple:
                mark = item
                break
            if type(item[0]) is tuple:
                item, weight_bytes = item
                light_bytes += weight_bytes
            taken.append(item)
        with self._lock:
            self._heavy_bytes -= light_bytes
            self._mark_count -= mark is not None
        return taken, mark

    def take_dropped(self) -> int:
        """How many facts found no room since this was last asked."""
        if not self._dropped:
            return 0
        with self._lock:
            count, self._dropped = self._dropped, 0
        self.put_count.take(count)
        return count

    def note_lost(self, count: int) -> None:
        """Counts facts that were taken and found no room behind the queue."""
        with self._lock:
            self.dropped_count += count

    def shut(self) -> None:
        """Takes no more for now: everything that comes is dropped and counted."""
        self.limit = 0

    def reopen(self) -> None:
        self.limit = self._limit_facts
        self._tell_of_room()

    def wait_no_more(self) -> None:
        """From here on nobody waits for room: the process, or its sender, is about to end."""
        self._waits_s = 0.0
        with self._lock:
            self._room_made.notify_all()

    def _room(self) -> bool:
        """The slow path: the first fact of all starts the sender."""
        if self._started:
            return False
        with self._lock:
            if self._started:
                return len(self._items) < self.limit
            self._started = True
            self.limit = self._limit_facts
        if self._start():
            return True
        self.shut()  # nobody will take anything
        self.wait_no_more()
        return False

    def _put_late(self, fact: Fact, weight_bytes: int) -> bool:
        """Waits for room, and puts the fact if it comes in time."""
        deadline_s = time.monotonic() + self._waits_s
        with self._lock:
            self._waiting += 1
            while not self._fits(weight_bytes):
                left_s = deadline_s - time.monotonic()
                self._waited_in_vain = self._waited_in_vain or left_s <= 0
                if self._waited_in_vain or not self._waits_s or threading.get_ident() == self._taker:
                    break
                self._room_made.wait(left_s)
            self._waiting -= 1
            if not self._fits(weight_bytes):
                return self._drop()
            self._heavy_bytes += weight_bytes
            self._items.append((fact, weight_bytes) if weight_bytes else fact)
        return True

    def _fits(self, weight_bytes: int) -> bool:
        return len(self._items) < self.limit and self._heavy_bytes + weight_bytes <= self._limit_bytes

    def _tell_of_room(self) -> None:
        self._waited_in_vain = False
        if self._waiting:
            with self._lock:
                self._room_made.notify_all()

    def _drop(self) -> bool:
        with self._lock:
            self._dropped += 1
            self.dropped_count += 1
        return False
