"""The list of runs: rows that this process knows, over those that the store has saved, read only as far as someone looks.

Invariant: a trace is listed once, as what is known of it, and in one order: live ones first, then the latest start. Where
runs are asked for, those that are one run are one row, at the place of the first of them. Owned by a pipeline or by the feed
of a store at rest; one thread at a time.
"""

from collections import OrderedDict
from collections.abc import Iterator
from heapq import merge
from itertools import chain, islice
from operator import attrgetter

from trajectory.collector.joined import RowOf, Runs
from trajectory.errors import QueryError
from trajectory.model.ends import Ends
from trajectory.store.contract import LIVE, Reader, TraceSummary
from trajectory.view.rows import TraceRow

_FIRST_PAGE, _PAGE = 208, 1024
_MOST_KNOWN = 2000  # rows of this process: beyond them the older ones are read from the store, like all others
_KEPT = 1000  # of them that stay then
_SAID_TRACES, _SAID_S = 500, 0.1


class Listing:
    """Rows of the list, at most `limit` of them; `row_of` makes one of a saved summary."""

    def __init__(self, reader: Reader, row_of: RowOf, limit: int) -> None:
        self._reader = reader
        self._row_of = row_of
        self._limit = limit
        self._known: OrderedDict[str, TraceRow] = OrderedDict()
        self.runs = Runs(reader, row_of, self._known)
        self.forget_saved()

    def read_again(self) -> None:
        """Others have written the store: reads it anew when someone looks."""
        self.runs.joined.read_again()
        self.forget_saved()

    def forget_saved(self) -> None:
        """Reads what is saved anew when someone looks: it was changed, or made smaller."""
        self.runs.forget_saved()
        self._saved: list[TraceRow] = []
        self._last: TraceSummary | None = None
        self._live: list[TraceRow] | None = None
        self._is_read = False

    def forget(self, trace_id: bytes) -> None:
        """The trace is gone from the store."""
        self._known.pop(trace_id.hex(), None)
        self.runs.joined.forget(trace_id)
        self.forget_saved()

    def put(self, row: TraceRow, ends: Ends | None = None) -> None:
        """What is known of a trace now; its summary is about to be saved."""
        self._known[row.trace_id] = row
        if ends is not None:
            self.runs.joined.put(bytes.fromhex(row.trace_id), ends)
        self._known.move_to_end(row.trace_id)
        if len(self._known) > min(_MOST_KNOWN, self._limit):
            while len(self._known) > min(_KEPT, self._limit):
                self._known.popitem(last=False)
            self.forget_saved()

    def state(self, trace_id: bytes) -> str:
        """The state that was last said of a trace; empty where this process has said none."""
        row = self._known.get(trace_id.hex())
        return row.state if row is not None else ""

    def __contains__(self, trace_id: bytes) -> bool:
        """Whether this process has said anything of a trace."""
        return trace_id.hex() in self._known

    def count(self, *, by_run: bool = False) -> int:
        """How many traces there are to list; with `by_run`, how many runs."""
        count = min(max(self._reader.summary_count(), len(self._known)), self._limit)
        return count - self.runs.joined.part_count() if by_run else count

    def rows(self, *, by_run: bool = False) -> Iterator[TraceRow]:
        """All rows, live ones first, then the latest start; the store is read a page ahead of who iterates.

        With `by_run`, a run of several traces is one row.
        """
        return self.runs.whole(self._traces(), by_run=by_run)

    def _traces(self) -> Iterator[TraceRow]:
        known = sorted(self._known.values(), key=_by_start)
        live = merge((r for r in known if _is_live(r)), self._saved_live(), key=_by_start)
        others = merge((r for r in known if not _is_live(r)), self._saved_others(), key=_by_start)
        return islice(chain(live, others), self._limit)

    def _saved_live(self) -> Iterator[TraceRow]:
        if self._live is None:
            self._live = [row for row in map(self._row_of, self._reader.live_summaries()) if _is_live(row)]
        return (row for row in self._live if row.trace_id not in self._known)

    def _saved_others(self) -> Iterator[TraceRow]:
        at = 0
        while at < len(self._saved) or self._read_on():
            row = self._saved[at]
            at += 1
            if row.trace_id not in self._known and not _is_live(row):
                yield row

    def _read_on(self) -> bool:
        """Reads one page more of what is saved; False where there is none, or as many are held as are listed."""
        if self._is_read or len(self._saved) >= self._limit:
            return False
        page = _PAGE if self._saved else _FIRST_PAGE
        read = self._reader.summaries(limit=page, before=self._last)
        self._is_read = len(read) < page
        self._last = read[-1] if read else None
        self._saved += map(self._row_of, read)
        return bool(read)


_SHARED = tuple(
    name for name in TraceSummary.__struct_fields__ if name in TraceRow.__struct_fields__ and name != "trace_id"
)
_shared_of = attrgetter(*_SHARED)


_DEFAULTS = TraceRow("", "", "", "", "", 0, 0)
_row_fields_of = attrgetter(*(name if name in _SHARED else "trace_id" for name in TraceRow.__struct_fields__))
_NOT_SAVED = [
    (at, getattr(_DEFAULTS, name)) for at, name in enumerate(TraceRow.__struct_fields__) if at and name not in _SHARED
]


def row_of(summary: TraceSummary) -> TraceRow:
    """A saved summary as a row of the list of runs."""
    fields = [*_row_fields_of(summary)]
    fields[0] = summary.trace_id.hex()
    for at, value in _NOT_SAVED:
        fields[at] = value
    return TraceRow(*fields)


def summary_of(row: TraceRow, last_frame: int, ends: Ends | None = None) -> TraceSummary:
    """A row as it is saved; `last_frame` is the newest that is folded into it."""
    shared = dict(zip(_SHARED, _shared_of(row), strict=True))
    return TraceSummary(bytes.fromhex(row.trace_id), **shared, last_frame=last_frame, ends=ends)


def _is_live(row: TraceRow) -> bool:
    return row.state == LIVE


def _by_start(row: TraceRow) -> int:
    return -row.started_ns


def traces_saying(reader: Reader, text: str) -> set[str]:
    """The ids of the latest traces in which anything says a text, as many as a moment finds; none where it has no word."""
    try:
        found, _ = reader.traces_saying(text, _SAID_TRACES, _SAID_S)
    except QueryError:
        return set()
    return {trace_id.hex() for trace_id in found}
