"""`context.leaked`: a secret, a canary or a personal datum crossed to an agent, a tool or a reader that has no need of it.

Invariant: no finding holds the thing itself, only its kind, its length and the beginning of its digest; quotes are redacted. Need
is judged by use: a field that is made for a secret may hold one, an agent whose tools take one may be given it, a task may say
what it is for, and what the request itself holds may go where the request's work is done. Called through the seam of `contract`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from trajectory.detection.boundary import boundary_of, is_ripe
from trajectory.detection.reader import Reader
from trajectory.detection.secrets import Secret, names_one, redacted, secrets_in
from trajectory.detection.timeline import ARGUMENT, GIVEN, SAID, SHOWN, Entry, Timeline, Walks
from trajectory.detection.words import around, shorten, stems
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import Severity, Slot

KIND = "context.leaked"
MAX_CROSSED_COUNT = 500  # secrets of one trace
MAX_READ_COUNT = 20_000  # payloads of one trace that are looked through
_OUTWARD = stems(
    "search post send mail email publish comment tweet message share upload log note write store memory remember save notify"
)
_RUNS_CODE = stems(
    "bash shell exec execute run python code command terminal sql query connect login sign authenticate auth http request curl"
)
_TAKES = frozenset(stems("key token password passwd secret credential credentials auth authorization passphrase pin"))
_PERSONAL_NAMES = stems("card iban account number ssn pan payment bank social security id identifier tax")
_IS_FOR_USE = re.compile(
    r"\b(?:us(?:e|ing)|with|log(?:ging)? in|sign in|authenticat\w{1,4}|authoriz\w{1,4}|unlock|decrypt|connect|credentials? for|"
    r"pay|charge|transfer|refund|debit)\b",
    re.I,
)
_USE_CHARS = 80


class LeakedSecrets(Walks["_Walk"]):
    """The detector of `context.leaked`."""

    name = KIND

    def begun(self, reader: Reader, spans: Mapping[bytes, Span]) -> "_Walk":
        return _Walk(reader)

    def found(self, walk: "_Walk", timeline: Timeline, reader: Reader, trace: Trace) -> Iterator[Finding]:
        """What crossed to where it is not needed."""
        for secret, entry in walk.crossed(timeline.answer):
            if _is_leak(secret, entry, timeline, reader, trace):
                yield _finding(secret, entry, timeline, reader, trace)


class _Walk:
    """Looks through what went to others for what is not for everybody."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._read: dict[bytes, list[Secret]] = {}
        self._crossed: list[tuple[Secret, Entry]] = []

    def take(self, entry: Entry) -> None:
        if entry.role in (GIVEN, ARGUMENT) and len(self._crossed) < MAX_CROSSED_COUNT:
            self._crossed += [(secret, entry) for secret in self._secrets(entry.digest)]

    def crossed(self, answer: Entry | None) -> list[tuple[Secret, Entry]]:
        """What went to a tool, to another agent, or to whoever asked for the run."""
        last = [(secret, answer) for secret in self._secrets(answer.digest)] if answer is not None else []
        return [*self._crossed, *last]

    def _secrets(self, digest: bytes) -> list[Secret]:
        known = self._read.get(digest)
        if known is None:
            text = self._reader.text(digest)
            if text is None or len(self._read) >= MAX_READ_COUNT:
                return []
            known = self._read[digest] = secrets_in(text)
        return known


def _is_leak(secret: Secret, entry: Entry, timeline: Timeline, reader: Reader, trace: Trace) -> bool:
    text = reader.text(entry.digest) or ""
    asked = _asked_with(secret, timeline, reader)
    if entry.role == SAID:
        return not asked and _is_instruction(_origin(secret, entry, timeline, reader), trace)
    if entry.role == ARGUMENT:
        return _is_leaked_to_tool(secret, tool_name(trace.spans[entry.span_id]), text, asked)
    if asked or _is_said_to_be_used(secret, text):
        return False
    delegation = next((d for d in trace.delegations() if d.delegation_id == entry.span_id), None)
    if delegation is None or not is_ripe(delegation):
        return False  # what the delegatee may need it for shows when it begins
    takes = _PERSONAL_NAMES if secret.is_personal else _TAKES
    return not any(name & takes for name in boundary_of(delegation, trace).parameters)


