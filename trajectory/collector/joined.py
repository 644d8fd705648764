"""Runs of several traces, over what a store has saved and this process knows: one row for each, counted once.

Invariant: what is joined follows from the ends that are saved with each trace's summary, so a restart joins the same. They are
read a page at a time when someone looks, and nothing is joined before all are read: a trace that is not known yet may be as
good a candidate. Owned by the list of runs; the command line makes one to show a trace.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from trajectory.errors import StoreError
from trajectory.graph.runs import Run, alone
from trajectory.graph.stitching import MAX_TRACES, Stitching
from trajectory.model.ends import Ends
from trajectory.store.contract import LIVE, Reader, TraceSummary
from trajectory.view.rows import TraceRow

_PAGE = 256
_NAMED_AGENTS = 64
RowOf = Callable[[TraceSummary], TraceRow]
_SUMS = ("steps", "errors", "critical", "warnings", "infos", "input_tokens", "output_tokens")


class Joined:
    """Which traces are one run, of the latest `graph.stitching.MAX_TRACES` ones."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.read_again()

    def read_again(self) -> None:
        """Others have written the store: it is read anew."""
        self._stitching = Stitching()
        self._told: set[bytes] = set()  # those that this process knows better than the store
        self._last: TraceSummary | None = None
        self._read_count = 0
        self._is_read = False

    def put(self, trace_id: bytes, ends: Ends) -> None:
        """What is known of a trace now."""
        if not self._is_read:
            self._told.add(trace_id)
        self._stitching.put(trace_id, ends)

    def forget(self, trace_id: bytes) -> None:
        """The trace is gone from the store."""
        self._stitching.forget(trace_id)

    def run_of(self, trace_id: bytes) -> Run:
        """The run that a trace is a part of; it alone where nothing joins it to another, or not all is read."""
        return self._stitching.run_of(trace_id) if self._is_read else alone(trace_id)

    def part_count(self) -> int:
        """How many traces are no row of their own where each run is one."""
        return self._stitching.part_count() if self._is_read else 0

    def read_on(self) -> bool:
        """Reads one page more of what is saved; False where there was none. What is damaged is not joined."""
        if self._is_read:
            return False
        try:
            page = self._reader.summaries(limit=_PAGE, before=self._last)
        except StoreError:
            page = []
        for summary in page:
            if summary.ends is not None and summary.trace_id not in self._told:
                self._stitching.put(summary.trace_id, summary.ends)
        self._last = page[-1] if page else None
        self._read_count += len(page)
        if len(page) < _PAGE or self._read_count >= MAX_TRACES:
            self._is_read = True
            self._told.clear()
        return True


class Runs:
    """Rows of traces as rows of runs. `known` holds the rows that this process knows better than the store."""

    def __init__(self, reader: Reader, row_of: RowOf, known: Mapping[str, TraceRow] | None = None) -> None:
        self.joined = Joined(reader)
        self.row_of = row_of
        self._reader = reader
        self._known = known if known is not None else {}
        self._parts: dict[bytes, TraceRow] = {}  # saved ones, as they were read

    def forget_saved(self) -> None:
        """What is saved has changed."""
        self._parts.clear()

    def whole(self, rows: Iterable[TraceRow], *, by_run: bool) -> Iterator[TraceRow]:
        """The rows, each with its run's id; with `by_run` one for each run, where the first of its traces stands."""
        shown: set[bytes] = set()
        for row in rows:
            run = self.joined.run_of(bytes.fromhex(row.trace_id))
            if len(run.trace_ids) == 1:
                yield row
            elif not by_run:
                yield msgspec.structs.replace(row, run_id=run.root.hex())
            elif run.root not in shown:
                shown.add(run.root)
                parts = (row if t.hex() == row.trace_id else self._part(t) for t in run.trace_ids)
                yield run_row(run, [part for part in parts if part is not None])

    def _part(self, trace_id: bytes) -> TraceRow | None:
        row = self._known.get(trace_id.hex()) or self._parts.get(trace_id)
        if row is None and (summary := self._reader.summary(trace_id)) is not None:
            row = self._parts[trace_id] = self.row_of(summary)
            if len(self._parts) > MAX_TRACES:
                del self._parts[next(iter(self._parts))]
        return row


def run_row(run: Run, rows: list[TraceRow]) -> TraceRow:
    """A run as one row: its first trace's names, and what all of them count. `rows` are of its traces, the first one's first."""
    first = rows[0]
    live = next((r.state for r in rows if r.state == LIVE), first.state)
    names = list(dict.fromkeys(name for row in rows for name in row.agent_names))
    return msgspec.structs.replace(
        first,
        state=live,
        started_ns=min(row.started_ns for row in rows),
        ended_ns=max(row.ended_ns for row in rows),
        agents=max(len(names), *(row.agents for row in rows)),
        delegations=sum(row.delegations for row in rows) + sum(joint.is_delegation for joint in run.joints),
        activity=_added([row.activity for row in rows if row.activity]),
        is_partial=any(row.is_partial for row in rows),
        agent_names=names[:_NAMED_AGENTS],
        run_id=run.root.hex(),
        traces=len(rows),
        **{name: sum(getattr(row, name) for row in rows) for name in _SUMS},
    )


def _added(activities: Iterable[list[int]]) -> list[int]:
    return [sum(counts) for counts in zip(*activities, strict=True)]
