"""The runs of a time: those that were at work then, and of these those in which a series that is looked at had work.

Invariant: bounded in what one answer looks at, and what was looked at once is not looked at again while its run does not change.
One for each publisher, which calls it.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from trajectory.collector.signal_rows import key_of
from trajectory.signals.book import Labels
from trajectory.signals.figures import WINDOW_NS, Group
from trajectory.view.rows import TraceRow
from trajectory.view.text import clean
from trajectory.view.views import SignalsQuery

MAX_RUNS = 50
_LONGEST_NS = 86_400_000_000_000  # a run that began earlier before the time than that is not looked for
_MOST_LOOKS = 200  # of one answer
_MOST_KNOWN = 5_000
Groups = Iterable[Group]
GroupsOf = Callable[[bytes], Groups]


class RunsThen:
    """`groups_of` gives what was counted of a trace, by its id."""

    def __init__(self, groups_of: GroupsOf) -> None:
        self._groups_of = groups_of
        self._known: OrderedDict[tuple[object, ...], bool] = OrderedDict()

    def of(self, query: SignalsQuery, rows: Iterable[TraceRow]) -> tuple[list[TraceRow], int, bool]:
        """The first runs, worst first; how many are known; and whether there may be more."""
        if not 0 <= query.at_ns < query.until_ns:
            return [], 0, False
        found = []
        for row in rows:
            if row.state != "live" and row.started_ns < query.at_ns - _LONGEST_NS:
                break
            if _was_at_work(row, query):
                found.append(row)
        found.sort(key=lambda row: (-row.critical, -row.warnings, -row.errors, -row.started_ns))
        if not query.name:
            return found[:MAX_RUNS], len(found), False
        shown: list[TraceRow] = []
        looks = 0
        for row in found:
            if len(shown) >= MAX_RUNS or looks >= _MOST_LOOKS:
                return shown, len(shown), True
            is_of, is_looked = self._has_work(row, query)
            looks += is_looked
            if is_of:
                shown.append(row)
        return shown, len(shown), False

    def _has_work(self, row: TraceRow, query: SignalsQuery) -> tuple[bool, bool]:
        """Whether work of the series that is named ended in a run then, and whether that had to be looked up."""
        asked = (row.trace_id, row.ended_ns, row.state, query.by, query.work, query.name, query.at_ns, query.until_ns)
        known = self._known.get(asked)
        if known is not None:
            self._known.move_to_end(asked)
            return known, False
        key_of_labels, wanted = key_of(query), query.name
        begin, end = query.at_ns // WINDOW_NS, -(-query.until_ns // WINDOW_NS)
        known = False
        for group in self._groups_of(bytes.fromhex(row.trace_id)):
            key = key_of_labels(Labels(*group[1:])) if begin <= group.window < end else None
            if key is not None and key[1] == query.work and clean(key[0]) == wanted:
                known = True
                break
        self._known[asked] = known
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return known, True


def _was_at_work(row: TraceRow, query: SignalsQuery) -> bool:
    return (
        row.started_ns < query.until_ns
        and (row.ended_ns >= query.at_ns or row.state == "live")
        and (not query.agent or not row.agent_names or query.agent in row.agent_names)
        and query.service in ("", row.service)
    )
