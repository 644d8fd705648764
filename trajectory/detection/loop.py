"""`flow.loop`: one or more agents that go round in a circle without getting on.

Invariant: repetition alone is none. The whole turn must repeat: the same asked of the same, with the same coming back, three
times at least, and nobody told anything new between. What waits, looks on, or steps through something may repeat, as may a call
that failed, until it has failed five times; where the next try brought something else, it is for information. A loop keeps its
key while it grows. Called through the seam of `contract`.
"""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from trajectory.detection.contract import Settling
from trajectory.detection.failure_result import failure_in
from trajectory.detection.failure_text import is_empty_result
from trajectory.detection.moves import Move, States, sequences
from trajectory.detection.pace import Pace
from trajectory.detection.sameness import LOOKING, is_waiting, says
from trajectory.detection.spending import cost_in_words, spent_on
from trajectory.detection.words import WORD, shorten, stems
from trajectory.graph.trace import Trace
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import INPUT_TOKENS, OUTPUT_TOKENS, SYNTHETIC_TIME, Severity, SpanKind

KIND = "flow.loop"
MIN_TURNS_COUNT = 3
MIN_TRIES_COUNT = 5  # of a call that fails
MAX_PERIOD_COUNT = 8  # moves of one turn
_STEPPING = frozenset(
    WORD.findall(
        "wait sleep poll scroll next previous press click type key hover tap swipe log append ping heartbeat progress think note "
        "step tick noop pause delay page push pop emit send notify write save"
    )
)
_VOID_CHARS = 200
_TELLING_COUNT = 3  # stems; a mere “done” does not say how things stand


class _Run(NamedTuple):
    """Turns that repeat: `moves` from the first, `period` in each turn."""

    moves: list[Move]
    period: int
    after: Move | None

    @property
    def turn(self) -> list[Move]:
        return self.moves[: self.period]

    @property
    def turns_count(self) -> int:
        return len(self.moves) // self.period


class Loops(Settling):
    """The detector of `flow.loop`."""

    name = KIND

    def __init__(self) -> None:
        self._pace = Pace()
        self._states = States()

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """Circles that agents have gone round in, each as long as it is by now."""
        if not trace.has_contents or not self._pace.is_due(trace, now_ns):
            return
        found: dict[str, Finding] = {}
        for sequence in sequences(trace, self._states):
            for run in _runs(sequence):
                finding = _judged(run, trace)
                if finding is not None and finding.key not in found:
                    found[finding.key] = finding
        yield from found.values()


