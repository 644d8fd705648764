"""Which agent held which item, from when on: the items of a run's hand-overs against its agents, for any instant of it.

Invariant: worked out once for a reading, hand-over by hand-over, and not of a run that is too large; an agent holds an item from
the first time that it was shown it, said it or got it, and lacks one that it needed from when its task came without it. Called by
`reading`, asked by `at_instant`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from trajectory.collector.wording import PREVIEW_CHARS
from trajectory.graph.delegations import Delegation
from trajectory.graph.trace import Trace
from trajectory.view.rows import HeldCell, HeldRow
from trajectory.view.text import clean

if TYPE_CHECKING:
    from trajectory.detection.crossing import Crossed

MAX_SPANS = 5000  # of a run whose items are compared
MAX_DELEGATIONS = 60
MAX_ITEMS = 300
HELD, LOST, DIFFERS = "held", "lost", "differs"


class _Known(NamedTuple):
    """From `since_ns` on, an agent's item was in a state; `text` is it where it differs."""

    since_ns: int
    state: str
    text: str


class _Item:
    """One item over the whole run, by the places of the lanes."""

    def __init__(self, item: "Crossed") -> None:
        self.text = clean(" ".join(item.text[:PREVIEW_CHARS].split()))
        self.kind = clean(item.kind)
        self.needed_ns = 0
        self.lanes: dict[int, list[_Known]] = {}

    def note(self, place: int, since_ns: int, state: str, text: str = "") -> None:
        if since_ns:
            self.lanes.setdefault(place, []).append(_Known(since_ns, state, text))


class Held:
    """The items of one run; `why_not` says why there are none, or not all."""

    def __init__(self) -> None:
        self._items: dict[str, _Item] = {}
        self.why_not = ""

    def read(self, trace: Trace, place_of: dict[int, int]) -> Iterator[None]:
        """Reads the hand-overs, a part at each step. `place_of` are the lanes by invocation."""
        if len(trace.spans) > MAX_SPANS:
            self.why_not = f"items are compared in runs of up to {MAX_SPANS} steps"
            return
        from trajectory.detection.effectiveness import (
            effectiveness_of,  # loads what compares contents: when first asked for
        )

        known, delegations = effectiveness_of(trace), trace.delegations()
        if len(delegations) > MAX_DELEGATIONS:
            self.why_not = f"items of the first {MAX_DELEGATIONS} hand-overs alone are compared"
        for delegation in delegations[:MAX_DELEGATIONS]:
            for item in known.crossing(delegation).items:
                self._take(item, delegation, place_of)
            yield
        for each in self._items.values():
            for lane in each.lanes.values():
                lane.sort(key=lambda one: one.since_ns)

    def _take(self, item: "Crossed", delegation: Delegation, place_of: dict[int, int]) -> None:
        held = self._items.get(item.key)
        if held is None:
            if len(self._items) >= MAX_ITEMS:
                return
            held = self._items[item.key] = _Item(item)
        source, target = (place_of.get(id(end), -1) for end in (delegation.source, delegation.target))
        if item.needed:
            held.needed_ns = min(held.needed_ns or delegation.sent_ns, delegation.sent_ns)
        if item.held and source >= 0:
            held.note(source, delegation.sent_ns, HELD)
        if target >= 0 and item.change in ("lost", "altered"):
            state = LOST if item.change == "lost" else DIFFERS
            held.note(target, delegation.received_ns, state, clean((item.got or item.sent)[:PREVIEW_CHARS]))
        elif target >= 0 and (item.got or item.sent) and item.change != "dropped":
            held.note(target, delegation.received_ns, HELD)
        for occurrence in item.trail:
            place = place_of.get(id(occurrence.owner), -1)
            if place >= 0:
                held.note(place, occurrence.at_ns, HELD)

    def at(self, at_ns: int, most: int) -> tuple[list[HeldRow], int]:
        """The items that anybody held or lacked by an instant, those first that are needed and not everywhere the same; how many
        there are in all."""
        rows = [row for item in self._items.values() if (row := _row(item, at_ns)).cells]
        rows.sort(key=lambda row: (not row.is_needed, not any(cell.state != HELD for cell in row.cells), row.text))
        return rows[:most], len(rows)


def _row(item: _Item, at_ns: int) -> HeldRow:
    cells = []
    for place, known in sorted(item.lanes.items()):
        so_far = [each for each in known if each.since_ns <= at_ns]
        if so_far:
            cells.append(HeldCell(place, so_far[-1].state, so_far[-1].text))
    return HeldRow(item.text, item.kind, 0 < item.needed_ns <= at_ns, cells)
