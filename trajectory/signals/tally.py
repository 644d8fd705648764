"""One trace in numbers, kept up while it grows: measured anew only where something changed, and what that changes in the whole.

Invariant: what `look` has said and `take` has given out adds up to what the trace says now, less what an earlier process saved
of it; a call is in it once, and one that turns out to be another is taken back. Bounded: windows grow longer, and then names
are summed up, when there are too many groups. Owned by whoever folds the trace; one thread at a time.
"""

from collections.abc import Iterator
from itertools import chain

import msgspec

from trajectory.graph.invocation import Invocation, Usage
from trajectory.graph.span import Span
from trajectory.graph.trace import ROLLUP_INPUT_TOKENS, ROLLUP_OUTPUT_TOKENS, Trace
from trajectory.model.fact import Finding
from trajectory.model.words import SpanKind
from trajectory.signals.figures import OTHER, WINDOW_NS, Figures, Group, Tally, group_of
from trajectory.signals.measures import Kind, Measure, delegation_measure, finding_measure, measured, measures_of
from trajectory.signals.prices import Prices

MAX_GROUPS = 512
_MAX_GRAIN = 1 << 14  # minutes: eleven days
_WORK = frozenset((SpanKind.MODEL, SpanKind.TOOL, SpanKind.RETRIEVAL))
_NOTHING = (0, 0)


class Changes(msgspec.Struct):
    """What a trace adds to the whole, and takes back: sums that differ from what was saved, then measures one by one."""

    tally: Tally = {}
    added: list[Measure] = []
    removed: list[Measure] = []

    def __bool__(self) -> bool:
        return bool(self.tally or self.added or self.removed)


class Saved(msgspec.Struct, array_like=True):
    """A tally as it rests in a store. Fields are only ever appended."""

    grain: int
    groups: list[tuple[Group, Figures]]


class _Known(msgspec.Struct, gc=False):
    """An invocation as it was last measured; it is held, so that none that is new has its identity."""

    invocation: Invocation
    usage: Usage
    told: tuple[int, int]
    measures: list[Measure]