def _runs(sequence: list[Move | None]) -> Iterator[_Run]:
    """The runs of equal turns in a sequence, shortest period first, none inside another."""
    parts: list[list[Move]] = [[]]
    for move in sequence:
        if move is None:
            parts.append([])
        else:
            parts[-1].append(move)
    for part in parts:
        covered = 0  # up to here runs are told
        for period in range(1, min(MAX_PERIOD_COUNT, len(part) // MIN_TURNS_COUNT) + 1):
            equal = 0
            for at in range(period, len(part) + 1):
                if at < len(part) and part[at].state == part[at - period].state:
                    equal += 1
                    continue
                if equal >= period * (MIN_TURNS_COUNT - 1) and at - equal - period >= covered:
                    first = at - equal - period
                    whole = (equal + period) // period * period
                    yield _Run(part[first : first + whole], period, part[at] if at < len(part) else None)
                    covered = at
                equal = 0


def _judged(run: _Run, trace: Trace) -> Finding | None:
    """What is to be said of a run; None where it does not say how things stand, or may go on."""
    turn = run.turn
    failed = [m for m in turn if m.span.is_error or failure_in(m.came) is not None or _is_void(m)]
    if all(_may_repeat(m) for m in turn if m not in failed) and len(failed) < len(turn):
        return None
    if len(failed) == len(turn) and run.turns_count < MIN_TRIES_COUNT:
        return None
    went_on = run.after is not None and run.after.request == turn[0].request and run.after.name == turn[0].name
    return _finding(run, went_on, trace)


def _is_void(move: Move) -> bool:
    """Whether a tool looked for something and found nothing: JSON in which all that holds anything is empty."""
    text = move.came.strip()
    if not move.is_tool or is_empty_result(text):
        return move.is_tool and bool(text)
    if text[:1] not in ("{", "[") or len(text) > _VOID_CHARS:
        return False
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    held = value.values() if isinstance(value, dict) else value
    return all(each in ([], {}, None, "", 0, False) for each in held)


def _may_repeat(move: Move) -> bool:
    """Whether a move may be made again and again as it is: it waits, looks on, steps on, or says nothing of how things stand."""
    if move.is_tool and not _STEPPING.isdisjoint(stems_of_name(move.name)):
        return True
    if is_waiting(move.came):
        return True
    if move.delegation is None and not move.is_tool:  # a turn of talk
        return len(stems(move.came)) < _TELLING_COUNT
    if move.delegation is not None:
        words_count = len(stems(move.came))
        return words_count < _TELLING_COUNT or (says(LOOKING, move.came) and words_count < 4 * _TELLING_COUNT)
    return len(stems(move.came)) < _TELLING_COUNT


def stems_of_name(name: str) -> set[str]:
    """The words of a tool's name."""
    spaced = "".join(f" {c.lower()}" if c.isupper() else c if c.isalnum() else " " for c in name[:200])
    return set(spaced.split())


def _finding(run: _Run, went_on: bool, trace: Trace) -> Finding:
    turn, last = run.turn, run.moves[-1]
    agents = list(dict.fromkeys(name for m in turn for name in (m.who, *(() if m.is_tool else (m.name,))) if name))
    way = " → ".join([m.name for m in turn] if turn[0].is_tool or turn[0].who == turn[0].name else _way(turn))
    who = " and ".join(agents[:6]) or "somebody"
    again = run.moves[run.period :]
    message = (
        f"{who} went round {run.turns_count} times without anything new: {shorten(way, 120)}; "
        f"the turns after the first cost {_cost(again, trace)}{'; then it went on' if went_on else ''}"
    )
    return Finding(
        kind=KIND,
        severity=Severity.INFO if went_on else Severity.WARNING,
        confidence=0.5 if went_on else min(0.7 + 0.05 * (run.turns_count - MIN_TURNS_COUNT), 0.95),
        trace_id=trace.trace_id,
        span_id=last.span.span_id,
        message=message,
        agent=turn[0].who,
        peer_agent=next((name for name in agents if name != turn[0].who), ""),
        value=shorten(way, 300),
        root_span_id=run.moves[0].span.span_id,
        path=[m.span.span_id for m in run.moves[: run.period * MIN_TURNS_COUNT]],
        evidence=[Evidence(m.span.span_id, shorten(f"{m.name}: {m.came}" if m.came else m.name)) for m in _shown(run)],
        grade=str(last.delegation.grade) if last.delegation is not None else "observed",
        at_ns=last.span.end_ns or last.span.start_ns,
    )


def _way(turn: list[Move]) -> list[str]:
    names = [turn[0].who]
    for move in turn:
        names += [move.name] if names[-1] == move.who else [move.who, move.name]
    return names if names[-1] == names[0] else [*names, names[0]]


def _shown(run: _Run) -> list[Move]:
    """One move of each kind at the beginning of the run, and the same at its end."""
    return [*run.turn[:4], *run.moves[-run.period :][:4]]


def _cost(again: list[Move], trace: Trace) -> str:
    given = [m.delegation for m in again if m.delegation is not None]
    if given and len(given) == len(again):
        return spent_on(given, trace)
    first, last = again[0].span, again[-1].span
    until_ns = last.end_ns or last.start_ns
    owners = {id(m.span.owner): m.span.owner for m in again}
    spans = [s for owner in owners.values() if owner is not None for s in owner.spans.values()]
    models = [s for s in spans if s.kind == SpanKind.MODEL and first.start_ns <= s.start_ns <= until_ns]
    tokens = sum(int(s.number(INPUT_TOKENS) + s.number(OUTPUT_TOKENS)) for s in models)
    seconds = 0.0 if first.attributes.get(SYNTHETIC_TIME) else (until_ns - first.start_ns) / 1e9
    return cost_in_words(tokens, seconds)
