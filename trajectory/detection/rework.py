"""Which delegations do again what an earlier one did, and as what: a repeat, a retry, or work that was rejected and is redone.

Invariant: each delegation is at most one of the three, by the latest earlier delegation that it takes up. Pure, and bounded by
the `MAX_BACK_COUNT` earlier ones that it is compared with. Called by `effectiveness`; the words are those of `flow.duplicate`.

- `retry`: the like task failed before, or came to nothing; or the delegation is linked to it as its retry.
- `redo`: it was done, and is asked for once more of the same agent, as its task or the delegator says, about the same thing.
- `repeat`: it was done, nobody says why it is asked for again, and nothing new came back.
"""

from collections.abc import Iterator
from typing import NamedTuple

from trajectory.detection.duplicate import ALIKE_RATIO, repeats
from trajectory.detection.excuses import AGAIN, Excuses, Work
from trajectory.detection.reader import Reader, reader_of
from trajectory.detection.sameness import REDO, Text, alike, came_to_nothing, says, text_of
from trajectory.detection.words import stems
from trajectory.graph.delegations import Delegation
from trajectory.graph.roster import same_agent
from trajectory.graph.trace import Trace
from trajectory.model.words import LinkKind

REPEAT, RETRY, AGAIN_DONE = "repeat", "retry", "redo"
MAX_BACK_COUNT = 64
_SHARED_COUNT = 3  # stems, beside words of repetition, by which two tasks are of one thing


class Again(NamedTuple):
    """What a delegation does again, and as what."""

    kind: str
    first: Delegation


def rework_of(trace: Trace) -> dict[bytes, Again]:
    """The delegations that do something again, by their ids; those whose tasks were not captured are none, unless linked."""
    reader, asks = reader_of(trace), Excuses(trace)
    found: dict[bytes, Again] = {}
    before: list[Work] = []
    for delegation in trace.delegations():
        linked = _linked(delegation, before)
        if linked is not None:
            found[delegation.own_id] = Again(RETRY, linked)
        work = _work(delegation, reader)
        if work is None:
            continue
        if linked is None:
            again = next(_agains(work, before, asks), None)
            if again is not None:
                found[delegation.own_id] = again
        before.append(work)
    return found


def _work(delegation: Delegation, reader: Reader) -> Work | None:
    task = text_of(reader, delegation.task_digests())
    if task is None or not task.is_telling:
        return None
    return Work(delegation, task, text_of(reader, delegation.returned_digests()))


def _linked(delegation: Delegation, before: list[Work]) -> Delegation | None:
    """The delegation whose retry this is, as an emitter says."""
    links = {link.to_span_id for link in delegation.span.links if link.kind == LinkKind.RETRY_OF}
    return next((w.delegation for w in reversed(before) if w.delegation.delegation_id in links), None)


def _agains(work: Work, before: list[Work], asks: Excuses) -> Iterator[Again]:
    for first in reversed(before[-MAX_BACK_COUNT:]):
        one, other = first.delegation, work.delegation
        if asks.is_handed_on(one, other):
            continue
        if alike(work.task, first.task, ALIKE_RATIO) and _has_failed(first):
            yield Again(RETRY, one)
        elif _is_rejected(first, work, asks):
            yield Again(AGAIN_DONE, one)
        elif repeats(work, first, asks) and not asks.excuse(first, work):
            yield Again(REPEAT, one)


def _has_failed(first: Work) -> bool:
    one = first.delegation
    return one.state in ("failed", "lost") or (first.answer is not None and came_to_nothing(first.answer.plain))


def _is_rejected(first: Work, again: Work, asks: Excuses) -> bool:
    one, other = first.delegation, again.delegation
    if first.answer is None or not same_agent(one.target_agent, other.target_agent) or one.source is not other.source:
        return False
    if not one.returned_ns or other.sent_ns < one.returned_ns:
        return False
    if alike(again.task, first.task, ALIKE_RATIO):
        return asks.excuse(first, again) in AGAIN
    return says(REDO, again.task.plain) and _is_of_one_thing(first.task, again.task)


def _is_of_one_thing(first: Text, again: Text) -> bool:
    """Whether two tasks share a value, or words beside those that only say that something is to be done again."""
    about = {s for match in REDO.finditer(again.plain) for s in stems(match[0])}
    return bool(first.values & again.values) or len(first.stems & again.stems - about) >= _SHARED_COUNT
