"""What a store keeps: everything, or what was heard of lately, or as much as has room. The oldest finished traces go first.

Invariant: a trace that is open, pinned, or of a pinned session stays, whatever the bounds say; so does what was heard of within
`RECENT_NS`, because its emitters count on its payloads being there. Each step is short. Run by the collector's loop, and by
`trajectory compact`.

Age counts from when the store last heard of a trace, not from what its facts say: a capture of last year that is imported
today is a day old tomorrow.
"""

from collections import deque
from collections.abc import Callable
from heapq import nsmallest
from time import monotonic
from typing import NamedTuple

from trajectory.errors import StoreError
from trajectory.store.contract import Activity, Pin, Reader, Writer

RECENT_NS = 15 * 60 * 1_000_000_000
_ENOUGH_RATIO = 0.9  # where the size bound is passed, room is made down to here: not a trace at a time for ever
_SPARE_RATIO, _SPARE_BYTES = 0.25, 16_000_000  # free pages that stay for what comes; more is given back
_PAGE, _CHOSEN, _TOGETHER = 256, 512, 64
_DAY_NS = 24 * 3600 * 1_000_000_000
_LOOK_AGAIN_NS = 3600 * 1_000_000_000  # at the latest: something may have been unpinned
_SOON_NS = 600 * 1_000_000_000
_AFTER_TROUBLE_NS = 60 * 1_000_000_000


class Bounds(NamedTuple):
    """How long, and how much, is kept; 0: no such bound. `keep_bytes` counts the pages in use, not the log beside the file."""

    keep_ns: int = 0
    keep_bytes: int = 0


class Standing(NamedTuple):
    """What retention has to know of a trace: whether more of it may come, and its session."""

    is_open: bool
    session_id: str


