"""Which values carried each failure of a trace on: what is asked about, and what is asked again when the trace grows.

Invariant: a failure is judged again when a value, an agent or a final answer that it was judged by has changed, so in the end the
order in which facts came decides nothing. Called by the cascade detector; `spread` says whether a value carried a failure on.
"""

import re
from bisect import bisect_left

from trajectory.detection.failures import Failures, Root
from trajectory.detection.items import Item, items_in
from trajectory.detection.occurrences import RETURNED, Doings, Occurrence, Owner
from trajectory.detection.provenance import Provenance
from trajectory.detection.reader import Reader, reader_of
from trajectory.detection.silent_failure import is_tool_work, result_text
from trajectory.detection.spread import TOOLS, Spread, SpreadJudge, asked_for, said_after
from trajectory.graph.echoes import is_failed, tellings
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace

_MAX_SAID_COUNT = 12
_MAX_VALUES_COUNT = 40
_MAX_SUBSTITUTES_COUNT = 4
_MAX_LOOKED_COUNT = 64  # calls after a failed one
_ALWAYS_NS = 1 << 80
_LONG_COUNT = 64  # occurrences of a value
_CODE = re.compile(r"```[^`]*(?:```|$)")


class Spreads:
    """The ways of a trace's failures, each judged again when what it was judged by has changed."""

    def __init__(self, failures: Failures, provenance: Provenance, trace: Trace) -> None:
        self._failures = failures
        self._provenance = provenance
        self._trace = trace
        self._interest = provenance.interest()
        self._owners: dict[bytes, Owner] = {}
        self._judged_until_ns: dict[Owner, dict[bytes, int]] = {}  # what an agent did later says nothing of the failure
        self._returning: dict[Owner, set[bytes]] = {}  # delegator → failures of those whose answers only it shows
        self._delegators: dict[bytes, set[Owner]] = {}
        self._sizes: dict[bytes, int] = {}  # how often a failure's values occur
        self._answers: frozenset[bytes] = frozenset()

    def refresh(self, failed: set[bytes], answers: frozenset[bytes]) -> set[bytes]:
        """The failures that are to be judged again. At `failed` one began, or was got over; `answers` give the final answer."""
        concerned = failed | (answers ^ self._answers)
        returning = [] if answers == self._answers else [span_id for ids in self._returning.values() for span_id in ids]
        self._answers = answers
        for span in [self._trace.spans[span_id] for span_id in concerned if span_id in self._trace.spans]:
            for occurrence in self._provenance.occurrences.told_by(span):
                self._interest.doubted.update(self._interest.payloads.get(occurrence.digest, ()))
        stale, self._interest.doubted = self._interest.doubted, set()
        stale.update(returning)
        stale.update([who for who, count in self._interest.stale.items() if self._is_ripe(who, count)])
        for who in stale:
            self._interest.stale.pop(who, None)
        owners, self._interest.owners = self._interest.owners, {}
        for owner, from_ns in owners.items():
            judged = self._judged_until_ns.get(owner, {})
            stale.update(span_id for span_id, until_ns in judged.items() if from_ns <= until_ns)
            stale |= self._returning.get(owner, set())
        return stale

    def _is_ripe(self, span_id: bytes, heard_count: int) -> bool:
        """Whether enough was heard of a failure's values: where they are everywhere, not each time of a live trace is one."""
        size = self._sizes.get(span_id, 0)
        return size < _LONG_COUNT or heard_count >= size // 8 or not self._trace.open_count

    def judge(self, root: Root) -> list[Spread]:
        """The values that carried a failure on, the one that went furthest first; none that was owned up to."""
        self.forget(root.span.span_id)
        owner = root.span.owner
        if owner is None or self._failures.is_repeated(root):
            return []
        doings = self._provenance.occurrences.doings(owner)
        said = said_after(doings.sayings, owner, root.at_ns, _MAX_SAID_COUNT)
        returned = [] if said else self._returned(root, owner)
        stand_ins, until_ns = self._stand_ins(root, doings)
        until_ns = max(until_ns, said[-1].at_ns if len(said) == _MAX_SAID_COUNT else _ALWAYS_NS)
        self._owners[root.span.span_id] = owner
        self._judged_until_ns.setdefault(owner, {})[root.span.span_id] = until_ns
        judge = SpreadJudge(
            root, owner, self._failures, stand_ins, self._answers, self._trace, self._provenance, returned
        )
        found: list[Spread] = []
        for value in _candidates(said or returned, reader_of(self._trace)):
            early = self._provenance.first_before(value, root.at_ns)
            if early is not None and not judge.is_outdated_at(value, early):
                self._interest.witnesses.setdefault(early.digest, set()).add(root.span.span_id)
                continue
            trail = self._provenance.trail(value)
            self._sizes[root.span.span_id] = max(self._sizes.get(root.span.span_id, 0), len(trail))
            self._provenance.watch(self._interest, root.span.span_id, value)
            spread = judge.spread(value, trail) if trail else None
            found += [spread] if spread is not None else []
        found.sort(key=lambda s: (not s.surfaced, -s.owners, -s.confidence, s.said.at_ns, s.value.kind, s.value.key))
        return found

    def _returned(self, root: Root, owner: Invocation) -> list[Occurrence]:
        """What an agent answered after a failure, as its delegators got it."""
        found: list[Occurrence] = []
        for delegation in self._provenance.structure.given_to(owner)[-_MAX_SAID_COUNT:]:
            self._returning.setdefault(delegation.source, set()).add(root.span.span_id)
            self._delegators.setdefault(root.span.span_id, set()).add(delegation.source)
            told_by = (o for s in tellings(delegation.span) for o in self._provenance.occurrences.told_by(s))
            found += [o for o in told_by if o.role == RETURNED and o.at_ns >= root.at_ns]
        return found

    def forget(self, span_id: bytes) -> None:
        """A failure that is to be judged anew, or is none any more."""
        for delegator in self._delegators.pop(span_id, ()):
            self._returning[delegator].discard(span_id)
        self._sizes.pop(span_id, None)
        self._judged_until_ns.get(self._owners.pop(span_id, None), {}).pop(span_id, None)

    def _stand_ins(self, root: Root, doings: Doings) -> tuple[list[Span], int]:
        """Calls after a failed one that asked for the same thing elsewhere, and were answered; and until when was looked."""
        if root.span.kind not in TOOLS:
            return [], 0
        reader = reader_of(self._trace)
        wanted = asked_for(root.span, reader)
        found: list[Span] = []
        begin = bisect_left(doings.calls, (root.at_ns, b""))
        looked = doings.calls[begin : begin + _MAX_LOOKED_COUNT]
        for at_ns, span_id in looked:
            span = self._trace.spans[span_id]
            if self._failures.get(span_id) is not None or is_failed(span) or not is_tool_work(span):
                continue
            if result_text(span, self._trace) is not None and wanted & asked_for(span, reader):
                found.append(span)
                if len(found) == _MAX_SUBSTITUTES_COUNT:
                    return found, at_ns
        return found, looked[-1][0] if len(looked) == _MAX_LOOKED_COUNT else _ALWAYS_NS


def _candidates(said: list[Occurrence], reader: Reader) -> list[Item]:
    """Values that the agent said after the failure and that cannot be met by chance; names in code are the author's own."""
    found: dict[tuple[str, str], Item] = {}
    for occurrence in said:
        text = reader.text(occurrence.digest) or ""
        for item in items_in(_CODE.sub(" ", text)) if "```" in text else reader.items(occurrence.digest):
            if item.is_distinctive and len(found) < _MAX_VALUES_COUNT:
                found.setdefault((item.kind, item.key), item)
    return list(found.values())