class TraceTally:
    """The tally of one trace. `saved` is what an earlier process left in the store, or an earlier life of the trace in memory."""

    def __init__(self, trace: Trace, prices: Prices, saved: bytes | None = None) -> None:
        self._trace = trace
        self._prices = prices
        self._before = read_saved(saved) if saved else None
        self._grain = self._before.grain if self._before is not None else 1
        self.tally: Tally = {}
        self._changed = trace.watch()
        self._known: dict[int, _Known] = {}
        self._loose: dict[bytes, Span] = {}  # work of no agent
        self._loose_measures: list[Measure] = []
        self._delegations: list[Measure] = []
        self.crossings: dict[
            bytes, tuple[int, int] | None
        ] = {}  # delegation → items needed, and arrived; None: not known
        self._findings: dict[str, Finding] = {}
        self._found: list[Measure] = []
        self._seen = -1  # the trace's version
        self._changes = Changes(added=[], removed=[])

    # --- looking ----------------------------------------------------------------------------------------------------

    def current(self) -> Iterator[Measure]:
        """The measures that are counted now, as of the last look."""
        for known in self._known.values():
            yield from known.measures
        yield from chain(self._loose_measures, self._delegations, self._found)

    def look(self) -> bool:
        """Measures what changed since; True where anything is to be saved, or to be taken."""
        if self._trace.version != self._seen:
            self._seen = self._trace.version
            self._look_at_work()
            self._look_at_loose()
            self._look_at_delegations()
            self._look_at_findings()
        if self._before is not None:
            self._compare(self._before)
        return bool(self._changes)

    def crossed(self, delegation_id: bytes, items: tuple[int, int] | None) -> None:
        """What came through at a delegation was looked at: items needed, and arrived, where that can be told."""
        self.crossings[delegation_id] = items
        self._seen = -1

    def take(self) -> Changes:
        """What was found since the last time; to be taken when it is saved."""
        changes, self._changes = self._changes, Changes(added=[], removed=[])
        return changes

    def written(self) -> bytes:
        """The tally as it rests in a store."""
        return msgspec.msgpack.encode(Saved(self._grain, list(self.tally.items())))

    @property
    def last_ns(self) -> int:
        """When the latest window begins in which work ended; 0 of none."""
        return max((group.window for group in self.tally), default=0) * WINDOW_NS

    def _look_at_work(self) -> None:
        told = dict(_told_of_all(self._trace))
        invocations = self._trace.invocations()
        gone = self._known.keys() - {id(invocation) for invocation in invocations}
        for key in gone:
            self._replace(self._known.pop(key).measures, [])
        for invocation in invocations:
            key, usage, says = id(invocation), invocation.usage, told.get(id(invocation), _NOTHING)
            known = self._known.get(key)
            if known is not None and known.usage is usage and known.told == says:
                continue
            measures = measured(self._trace, invocation, self._prices)
            if any(says):  # the agent's own sum is the only word on what its work used
                measures = [_with_tokens(measure, *says) for measure in measures]
            self._replace(known.measures if known is not None else [], measures)
            self._known[key] = _Known(invocation, usage, says, measures)

    def _look_at_loose(self) -> None:
        spans, was = self._trace.spans, len(self._loose)
        touched = False
        for span_id in self._changed.take():
            span = spans.get(span_id)
            if span is not None and span.owner is None and span.kind in _WORK:
                self._loose[span_id], touched = span, True
            else:
                self._loose.pop(span_id, None)
        if touched or len(self._loose) != was:
            nobody = Invocation("", "", None)
            nobody.spans = self._loose
            measures = list(measures_of(self._trace, nobody, self._prices)) if self._loose else []
            self._replace(self._loose_measures, measures)
            self._loose_measures = measures

    def _look_at_delegations(self) -> None:
        measures = []
        for delegation in self._trace.delegations():
            measure = delegation_measure(delegation)
            if measure is not None:
                items = self.crossings.get(delegation.own_id)
                if items is not None:
                    measure = msgspec.structs.replace(measure, needed=items[0], arrived=items[1])
                measures.append(measure)
        self._replace(self._delegations, measures)
        self._delegations = measures

    def _look_at_findings(self) -> None:
        if self._findings == self._trace.findings:
            return
        self._findings = dict(self._trace.findings)
        measures = [finding_measure(finding, self._trace.service) for finding in self._findings.values()]
        self._replace(self._found, measures)
        self._found = measures

    # --- summing up -------------------------------------------------------------------------------------------------

    def _replace(self, old: list[Measure], new: list[Measure]) -> None:
        same = set(old).intersection(new) if old else ()
        if len(same) < len(old):
            removed = [measure for measure in old if measure not in same]
            self._changes.removed += removed
            for measure in removed:
                self._put(measure, -1)
        added = [measure for measure in new if measure not in same] if same else new
        self._changes.added += added
        for measure in added:
            self._put(measure, 1)

    def _put(self, measure: Measure, times: int) -> None:
        group = group_of(measure, self._grain)
        figures = self.tally.get(group)
        if figures is None:
            group = self._place(group)
            figures = self.tally.get(group)
            if figures is None:
                figures = self.tally[group] = Figures()
        figures.put(measure, times)
        if not figures.count:
            del self.tally[group]

    def _place(self, group: Group) -> Group:
        """Where a group is summed up that is not there: in longer windows when there are too many, and then without its names."""
        while len(self.tally) >= MAX_GROUPS and self._grain < _MAX_GRAIN:
            self._grain *= 4
            self.tally = coarser(self.tally, self._grain)
            group = group._replace(window=group.window - group.window % self._grain)
        return unnamed(group) if len(self.tally) >= MAX_GROUPS and group not in self.tally else group

    def _compare(self, before: Saved) -> None:
        """The first look at a trace of which something was saved: what differs from that is what is new."""
        self._before = None
        difference: Tally = {}
        for tally, times in ((self.tally, 1), (coarser(dict(before.groups), self._grain), -1)):
            for group, figures in tally.items():
                difference.setdefault(group, Figures()).add(figures, times)
        self._changes = Changes({group: f for group, f in difference.items() if not f.is_nothing}, added=[], removed=[])


def read_saved(body: bytes) -> Saved | None:
    """A saved tally; None where it cannot be read: then the trace is counted anew."""
    try:
        saved = msgspec.msgpack.decode(body, type=Saved)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    is_sound = 1 <= saved.grain <= _MAX_GRAIN and all(figures.is_sound for _, figures in saved.groups)
    return saved if is_sound else None


def coarser(tally: Tally, grain: int) -> Tally:
    """The same sums in windows of so many minutes."""
    found: Tally = {}
    for group, figures in tally.items():
        wider = group._replace(window=group.window - group.window % grain)
        if wider in found:
            found[wider].add(figures)
        else:
            found[wider] = figures
    return found


def unnamed(group: Group) -> Group:
    """Where a group is summed up that there are too many of."""
    error = OTHER if group.error else ""
    return Group(group.window - group.window % _MAX_GRAIN, group.kind, OTHER, OTHER, OTHER, OTHER, OTHER, error)


def _with_tokens(measure: Measure, input_tokens: int, output_tokens: int) -> Measure:
    if measure.kind != Kind.AGENT:
        return measure
    return msgspec.structs.replace(measure, input_tokens=input_tokens, output_tokens=output_tokens)


def _told_of_all(trace: Trace) -> Iterator[tuple[int, tuple[int, int]]]:
    """The agents' own sums of what their work used, by invocation, where no model call says it."""
    if any(_sums_up(invocation) for invocation in trace.invocations()):
        for invocation, input_tokens, output_tokens in trace.rollups():
            yield id(invocation), (input_tokens, output_tokens)


def _sums_up(invocation: Invocation) -> bool:
    span = invocation.span
    return span is not None and (ROLLUP_INPUT_TOKENS in span.attributes or ROLLUP_OUTPUT_TOKENS in span.attributes)