class Retention:
    """Keeps a store within bounds. `now_ns` is the wall clock; `standing` tells of one trace. One thread calls it."""

    def __init__(
        self, writer: Writer, bounds: Bounds, now_ns: Callable[[], int], standing: Callable[[Activity], Standing]
    ) -> None:
        self.bounds = bounds
        self.retired_count = 0
        self.trouble = ""  # why nothing can be retired, and what to do
        self.is_idle = False  # after the last step, there was nothing more to do for now
        self._writer = writer
        self._now_ns = now_ns
        self._standing = standing
        self._look_ns = 0  # when to look next
        self._walked: int | None = None  # the number of the last trace that was looked at, while looking
        self._trace_count = 0  # looked at so far
        self._pins: frozenset[Pin] = frozenset()
        self._oldest: list[Activity] = []
        self._next_due_ns = 0
        self._chosen: deque[Activity] = deque()
        self._is_shrinking = False
        self._loose_ns = 0  # frames of no trace are kept from here on

    def step(self, budget_s: float) -> list[bytes]:
        """Works for about so long; returns the traces that it took out of sight. Raises nothing: `trouble` says what is wrong."""
        now_ns = self._now_ns()
        retired: list[bytes] = []
        self.is_idle = False
        if self.trouble and now_ns < self._look_ns:
            self.is_idle = True
            return retired
        try:
            self._work(now_ns, monotonic() + budget_s, retired)
        except StoreError as fault:
            self.trouble = f"nothing can be retired: {fault}"
            self._look_ns = now_ns + _AFTER_TROUBLE_NS
            self.is_idle = True
        return retired

    def said(self) -> str:
        """What was retired since this began, in a sentence; empty where nothing was."""
        if not self.retired_count:
            return ""
        traces = "1 trace" if self.retired_count == 1 else f"{self.retired_count} traces"
        reasons = []
        if self.bounds.keep_ns:
            days = f"{self.bounds.keep_ns / _DAY_NS:.3g}"
            reasons.append(f"older than {days} day{'' if days == '1' else 's'}")
        if self.bounds.keep_bytes:
            reasons.append(f"to stay below {_giga(self.bounds.keep_bytes)}")
        return f"retired {traces} {' or '.join(reasons)}"

    def _work(self, now_ns: int, until_s: float, retired: list[bytes]) -> None:
        while (left_s := until_s - monotonic()) > 0:
            if self._writer.clear(left_s):
                return
            if self._chosen:
                self._retire_some(now_ns, retired)
            elif self._walked is not None:
                self._look_on(now_ns)
            elif self._is_due(now_ns):
                self._walked, self._trace_count, self._oldest = 0, 0, []
                self._next_due_ns = now_ns + _LOOK_AGAIN_NS
                self._pins = frozenset(self._writer.pins())
            else:
                self.is_idle = not self._tidy(left_s)
                return

    def _is_due(self, now_ns: int) -> bool:
        return now_ns >= self._look_ns and (bool(self.bounds.keep_ns) or self._is_over())

    def _is_over(self) -> bool:
        """Whether room is to be made: from when the bound is passed until there is enough of it."""
        if self.bounds.keep_bytes:
            needed_bytes = self._writer.room().needed_bytes
            enough_bytes = self.bounds.keep_bytes * (_ENOUGH_RATIO if self._is_shrinking else 1)
            self._is_shrinking = needed_bytes > enough_bytes
        return self._is_shrinking

    def _look_on(self, now_ns: int) -> None:
        """Looks at a page of traces, and keeps in mind the oldest ones that may go."""
        assert self._walked is not None
        page = self._writer.activities(self._walked, _PAGE)
        if not page:
            return self._choose(now_ns)
        self._walked = page[-1].number
        self._trace_count += len(page)
        may_go = []
        for activity in page:
            if _is_pinned(activity, self._pins):
                continue
            if _is_old(activity, self.bounds, now_ns) or (self._is_shrinking and _is_ripe(activity, now_ns)):
                may_go.append(activity)
            elif self.bounds.keep_ns:
                self._next_due_ns = min(self._next_due_ns, activity.heard_ns + self.bounds.keep_ns)
        self._oldest = nsmallest(_CHOSEN, [*self._oldest, *may_go], key=_by_age)
        return None

    def _choose(self, now_ns: int) -> None:
        self._chosen, self._walked = deque(self._oldest), None
        is_whole = len(self._oldest) < _CHOSEN
        soon_ns = min(self.bounds.keep_ns // 50 or _SOON_NS, _SOON_NS)
        self._look_ns = max(now_ns + soon_ns, self._next_due_ns) if is_whole else now_ns
        if self._is_shrinking:
            self._look_ns = now_ns + (0 if self._oldest else _AFTER_TROUBLE_NS)
        self.trouble = ""
        if self._is_shrinking and not self._oldest:
            self._writer.forget_loose(now_ns - RECENT_NS, 0.01)
            needed_bytes = self._writer.room().needed_bytes
            self.trouble = (
                f"the store needs {_giga(needed_bytes)}, more than the {_giga(self.bounds.keep_bytes)} to keep, "
                "and nothing may go: what is left is pinned, open or new"
            )

    def _retire_some(self, now_ns: int, retired: list[bytes]) -> None:
        """Takes several traces out of sight at once: a frame that they share is then written anew once."""
        spare_count = self._spare_count()
        for _ in range(min(len(self._chosen), _TOGETHER)):
            activity = self._chosen.popleft()
            if not _is_old(activity, self.bounds, now_ns):
                spare_count -= 1
                if spare_count < 0:
                    if not self._is_shrinking:
                        self._chosen.clear()
                    else:
                        self._chosen.appendleft(activity)
                    return
            self._retire(activity, retired)

    def _spare_count(self) -> int:
        """How many traces may go because of the size before it is to be measured again: half of what seems to be too much."""
        if not self._is_over():
            return 0
        needed_bytes = self._writer.room().needed_bytes
        over_ratio = 1 - self.bounds.keep_bytes * _ENOUGH_RATIO / needed_bytes
        return max(1, int(over_ratio * self._trace_count / 2))

    def _retire(self, activity: Activity, retired: list[bytes]) -> None:
        standing = self._standing(activity)
        if standing.is_open or not self._writer.retire(activity.trace_id, standing.session_id):
            return
        retired.append(activity.trace_id)
        self.retired_count += 1
        self._loose_ns = max(self._loose_ns, activity.heard_ns)

    def _tidy(self, budget_s: float) -> bool:
        """What has no hurry: True where it took all its time."""
        if self.bounds.keep_ns:
            self._loose_ns = max(self._loose_ns, self._now_ns() - self.bounds.keep_ns)
        if self._loose_ns and self._writer.forget_loose(self._loose_ns, budget_s):
            return True
        room = self._writer.room()
        spare_bytes = room.file_bytes - room.needed_bytes
        return spare_bytes > max(_SPARE_BYTES, _SPARE_RATIO * room.needed_bytes) and self._writer.give_back(budget_s)


def plan(reader: Reader, bounds: Bounds, now_ns: int) -> list[bytes]:
    """The traces of a store at rest that would be retired now, about so many where size decides. Raises StoreError."""
    room, pins = reader.room(), frozenset(reader.pins())
    is_over = 0 < bounds.keep_bytes < room.needed_bytes
    over_bytes = room.needed_bytes - bounds.keep_bytes * _ENOUGH_RATIO
    known: list[Activity] = []
    while page := reader.activities(known[-1].number if known else 0, _PAGE):
        known += page
    whole = sum(map(_weight, known))
    planned = []
    for activity in sorted(known, key=_by_age):
        is_due = _is_old(activity, bounds, now_ns) or (is_over and over_bytes > 0 and _is_ripe(activity, now_ns))
        if is_due and not _is_pinned(activity, pins) and not standing_at_rest(activity, now_ns).is_open:
            planned.append(activity.trace_id)
            over_bytes -= room.needed_bytes * _weight(activity) / whole
    return planned


def standing_at_rest(activity: Activity, now_ns: int) -> Standing:
    """What its summary says: a trace that nobody has in mind is open no longer than a day after it was last heard of."""
    if activity.summary is None:
        return Standing(False, "")
    is_recent = now_ns - activity.heard_ns < _DAY_NS
    return Standing(activity.summary.state == "live" and is_recent, activity.summary.session_id)


def _is_old(activity: Activity, bounds: Bounds, now_ns: int) -> bool:
    return 0 < bounds.keep_ns < now_ns - activity.heard_ns


def _is_ripe(activity: Activity, now_ns: int) -> bool:
    return now_ns - activity.heard_ns > RECENT_NS


def _is_pinned(activity: Activity, pins: frozenset[Pin]) -> bool:
    session_id = activity.summary.session_id if activity.summary else ""
    return not pins.isdisjoint((Pin("trace", activity.trace_id.hex()), Pin("session", session_id)))


def _by_age(activity: Activity) -> tuple[int, int]:
    return activity.heard_ns, activity.number


def _weight(activity: Activity) -> int:
    """How much of a store a trace may take, compared with the others."""
    return 1 + (activity.summary.steps if activity.summary else 0)


def _giga(size_bytes: float) -> str:
    return f"{size_bytes / 1e9:.3g} GB"
