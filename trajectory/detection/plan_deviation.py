"""`plan.deviation`: steps of an agent's own plan that it left out or did in another order, and work that no step names.

Invariant: a plan is judged when its agent is done and others' facts had time to come, and only where it is written in the names
of work: a step that no tool, agent or span could show (think, compare, answer) is never missed. The last plan counts, and work
that was done before it; what an agent's delegatees do is its work too. What may be left out (if needed, optional), or was left
out after something failed, is for information, as is all work outside the plan. Called through the seam of `contract`.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice, pairwise
from typing import NamedTuple

from trajectory.detection.reader import Reader, reader_of
from trajectory.detection.sameness import UNDONE, folded, says
from trajectory.detection.words import shorten, stems
from trajectory.graph.invocation import Invocation
from trajectory.graph.pairing import target_named
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, descendants, tool_name
from trajectory.model.fact import Evidence, Fact, Finding, SpanEvent
from trajectory.model.words import EVENT_PLAN, Severity, Slot, SpanKind

KIND = "plan.deviation"
LATE_NS = 4_000_000_000  # facts of others may come so late
_MAX_STEPS_COUNT = 30
_NAME_WORDS_COUNT = 3  # a longer step is no name
_MAX_WORKS_COUNT = 1000
_MAX_TOLD_COUNT = 5  # findings of one kind about one plan
_MAX_AGENTS_COUNT = 256  # with a plan, in one trace
_UNSEEN = frozenset(
    stem
    for stem in stems(
        "answer reply respond think decide compare summarise summarize report conclude reflect plan finish analyse analyze "
        "evaluate present return deliver explain understand consider choose select rank draft combine merge synthesize "
        "synthesise reason wrap finalize finalise format done stop"
    )
)
_OPTIONAL = ("if ", "optional", "when needed", "as needed", "unless", "maybe", "perhaps", "possibly", "in case")
_WORKING = frozenset(
    k.value for k in (SpanKind.TOOL, SpanKind.RETRIEVAL, SpanKind.DELEGATION, SpanKind.AGENT, SpanKind.OTHER)
)


class _Work(NamedTuple):
    """Something done: `name` are the words of the tool's, agent's or span's name, `about` those of what it was given too."""

    span: Span
    name: frozenset[str]
    about: frozenset[str]


class _Step(NamedTuple):
    """A step of a plan, as written, and its words."""

    text: str
    words: frozenset[str]


class PlanDeviations:
    """The detector of `plan.deviation`."""

    name = KIND
    reads = (SpanEvent,)

    def __init__(self) -> None:
        self._planners: dict[bytes, None] = {}  # spans with a plan
        self._noticed_ns: dict[bytes, int] = {}  # by agent span, when it was first seen to be over
        self._read: dict[bytes, int] = {}  # by planner, the version of the trace at which its plan was judged

    def observe(self, fact: Fact, trace: Trace) -> Iterable[Finding]:
        """Notes who has a plan."""
        if isinstance(fact, SpanEvent) and fact.name == EVENT_PLAN and len(self._planners) < _MAX_AGENTS_COUNT:
            self._planners[fact.span_id] = None
        return ()

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """How the plans of agents that are done compare with what they did."""
        judged: set[int] = set()
        for span_id in self._planners:
            span = trace.spans.get(span_id)
            owner = span.owner if span is not None else None
            if owner is None or id(owner) in judged or self._read.get(span_id) == trace.told_version:
                continue
            if self._is_over(owner, now_ns, trace):
                judged.add(id(owner))
                self._read[span_id] = trace.told_version
                yield from _judged(owner, trace)

    def _is_over(self, owner: Invocation, now_ns: int, trace: Trace) -> bool:
        """Whether all that an agent did is known: its own work is over, and so is that of whom it passed control to."""
        passed_on = any(d.source is owner and d.is_transfer for d in trace.delegations())
        if not owner.end_ns or (passed_on and trace.open_count):
            return False
        since_ns = max(self._noticed_ns.setdefault(owner.span_id, now_ns), trace.last_ns if passed_on else owner.end_ns)
        return now_ns - since_ns >= LATE_NS or (not trace.open_count and now_ns <= trace.last_ns)


def _judged(owner: Invocation, trace: Trace) -> Iterator[Finding]:
    plans = [(e, s) for s in owner.spans.values() for e in s.events if e.name == EVENT_PLAN]
    event, span = max(plans, key=lambda p: (p[0].at_ns, p[1].span_id))
    reader = reader_of(trace)
    steps = _steps([d for digests in event.contents.values() for d in digests], reader)
    works = list(_works(owner, trace, reader))
    best = {w.span.span_id: max((_fit(step, w) for step in steps), default=0.0) for w in works}
    met = [[w for w in works if 0 < _fit(step, w) == best[w.span.span_id]] for step in steps]
    seen = [bool(m) for m in met]
    if len(steps) < 2 or 2 * sum(seen) < len([s for s in steps if not s.words <= _UNSEEN]) or sum(seen) < 2:
        return  # a plan in other words than those of the work
    is_failed = any(w.span.is_error for w in works) or owner.status == "error" or _says_undone(owner, reader)
    is_named = sum(any(w.name == step.words for w in m) for step, m in zip(steps, met, strict=True)) == sum(seen)
    offered = _offered(owner, trace, reader)
    for step, found in zip(steps, met, strict=True):
        if not found and not step.words & _UNSEEN:
            is_free = is_failed or any(word in step.text.casefold() for word in _OPTIONAL)
            is_clear = (is_named and len(step.text.replace("_", " ").split()) <= _NAME_WORDS_COUNT) or any(
                name <= step.words for name in offered
            )
            yield _finding(owner, span, step.text, "left out", is_clear and not is_free, works[-1:], trace)
    ordered = [(s, m) for s, m in zip(steps, met, strict=True) if m and sum(s.words == o.words for o in steps) == 1]
    for (one, first), (other, second) in pairwise(ordered):
        later = [w for w in first if w.span.start_ns >= event.at_ns]
        early = [w for w in second if w.span.start_ns >= event.at_ns]
        if later and early and len(later) == len(first) and _ended_before(early, later):
            yield _finding(
                owner, span, other.text, f"done before “{shorten(one.text, 60)}”", True, early[:1] + later[:1], trace
            )
    if all(seen) and not any(step.words <= _UNSEEN for step in steps):
        planned = {w.span.span_id for m in met for w in m}
        outside = [
            w
            for w in works
            if w.span.owner is owner
            and w.span.kind in ("tool", "delegation")
            and not any(s.span_id in planned for s in (w.span, *descendants(w.span)))  # whom it asked may do the step
        ]
        for work in outside[:_MAX_TOLD_COUNT]:
            yield _finding(owner, span, _name_of(work.span), "no step of the plan", False, [work], trace)


