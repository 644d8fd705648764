"""`cascade`: an error or a wrong value that travelled over at least one agent boundary, from its root to where it ended.

Invariant: one root, one cascade. Its root is where it began (the deepest span of an exception, the tool whose answer was an
error), its `path` runs from there to the last affected span, one span a hop, and its key stays the same while it grows. A
failure that was got over (the call made again, the work given again) or owned up to is not one, and neither is a failure
that an earlier cascade brought about. Two ways of travelling are known:

- an exception that leaves its agent: the delegation, or the delegator itself, ends in the same error;
- a value that stands in for what failed, passed on as if nothing had happened (`spread`).

`critical` is what reached the trace's final answer, or ended the trace. Called through the seam of `contract`.
"""

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from trajectory.detection.cascade_wording import KIND, escape_finding, spread_finding
from trajectory.detection.contract import Settling
from trajectory.detection.escape import Escape, Escapes
from trajectory.detection.failures import Failures, Root
from trajectory.detection.provenance import provenance_of
from trajectory.detection.route import answer_spans
from trajectory.detection.spread import Spread
from trajectory.detection.spreading import Spreads
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.fact import Finding
from trajectory.model.words import SpanKind

_TOOLS = (SpanKind.TOOL, SpanKind.RETRIEVAL)
MAX_ROOTS_COUNT = 1000  # of one trace that are followed


class _Judged(NamedTuple):
    """A failure with the way that it took: as an exception, or by values, the one that went furthest first."""

    place: tuple[int, bytes]  # when it failed, and where: no two are equal, so these sort by time
    root: Root
    escape: Escape | None = None
    spreads: tuple[Spread, ...] = ()
    value: tuple[str, str] | None = None  # by which it went furthest, where it went by values
    passed: frozenset[bytes] = frozenset()  # spans on its way: those of them that failed, failed for this reason


class Cascades(Settling):
    """The detector of `cascade`."""

    name = KIND

    def __init__(self) -> None:
        self._failures: Failures | None = None
        self._followed: _Followed | None = None

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """Cascades as far as they have come. Costs what changed, and next to nothing while nothing failed."""
        if self._failures is None:
            self._failures = Failures(trace)
        failed = self._failures.refresh()
        if self._followed is None:
            if not self._failures:
                return ()
            self._followed = _Followed(self._failures, trace)
        return self._followed.refresh(failed)

    @property
    def standing(self) -> list[Finding]:
        """Every cascade as it was last told, by when its failure happened."""
        return self._followed.standing if self._followed is not None else []


class _Followed:
    """The failures of a trace with what is known of their ways, each judged again only where something of it changed."""

    def __init__(self, failures: Failures, trace: Trace) -> None:
        self._failures = failures
        self._trace = trace
        self._provenance = provenance_of(trace)
        self._escapes = Escapes(self._provenance, trace)
        self._spreads = Spreads(failures, self._provenance, trace)
        self._judged: dict[bytes, _Judged] = {}
        self._spread: dict[bytes, _Judged] = {}  # those that went on to others
        self._told: dict[bytes, tuple[_Judged, Finding]] = {}
        self._generation = -1
        self._answers: frozenset[bytes] = frozenset()

    def refresh(self, failed: set[bytes]) -> list[Finding]:
        """The cascades that are new, or told otherwise. `failed`: spans at which a failure began, or was got over."""
        self._provenance.refresh()
        structure = self._provenance.structure
        self._answers = answer_spans(self._trace, self._provenance.occurrences, structure)
        stale = failed | self._escapes.refresh() | self._spreads.refresh(failed, self._answers)
        if structure.generation != self._generation:
            self._generation = structure.generation
            stale.update(root.span.span_id for root in islice(self._failures, MAX_ROOTS_COUNT))
        for span_id in stale:
            root = self._failures.get(span_id)
            if root is not None and (span_id in self._judged or len(self._judged) < MAX_ROOTS_COUNT):
                judged = self._judged[span_id] = self._judge(root)
                self._spread.pop(span_id, None)
                if judged.escape or judged.spreads:
                    self._spread[span_id] = judged
            elif root is None and self._judged.pop(span_id, None) is not None:
                self._spread.pop(span_id, None)
                self._spreads.forget(span_id)
        return self._tell() if stale else []

    @property
    def standing(self) -> list[Finding]:
        return [finding for _, finding in self._told.values()]

    def _judge(self, root: Root) -> _Judged:
        place = (root.at_ns, root.span.span_id)
        if self._provenance.structure.carries(root.span) and (root.is_silent or self._escapes.is_passed_on(root)):
            return _Judged(place, root)  # a delegatee's answer, or its failure
        escape = self._escapes.judge(root)
        if escape is not None:
            return _Judged(place, root, escape, passed=frozenset(span.span_id for span in escape.path))
        spreads = tuple(self._spreads.judge(root))
        if not spreads:
            return _Judged(place, root)
        value, trail = spreads[0].value, spreads[0].trail
        passed = frozenset(occurrence.span.span_id for occurrence in trail)
        return _Judged(place, root, None, spreads, (value.kind, value.key), passed)

    def _tell(self) -> list[Finding]:
        """One cascade for each failure that spread, but none for what an earlier one brought about, and one for a value that
        several failures of one call led to; those that are new, or told otherwise."""
        escaped: set[bytes] = set()
        spoiled: set[bytes] = set()  # by a value: a tool's call, or whatever ended in an error
        followed: set[tuple[str, str]] = set()
        former, self._told = self._told, {}
        for judged in sorted(self._spread.values()):
            _, span_id = judged.place
            if span_id in escaped or (span_id in spoiled and _is_call(judged.root.span)):
                continue
            if judged.value is not None:
                if judged.value in followed:
                    continue
                followed.add(judged.value)
            (spoiled if judged.escape is None else escaped).update(judged.passed)
            known = former.get(span_id)
            self._told[span_id] = known if known is not None and known[0] is judged else (judged, self._finding(judged))
        return [told[1] for span_id, told in self._told.items() if former.get(span_id) is not told]

    def _finding(self, judged: _Judged) -> Finding:
        if judged.escape is not None:
            return escape_finding(judged.escape, self._provenance, self._trace)
        return spread_finding(judged.spreads, self._answers, self._provenance, self._trace)


def _is_call(span: Span) -> bool:
    """Whether a span is a tool's call, or ended in an error."""
    return span.is_error or span.kind in _TOOLS
