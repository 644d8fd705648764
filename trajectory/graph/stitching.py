"""Which traces are parts of one run: what caused which, how that is known, and why.

Invariant: what is said depends on the set of traces alone, not on the order in which they came; and nothing is said where two
traces would do. A span link is observed. Everything else is inferred: an id or a text that one call gave and one root took,
in one trace each. Then every other trace that could be the cause (an agent of it worked there too, at that time), and every
other that could be the effect, has to say otherwise by another id, session or process: a trace that looks alike and does not
say is an equally good candidate, and ids that a script repeats join nothing. Time never joins, it only rules out.

Called by whoever lists runs or shows one. Keeps at most `limit` traces, the latest ones.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from trajectory.graph.meanwhile import SKEW_NS, Meanwhile
from trajectory.graph.runs import Joint, Run, alone, runs_of
from trajectory.model.ends import End, Ends
from trajectory.model.words import Grade

MAX_TRACES = 5_000
_MOST_PLACES = 64  # what more traces gave is no id
_STRENGTH = ("message", "task", "call", "text", "made")
_REASONS = {
    "message": "one A2A message id on both sides",
    "task": "one A2A task id on both sides",
    "call": "one tool call id on both sides",
    "text": "asked for word for word by a call that waited",
    "made": "made there for this run and for no other",
}
_OWNED, _SESSION = "the only beginning in its session", ", in one session"


class Stitching:
    """The traces that may be joined, and the joints between them. One thread at a time."""

    def __init__(self, limit: int = MAX_TRACES) -> None:
        self._limit = limit
        self._ends: dict[bytes, Ends] = {}
        self._gives: dict[tuple[str, bytes], set[bytes]] = {}
        self._takes: dict[tuple[str, bytes], set[bytes]] = {}
        self._workers: dict[bytes, Meanwhile] = {}
        self._sessions: dict[bytes, set[bytes]] = {}
        self._runs: dict[bytes, Run] | None = {}
        self._floor_ns = 0  # traces that started before it are kept no more

    def __len__(self) -> int:
        return len(self._ends)

    def put(self, trace_id: bytes, ends: Ends) -> None:
        """What is known of a trace now."""
        if self._ends.get(trace_id) == ends:
            return
        self.forget(trace_id)
        if 0 < ends.started_ns < self._floor_ns:
            return
        self._ends[trace_id] = ends
        self._runs = None
        for index, keys in self._places(ends):
            for key in keys:
                index.setdefault(key, set()).add(trace_id)
        for worker in ends.workers:
            self._workers.setdefault(worker, Meanwhile()).add(trace_id, ends)
        if len(self._ends) > self._limit:
            self._make_room()

    def forget(self, trace_id: bytes) -> None:
        """The trace is gone."""
        ends = self._ends.pop(trace_id, None)
        if ends is None:
            return
        self._runs = None
        for index, keys in self._places(ends):
            for key in keys:
                index[key].discard(trace_id)
                if not index[key]:
                    del index[key]
        for worker in ends.workers:
            if self._workers[worker].remove(trace_id, ends):
                del self._workers[worker]

    def _places(self, ends: Ends) -> "list[tuple[dict[Any, set[bytes]], set[Any]]]":
        return [
            (self._gives, {(e.kind, e.key) for e in ends.gives if e.key}),
            (self._takes, {(e.kind, e.key) for e in ends.takes}),
            (self._sessions, {ends.session} if ends.session else set()),
        ]

    def _make_room(self) -> None:
        """Forgets an eighth of the traces, the earliest."""
        by_start = sorted(self._ends, key=lambda t: (self._ends[t].started_ns, t))
        for trace_id in by_start[: len(by_start) // 8 or 1]:
            self._floor_ns = max(self._floor_ns, self._ends[trace_id].started_ns)
            self.forget(trace_id)

    # --- causes ------------------------------------------------------------------------------------------------------------

    def causes(self, trace_id: bytes) -> list[Joint]:
        """What caused a trace, as far as that is known of the traces at hand."""
        ends = self._ends.get(trace_id)
        if ends is None:
            return []
        if ends.pointers:
            return self._linked(trace_id, ends)
        found: dict[bytes, Joint] = {}
        for kind in _STRENGTH:
            for end in ends.takes:
                joint = self._met(trace_id, ends, end) if end.kind == kind else None
                if joint is not None:
                    found.setdefault(joint.cause, joint)
        if not found:
            owned = self._owned(trace_id, ends)
            return [owned] if owned is not None else []
        return list(found.values()) if len(found) == 1 else []  # two ids that name two causes: neither is believed

    def _linked(self, trace_id: bytes, ends: Ends) -> list[Joint]:
        found: dict[bytes, Joint] = {}
        for pointer in ends.pointers:
            cause = self._ends.get(pointer.to_trace_id)
            if cause is not None and pointer.to_trace_id not in found:
                found[pointer.to_trace_id] = Joint(
                    pointer.to_trace_id, trace_id, Grade.OBSERVED, "a span link points there", pointer.to_span_id,
                    pointer.span_id, is_delegation=False,
                )  # fmt: skip
        return list(found.values())

    def _met(self, trace_id: bytes, ends: Ends, end: End) -> Joint | None:
        """The one call that gave what a root took, where no other trace could have given or taken it."""
        place = (end.kind, end.key)
        givers = self._gives.get(place, set()) - {trace_id}
        if end.kind == "made":
            return self._made(trace_id, end, givers)
        if len(givers) > _MOST_PLACES:
            return None
        candidates = [
            (cause, call)
            for cause in givers
            for call in self._ends[cause].gives
            if (call.kind, call.key) == place and self._is_only(cause, call, trace_id, end)
        ]
        if len({cause for cause, _ in candidates}) != 1:
            return None
        cause, call = min(candidates, key=lambda c: (c[1].start_ns, c[1].span_id))
        shared = bool(ends.session) and ends.session == self._ends[cause].session
        return Joint(
            cause, trace_id, Grade.INFERRED, _REASONS[end.kind] + (_SESSION if shared else ""), call.span_id, end.span_id,
            call.agent or self._ends[cause].agent, ends.agent, is_delegation=not call.is_counted,
        )  # fmt: skip

    def _is_only(self, cause: bytes, call: End, effect: bytes, end: End) -> bool:
        """Whether a call and a root can only be of each other. An agent that works on both sides is a team that runs twice."""
        one, other = self._ends[cause], self._ends[effect]
        if not _could_cause(call, one, other) or other.worker in one.workers:
            return False
        return not any(self._rivals(cause, call, effect)) and not any(self._twins(effect, end, cause, call))

    def _made(self, trace_id: bytes, end: End, givers: set[bytes]) -> Joint | None:
        """What was made for one run only: other traces of the process, or of the workflow, would be runs as good."""
        if len(givers) != 1 or len(self._takes.get((end.kind, end.key), ())) != 1:
            return None
        (cause,) = givers
        return Joint(
            cause, trace_id, Grade.INFERRED, _REASONS["made"], self._ends[cause].span_id, end.span_id, is_delegation=False
        )  # fmt: skip

    def _rivals(self, cause: bytes, call: End, effect: bytes) -> Iterator[bytes]:
        """Other traces that may have made the call: an agent of its trace worked there, and they do not say otherwise."""
        one, across = self._ends[cause], self._ends[effect]
        alike = (self._workers[worker].at(across.started_ns) for worker in one.workers)
        for rival in chain(*alike, self._gives[call.kind, call.key]):
            other = self._ends[rival]
            if (
                rival not in (cause, effect)
                and _ran_at(other, across.started_ns)
                and not _calls_otherwise(other, call)
                and not _told_apart(one, other, across)
            ):
                yield rival

    def _twins(self, effect: bytes, end: End, cause: bytes, call: End) -> Iterator[bytes]:
        """Other traces that the call may have caused: an agent of the effect worked there, and they do not say otherwise."""
        one, across = self._ends[effect], self._ends[cause]
        last_ns = (call.end_ns or across.last_ns or one.started_ns) + SKEW_NS
        alike = (self._workers[worker].begun(call.start_ns - SKEW_NS, last_ns) for worker in one.workers)
        for twin in chain(*alike, self._takes[end.kind, end.key]):
            other = self._ends[twin]
            if (
                twin not in (effect, cause)
                and _could_cause(call, across, other)
                and not _takes_otherwise(other, end)
                and not _told_apart(one, other, across)
            ):
                yield twin

    def _owned(self, trace_id: bytes, ends: Ends) -> Joint | None:
        """Where something must have caused a trace and nothing says what: the only one that began anything in its session."""
        if not (ends.is_answer and ends.session):
            return None
        session = [self._ends[t] for t in self._sessions[ends.session]]
        beginnings = [
            t for t in self._sessions[ends.session] if not self._ends[t].is_answer and not self._ends[t].pointers
        ]
        if len(beginnings) != 1 or self._ends[beginnings[0]].started_ns > ends.started_ns + SKEW_NS:
            return None
        (cause,) = beginnings
        begun = self._ends[cause]
        first_ns, last_ns = min(e.started_ns for e in session), max(e.last_ns or e.started_ns for e in session)
        for worker in {*begun.workers, *ends.workers}:  # one without a session may be a beginning as good
            if any(
                not self._ends[t].session for t in self._workers[worker].over(first_ns - SKEW_NS, last_ns + SKEW_NS)
            ):
                return None
        return Joint(cause, trace_id, Grade.INFERRED, _OWNED, begun.span_id, ends.span_id, is_delegation=False)

    # --- runs ---------------------------------------------------------------------------------------------------------------

    def run_of(self, trace_id: bytes) -> Run:
        """The run that a trace is a part of; it alone where nothing joins it to another."""
        if self._runs is None:
            self._runs = self._joined()
        return self._runs.get(trace_id) or alone(trace_id)

    def part_count(self) -> int:
        """How many traces are parts of a run whose root is another."""
        self.run_of(b"")
        return sum(run.root != trace_id for trace_id, run in (self._runs or {}).items())

    def _joined(self) -> dict[bytes, Run]:
        """Every run of more than one trace, by each of its traces."""
        joints = {t: found for t in self._joinable() if (found := self.causes(t))}
        return runs_of(
            joints, {t: self._ends[t].started_ns for found in joints.values() for j in found for t in j.ends}
        )

    def _joinable(self) -> Iterable[bytes]:
        """The traces that may have a cause: few, so that a list of runs that nothing joins costs next to nothing."""
        for trace_id, ends in self._ends.items():
            if (
                ends.pointers
                or (ends.is_answer and ends.session)
                or any((e.kind, e.key) in self._gives for e in ends.takes)
            ):
                yield trace_id


def _could_cause(call: End, cause: Ends, effect: Ends) -> bool:
    """Whether a call was open when a trace began; a call of which no end is known, while its trace was."""
    end_ns = call.end_ns or (effect.started_ns if cause.is_open else cause.last_ns)
    return call.start_ns - SKEW_NS <= effect.started_ns <= end_ns + SKEW_NS


def _ran_at(ends: Ends, at_ns: int) -> bool:
    return ends.started_ns - SKEW_NS <= at_ns and (ends.is_open or at_ns <= ends.last_ns + SKEW_NS)


def _calls_otherwise(other: Ends, call: End) -> bool:
    """Whether a trace says that it did not make a call: each call of that name says something else, or, where there is none,
    it is all there."""
    values: dict[bytes, list[bytes]] = {end.span_id: [] for end in other.gives if end.label == call.label}
    for end in other.gives:
        if end.kind == call.kind and end.span_id in values and end.key:
            values[end.span_id].append(end.key)
    if not values:
        return other.is_whole
    return all(keys and call.key not in keys for keys in values.values())


def _takes_otherwise(other: Ends, end: End) -> bool:
    keys = [taken.key for taken in other.takes if taken.kind == end.kind]
    return bool(keys) and end.key not in keys


def _told_apart(one: Ends, other: Ends, across: Ends) -> bool:
    """Whether one of two traces belongs to the trace across by its session, or by its process, and the other does not."""
    by_session = bool(across.session) and across.session == one.session and other.session not in (b"", one.session)
    by_process = bool(across.process) and across.process == one.process and other.process not in (b"", one.process)
    return by_session or by_process
