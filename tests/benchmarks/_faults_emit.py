"""Emits numbered spans until told to stop, and keeps count where a kill cannot take it: the child of `faults`.

Invariant: the tally says how many spans were begun and ended, at every instant and also after `kill -9`. One argument: the
orders as JSON. Ends with 0 where everything was acknowledged in the end, by its own account.
"""

import json
import mmap
import os
import secrets
import struct
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import trajectory

ENDLESS = 1 << 40
TURN_SPANS = 10
_FLUSH_S = 90.0
_FIELDS = struct.Struct("<QQQQ")


class Tally:
    """Four numbers in a file that two processes have in memory: spans done, whether to stop, the longest flush in ns, and the
    facts that were put around the spans."""

    def __init__(self, path: Path) -> None:
        with path.open("a+b") as file:
            file.truncate(_FIELDS.size)
            self._held = mmap.mmap(file.fileno(), _FIELDS.size)

    def _read(self, at: int) -> int:
        return int(_FIELDS.unpack_from(self._held)[at])

    def _write(self, at: int, value: int) -> None:
        struct.pack_into("<Q", self._held, 8 * at, value)

    @property
    def done_count(self) -> int:
        return self._read(0)

    @done_count.setter
    def done_count(self, value: int) -> None:
        self._write(0, value)

    @property
    def fact_count(self) -> int:
        """The facts that were put; a kill may find up to two more, of what was just being done."""
        return 2 * self.done_count + self._read(3)

    def put(self, fact_count: int) -> None:
        """Facts around the spans were put."""
        self._write(3, self._read(3) + fact_count)

    @property
    def is_stopped(self) -> bool:
        return bool(self._read(1))

    def stop(self) -> None:
        self._write(1, 1)

    @property
    def longest_ns(self) -> int:
        return self._read(2)

    def took(self, flush_ns: int) -> None:
        self._write(2, max(flush_ns, self.longest_ns))


@dataclass(frozen=True, slots=True)
class Orders:
    """What one emitter does. `per_s` 0: as fast as it can; `fork_count` children do the same in the middle of it."""

    endpoint: str
    name: str
    tally: str
    count: int = ENDLESS
    per_s: float = 0.0
    body_bytes: int = 0
    is_timed: bool = False
    fork_count: int = 0
    flush_s: float = _FLUSH_S

    def argument(self) -> str:
        return json.dumps(asdict(self))


def child_of(orders: Orders, number: int) -> Orders:
    """The orders of a forked child: its own name and tally."""
    return replace(orders, name=f"{orders.name}.{number}", tally=f"{orders.tally}.{number}", fork_count=0)


def work(orders: Orders) -> bool:
    """Emits to the end; whether all of it was acknowledged, the children's too."""
    tally = Tally(Path(orders.tally))
    children: list[int] = []
    began_s = time.monotonic()
    done_count = 0
    while done_count < orders.count and not tally.is_stopped:
        with trajectory.agent(orders.name):
            tally.put(1)
            done_count = _turn(orders, tally, done_count)
            if orders.fork_count and not children and done_count >= orders.count // 2:
                children = [_forked(orders, number) for number in range(orders.fork_count)]
        tally.put(1)
        if orders.is_timed:
            _time_a_flush(tally)
        ahead_s = began_s + done_count / orders.per_s - time.monotonic() if orders.per_s else 0.0
        if ahead_s > 0:
            time.sleep(ahead_s)
    is_flushed = trajectory.flush(orders.flush_s)
    return all(os.waitpid(child, 0)[1] == 0 for child in children) and is_flushed


def body_of(name: str, number: int) -> str:
    """What an emitter has in view before the span of that number: each time something else, so that each travels once."""
    return f"what {name} has read before {number}: {'words ' * 12}"


def _turn(orders: Orders, tally: Tally, done_count: int) -> int:
    trajectory.context("retrieved", [body_of(orders.name, done_count)])
    tally.put(1)
    for number in range(done_count, min(done_count + TURN_SPANS, orders.count)):
        text = {"text": secrets.token_hex(orders.body_bytes // 2)} if orders.body_bytes else None
        with trajectory.span(f"{orders.name} {number}", kind="tool", attributes=text):
            pass
        tally.done_count = number + 1
    return tally.done_count


def _time_a_flush(tally: Tally) -> None:
    began_ns = time.monotonic_ns()
    trajectory.flush(_FLUSH_S)
    tally.took(time.monotonic_ns() - began_ns)


def _forked(orders: Orders, number: int) -> int:
    child = os.fork()
    if child == 0:
        sys.exit(0 if work(child_of(orders, number)) else 1)
    return child


def main() -> None:
    """Does what it is ordered."""
    orders = Orders(**json.loads(sys.argv[1]))
    trajectory.init(orders.name, orders.endpoint)
    sys.exit(0 if work(orders) else 1)


if __name__ == "__main__":
    main()
