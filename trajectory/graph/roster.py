"""Who worked in a trace, and when: invocations and calls by an agent's name and by start, for finding the one that fits.

Invariant: finding one takes no longer than those that might fit are many, and not the whole trace. Two spellings are one agent's
name where their letters and digits are the same. Called by `pairing`, and by detectors that compare names.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Generic, TypeVar

from trajectory.graph.span import Span

if TYPE_CHECKING:
    from trajectory.graph.invocation import Invocation

_T = TypeVar("_T")
_BLOCK_COUNT = 64
_NEVER_NS = 1 << 64  # later than any time


def same_agent(one: str, other: str) -> bool:
    """Whether two spellings are one agent's name: letters and digits count, their case does not."""
    return one == other or name_key(one) == name_key(other)


@lru_cache(maxsize=4096)
def letters(name: str) -> str:
    """What counts of a name."""
    return "".join(c for c in name.casefold() if c.isalnum())


def name_key(name: str) -> str:
    """What all spellings of an agent's name have in common; a name without a letter is spelled one way."""
    return letters(name) or name


class ByStart(Generic[_T]):
    """Things by start, in nanoseconds; those of one start in the order in which they came."""

    def __init__(self, things: Iterable[tuple[int, _T]] = ()) -> None:
        found = sorted(things, key=lambda pair: pair[0])
        self._starts = [start_ns for start_ns, _ in found]
        self._things = [thing for _, thing in found]

    @property
    def first_ns(self) -> int:
        """When the first of them started; there is one."""
        return self._starts[0]

    def since(self, at_ns: int) -> Iterator[_T]:
        """Those that started then or later, the first of them first."""
        return (self._things[i] for i in range(bisect_left(self._starts, at_ns), len(self._things)))

    def until(self, at_ns: int) -> Iterator[_T]:
        """Those that had started by then, the latest first."""
        return (self._things[i] for i in range(bisect_right(self._starts, at_ns) - 1, -1, -1))

    def remove(self, start_ns: int, thing: _T) -> None:
        """Takes one out that is in it."""
        at = bisect_left(self._starts, start_ns)
        while self._things[at] is not thing:
            at += 1
        del self._starts[at], self._things[at]


class Roster:
    """The invocations of a trace, which come by start."""

    def __init__(self, invocations: "Iterable[Invocation]") -> None:
        self._invocations = [*invocations]
        self._spellings: dict[str, str] = {}  # as the first invocation spells it; in the order of their first work
        named: dict[str, list[tuple[int, Invocation]]] = {}
        for invocation in self._invocations:
            key = name_key(invocation.agent)
            self._spellings.setdefault(key, invocation.agent)
            named.setdefault(key, []).append((invocation.start_ns, invocation))
        self._by_name = {key: ByStart(found) for key, found in named.items()}

    @cached_property
    def _all(self) -> "ByStart[Invocation]":
        return ByStart((i.start_ns, i) for i in self._invocations)

    def since(self, at_ns: int, agent: str = "") -> "Iterator[Invocation]":
        """The times that an agent, any where none is named, began to work then or later, the first of them first."""
        found = self._by_name.get(name_key(agent)) if agent else self._all
        return found.since(at_ns) if found is not None else iter(())

    def remove(self, invocation: "Invocation") -> None:
        """Takes one out that is in it."""
        for found in (self._by_name[name_key(invocation.agent)], self._all):
            found.remove(invocation.start_ns, invocation)

    def spelled(self, agent: str) -> str:
        """An agent's name as its own spans spell it: tools write `travel_agent` for `Travel Agent`."""
        return self._spellings.get(name_key(agent), agent)

    def latest(self, agent: str, until_ns: int) -> "Invocation | None":
        """The last time that an agent had begun to work by then."""
        found = self._by_name.get(name_key(agent))
        return next(found.until(until_ns), None) if found is not None else None

    def only(self, until_ns: int, not_agent: str) -> "Invocation | None":
        """The last time that the one agent besides another had begun to work by then; None where there were two."""
        key = name_key(not_agent)
        one: ByStart[Invocation] | None = None
        for name, found in self._by_name.items():
            if found.first_ns > until_ns:
                break
            if name != key:
                if one is not None:
                    return None
                one = found
        return next(one.until(until_ns)) if one is not None else None


class Around:
    """Calls by the time that they took, for finding those that something happened within."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._spans = sorted(spans, key=lambda s: s.order_key)
        self._starts = [s.start_ns for s in self._spans]
        ends = [s.end_ns or _NEVER_NS for s in self._spans]
        self._last_ns = [max(ends[i : i + _BLOCK_COUNT]) for i in range(0, len(ends), _BLOCK_COUNT)]

    def around(self, start_ns: int, end_ns: int) -> list[Span]:
        """The calls that had started by then, and were not over before `end_ns`; 0: that is open, and so are they. By start."""
        count = bisect_right(self._starts, start_ns)
        needed_ns = end_ns or _NEVER_NS
        return [
            span
            for block, last_ns in enumerate(self._last_ns[: -(-count // _BLOCK_COUNT)])
            if last_ns >= needed_ns
            for span in self._spans[block * _BLOCK_COUNT : min(count, (block + 1) * _BLOCK_COUNT)]
            if (span.end_ns or _NEVER_NS) >= needed_ns
        ]