def _is_leaked_to_tool(secret: Secret, tool: str, text: str, asked: str) -> bool:
    """Whether a tool's call holds a secret in a field that is not made for one."""
    field = _field_of(secret.text, text)
    words = stems(field)
    if secret.is_personal and words & _PERSONAL_NAMES:
        return False
    if names_one(field) or words & _TAKES:
        return False
    does = stems(tool)
    if asked:
        return bool(does & _OUTWARD) and not does & stems(asked)
    return not does & _RUNS_CODE


def _is_said_to_be_used(secret: Secret, text: str) -> bool:
    before = text[max(secret.start - _USE_CHARS, 0) : secret.start]
    after = text[secret.start + len(secret.text) : secret.start + len(secret.text) + _USE_CHARS]
    sentence = f"{re.split(r'[.!?](?=[ ])', before)[-1]} {re.split(r'[.!?](?=[ ]|$)', after)[0]}"
    return _IS_FOR_USE.search(sentence) is not None


def _asked_with(secret: Secret, timeline: Timeline, reader: Reader) -> str:
    """What people asked for, where it holds the secret: the sentences about it; else empty. An agent's task is no person's."""
    for entry in timeline.entries:
        if entry.role == SHOWN and timeline.given_to(entry.owner) is None:
            asked = reader.asked(entry.digest)
            at = asked.find(secret.text)
            if at >= 0:
                return asked[max(at - 200, 0) : at + len(secret.text) + 200].replace(secret.text, " ") or " "
    return ""


def _origin(secret: Secret, crossing: Entry, timeline: Timeline, reader: Reader) -> Entry | None:
    """Where it first stood, before it crossed."""
    before = takewhile(lambda e: e != crossing, timeline.entries)
    return next((e for e in before if secret.text in (reader.text(e.digest) or "")), None)


def _is_instruction(entry: Entry | None, trace: Trace) -> bool:
    """Whether it stood among what an agent was told to know and not to say."""
    if entry is None or entry.role != SHOWN:
        return False
    return entry.digest not in trace.spans[entry.span_id].digests(Slot.TASK)


def _field_of(said: str, text: str) -> str:
    """The name of the field of JSON arguments that holds a text; empty where it has none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    pending: list[tuple[str, Any]] = [("", value)]
    while pending:
        name, held = pending.pop()
        if isinstance(held, dict):
            pending.extend((str(k), v) for k, v in held.items())
        elif isinstance(held, list):
            pending.extend((name, v) for v in held)
        elif said in str(held):
            return name
    return ""


def _finding(secret: Secret, entry: Entry, timeline: Timeline, reader: Reader, trace: Trace) -> Finding:
    who = trace.span_label(trace.spans[entry.span_id]) or "an agent"
    delegation = timeline.delegation(entry.span_id)
    if entry.role == ARGUMENT:
        where = f"the tool {shorten(tool_name(trace.spans[entry.span_id]), 40)}"
    elif entry.role == SAID:
        where = "whoever asked"
    else:
        where = (delegation.target_agent if delegation is not None else "") or "another agent"
    origin = _origin(secret, entry, timeline, reader)
    held = [e for e in (origin, entry) if e is not None]
    return Finding(
        kind=KIND,
        severity=Severity.CRITICAL if secret.kind == "canary" or not secret.is_personal else Severity.WARNING,
        confidence=0.9,
        trace_id=trace.trace_id,
        span_id=entry.span_id,
        message=f"{who} gave {where} a {secret.name}, which has no use for it there",
        agent=trace.spans[entry.span_id].agent_name,
        peer_agent=delegation.target_agent if delegation is not None else "",
        value=secret.name,
        root_span_id=held[0].span_id,
        path=list(dict.fromkeys(e.span_id for e in held)),
        evidence=[Evidence(e.span_id, _quote(secret, reader.text(e.digest) or "")) for e in held],
        at_ns=entry.at_ns,
    )


def _quote(secret: Secret, text: str) -> str:
    """The words about a secret, without it and without any other."""
    others = [s for s in secrets_in(text) if s.text not in secret.text]
    said = redacted(text, [secret, *others])
    at = max(said.find(f"[{secret.kind.replace('_', ' ')}]"), 0)
    return around(said, at, at + 8)