def _offered(owner: Invocation, trace: Trace, reader: Reader) -> set[frozenset[str]]:
    """The words of the names of tools that an agent was offered, and of agents and tools that its trace knows."""
    names = {name for name in trace.agents() if name != owner.agent} | set(trace.tools())
    for span in owner.spans.values():
        for digest in span.digests(Slot.TOOLS)[:1]:
            names |= _tool_names(reader.text(digest) or "")
    return {words for name in names if (words := frozenset(stems(name)))}


def _tool_names(text: str) -> set[str]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return set()
    tools = (
        each.get("function", each) for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)
    )
    return {str(tool["name"]) for tool in tools if isinstance(tool, dict) and "name" in tool}


def _ended_before(early: list[_Work], later: list[_Work]) -> bool:
    """Whether all of one step was over before anything of the other began."""
    return max(w.span.end_ns or w.span.last_ns for w in early) <= min(w.span.start_ns for w in later)


def _says_undone(owner: Invocation, reader: Reader) -> bool:
    """Whether any of an agent's calls came to nothing: a plan may end there."""
    results = (d for s in owner.spans.values() for d in s.digests(Slot.RESULT) + s.digests(Slot.RETURNED))
    return any(says(UNDONE, folded(reader, d)[:300]) for d in results)


def _steps(digests: list[bytes], reader: Reader) -> list[_Step]:
    """The steps of a plan that is a list: a text may be anything."""
    found: list[_Step] = []
    for digest in digests:
        text = reader.text(digest) or ""
        try:
            value = json.loads(text) if text.lstrip()[:1] == "[" else None
        except (ValueError, RecursionError):
            value = None
        for each in value[:_MAX_STEPS_COUNT] if isinstance(value, list) else ():
            said = (
                each
                if isinstance(each, str)
                else next((v for v in each.values() if isinstance(v, str)), "")
                if isinstance(each, dict)
                else ""
            )
            if words := frozenset(stems(said)):
                found.append(_Step(said, words))
    return found[:_MAX_STEPS_COUNT]


def _works(owner: Invocation, trace: Trace, reader: Reader) -> Iterator[_Work]:
    """What an agent did, what was done below it, and what those did to whom it passed control, by start; its own span is no
    work of its plan."""
    own = descendants(owner.span) if owner.span is not None else iter(owner.spans.values())
    passed = (
        below
        for d in trace.delegations()
        if d.source is owner and d.is_transfer and d.target_span is not None
        for below in (d.target_span, *descendants(d.target_span))
    )
    spans = dict.fromkeys(s for s in islice(chain(own, passed), _MAX_WORKS_COUNT) if s.kind in _WORKING)
    for span in sorted(spans, key=lambda s: s.order_key):
        name = stems(_name_of(span))
        name |= {word[:-cut] for word in name if word.endswith(("er", "or")) for cut in (1, 2)}  # a writer writes
        given = [d for slot in (Slot.ARGUMENTS, Slot.TASK) for d in span.digests(slot)]
        yield _Work(span, frozenset(name), frozenset(name).union(*(reader.stems(d) for d in given)))


def _name_of(span: Span) -> str:
    if span.kind == SpanKind.DELEGATION:
        return target_named(span) or span.name
    return tool_name(span) if span.kind == SpanKind.TOOL else span.agent or span.name


def _fit(step: _Step, work: _Work) -> float:
    """The share of a step's words that are those of some work: half at least, and one of its name or two; else 0."""
    shared = step.words & work.about
    is_meant = bool(step.words & work.name or len(shared) >= 2) and 2 * len(shared) >= len(step.words)
    return len(shared) / len(step.words) if is_meant else 0.0


def _finding(
    owner: Invocation, span: Span, value: str, what: str, is_certain: bool, shown: list[_Work], trace: Trace
) -> Finding:
    who = trace.label(owner)
    return Finding(
        kind=KIND,
        severity=Severity.WARNING if is_certain else Severity.INFO,
        confidence=0.7 if is_certain else 0.4,
        trace_id=trace.trace_id,
        span_id=shown[0].span.span_id if shown else span.span_id,
        message=f"{who} planned in steps, and “{shorten(value, 80)}” was {what}",
        agent=owner.agent,
        value=value[:300],
        root_span_id=span.span_id,
        path=[span.span_id, *(w.span.span_id for w in shown)],
        evidence=[Evidence(span.span_id, "the plan"), *(Evidence(w.span.span_id, _name_of(w.span)) for w in shown)],
        at_ns=owner.end_ns,
    )
