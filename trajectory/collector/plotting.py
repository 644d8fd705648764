"""Figures of all runs for plots: the book rolled up, the runs of a time, and of each finding how its incident stands.

Invariant: read-only; what is asked again costs as much as changed since. The publisher makes one when first asked for figures.
"""

from msgspec.structs import replace

from trajectory.collector.library import Library
from trajectory.collector.rolling import Rolling
from trajectory.collector.runs_then import RunsThen
from trajectory.collector.signal_rows import PART, signals_view
from trajectory.view.rows import Health
from trajectory.view.signal_rows import SignalMark
from trajectory.view.views import MOST_ALSO, SignalsQuery, SignalsView


class Plotting:
    """Answers what is asked of all runs."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._rolling = Rolling()
        self.runs = RunsThen(library.groups)

    def of_all(self, query: SignalsQuery, version: int, health: Health) -> SignalsView:
        """The view of a query that names no trace, with those that it asks for beside."""
        counted = self._library.counted()

        def view_of(one: SignalsQuery) -> SignalsView:
            one = replace(one, minutes=max(one.minutes, 1))
            return signals_view(
                one, (), counted.newest_ns, version, health, book=counted.book, rolling=self._rolling
            )  # fmt: skip

        listed = self._library.runs.rows(by_run=not query.name)
        runs, total, are_more = self.runs.of(query, listed) if query.until_ns else ([], 0, False)
        view, also = view_of(query), [view_of(each) for each in query.also[:MOST_ALSO]]
        is_part = PART in (view.version, *(each.version for each in also))
        return replace(
            view,
            marks=[self._with_state(mark) for mark in view.marks],
            version=PART if is_part else version,
            uncounted=counted.uncounted,
            is_loading=counted.is_loading or is_part,
            runs=runs,
            runs_total=total,
            runs_at_ns=query.at_ns,
            runs_are_more=are_more,
            also=also,
        )

    def _with_state(self, mark: SignalMark) -> SignalMark:
        states = self._library.incident_states
        state = states.of_place(mark.kind, mark.agent, mark.service) if states is not None else ""
        return replace(mark, state=state) if state else mark
