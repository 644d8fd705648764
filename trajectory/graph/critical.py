"""The critical path of a trace: the chain of spans that its end waited for, and what of each stretch of time was which one's.

Invariant: pure; the stretches follow each other in time without overlap, and each lies inside of its span. Walked backwards from
the end: before it begins, a span has waited for what ended last before that. Work that ran on behind its parent counts where
the end waited for it; an open span ends when the run does. Called where rows are made for a timeline or lanes.
"""

import heapq
from collections.abc import Callable, Iterable
from typing import NamedTuple

from trajectory.graph.span import Span
from trajectory.graph.trace import Trace

_Ends = Callable[[Span], int]


class Stretch(NamedTuple):
    """From `start_ns` to `end_ns` the run's end waited for this span, and for none below it."""

    span: Span
    start_ns: int
    end_ns: int


class CriticalPath:
    """The path of a trace as it is. `spans` are those on it by id; `stretches` are in order of time."""

    def __init__(self, spans: frozenset[bytes], stretches: list[Stretch]) -> None:
        self.spans = spans
        self.stretches = stretches


def critical_path(roots: Iterable[Span], end_of: _Ends) -> CriticalPath:
    """The chain below these roots. `end_of` says when a span ended, or for one that is open, up to when it has come."""
    roots = list(roots)
    reach = _reaches(roots, end_of)
    found: list[Stretch] = []
    spans: set[bytes] = set()
    until_ns = max((reach[id(root)] for root in roots), default=0)
    pending = [(root, 0, end_ns) for root, end_ns in _awaited(roots, until_ns, reach, end_of)]
    while pending:
        span, floor_ns, until_ns = pending.pop()
        spans.add(span.span_id)
        begin_ns, end_ns = max(_begin_of(span), floor_ns), end_of(span)
        at_ns = min(until_ns, end_ns)
        for child, child_end_ns in _awaited(span.children, until_ns, reach, end_of):
            pending.append((child, begin_ns, child_end_ns))  # clocks differ: none began before its parent
            _put(found, span, max(child_end_ns, begin_ns), at_ns)
            at_ns = min(at_ns, _begin_of(child))
        _put(found, span, begin_ns, at_ns)
    found.sort(key=lambda stretch: (stretch.start_ns, stretch.end_ns))
    return CriticalPath(frozenset(spans), found)


def critical_path_of(trace: Trace) -> CriticalPath:
    """The path of a trace up to its last fact, kept until something new is told of it."""
    kept: tuple[int, CriticalPath] | None = trace.notes.get(CriticalPath)
    if kept is None or kept[0] != trace.told_version:
        last_ns = max(trace.last_ns, 1)
        path = critical_path(trace.roots, lambda span: span.end_ns or (last_ns if span.is_open else span.last_ns))
        kept = trace.notes[CriticalPath] = (trace.told_version, path)
    return kept[1]


def _put(found: list[Stretch], span: Span, start_ns: int, end_ns: int) -> None:
    if start_ns < end_ns:
        found.append(Stretch(span, start_ns, end_ns))


def _begin_of(span: Span) -> int:
    """When a span began; one whose start is not known, when the first below it did."""
    return span.start_ns or min((child.start_ns for child in span.children if child.start_ns), default=span.end_ns)


def _reaches(roots: list[Span], end_of: _Ends) -> dict[int, int]:
    """For each span, by identity, when the last of it and of all below it ended."""
    order = list(roots)
    for span in order:
        order.extend(span.children)
    reach: dict[int, int] = {}
    for span in reversed(order):
        last_ns = end_of(span)
        for child in span.children:
            last_ns = max(last_ns, reach[id(child)])
        reach[id(span)] = last_ns
    return reach


def _awaited(spans: Iterable[Span], until_ns: int, reach: dict[int, int], end_of: _Ends) -> list[tuple[Span, int]]:
    """Of siblings those that were waited for one after the other up to `until_ns`, last first, and when each was through.

    One that is not through by then, with all below it, may yet be so itself. Of several at one instant the longest was.
    """
    waiting = [(-reach[id(span)], _begin_of(span), number, span) for number, span in enumerate(spans)]
    heapq.heapify(waiting)
    chosen: list[tuple[Span, int]] = []
    while waiting:
        through_ns, begin_ns, number, span = heapq.heappop(waiting)
        if -through_ns <= until_ns:
            chosen.append((span, -through_ns))
            until_ns = min(until_ns, begin_ns)
        elif end_of(span) < -through_ns:
            heapq.heappush(waiting, (-end_of(span), begin_ns, number, span))
    return chosen
