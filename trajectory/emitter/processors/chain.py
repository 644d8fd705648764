"""The way of facts from the queue to the outbox: what may leave the process, packed.

Invariant: nothing comes out that did not go through every step, and where redaction fails the content stays behind. Whole batches
without a suspicion are packed and looked at once, which is what makes this cheap. Called by the sender, on its thread.
"""

from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any

from trajectory.emitter.contents import Contents, Listing
from trajectory.emitter.identity import Identity
from trajectory.emitter.misuse import report
from trajectory.emitter.packing import Packing
from trajectory.emitter.plain import MAX_TEXT
from trajectory.emitter.plan import Plan
from trajectory.emitter.processors.bodies import Rewrites, preview_of
from trajectory.emitter.processors.deltas import Deltas
from trajectory.emitter.processors.facts import named
from trajectory.emitter.processors.redaction import Redaction
from trajectory.emitter.processors.sampling import Sampling
from trajectory.emitter.processors.users import Users, withhold
from trajectory.model import content
from trajectory.model.words import EVENT_DELTA
from trajectory.protocol.frames import GAP, HEARTBEAT, PAYLOAD

BATCH_COUNT = 128  # facts packed and looked at together, at most
BATCH_BYTES = MAX_TEXT * 3 // 4  # and about how long they may be together: above MAX_TEXT, one text may be too long
FEW = 8  # facts; so few are looked at one by one
WITHHELD = b"[withheld: redaction failed]"

Fact = tuple[Any, ...]
Packed = tuple[bytes, int]  # facts one behind the other, and how many they are
_DELTA_PACKED = bytes([0xA0 + len(EVENT_DELTA)]) + EVENT_DELTA.encode()
_CONTENTS = itemgetter(-1)


class Processing:
    """Processes and packs the facts of one process, as its plan says."""

    def __init__(self, plan: Plan, now_ns: Callable[[], int]) -> None:
        self._packing = Packing(now_ns)
        self._contents = Contents()
        self._listing = Listing()
        self._sampling = None if plan.sample_ratio >= 1 else Sampling(plan.sample_ratio, self._contents.forget)
        self._users = Users(plan.processors)
        self._redaction = None if plan.redact == "off" else Redaction(plan.redact == "personal")
        self._most_bytes = plan.max_body_bytes
        self._bodies = Rewrites()
        self._deltas = Deltas(self._text)
        self._batch_count = BATCH_COUNT // 4  # as many facts as are about BATCH_BYTES

    @property
    def held_count(self) -> int:
        """The facts that have come and will leave later, whatever comes. Those that sampling holds may never leave."""
        return len(self._deltas)

    def packed(self, facts: list[Fact]) -> Iterator[Packed]:
        """The facts as they leave, in their order, and no more than BATCH_COUNT together."""
        if self._sampling is None and not self._users and not any(map(_CONTENTS, facts)):
            return self._without_contents(facts)
        return self._with_contents(self._wanted(self._sampled(facts)))

    def rest(self) -> Iterator[Packed]:
        """What waited for more to come: asked for at the end of the process."""
        if self._sampling is not None:
            yield from self._with_contents(self._wanted(self._sampling.rest()))
        for fact in self._deltas.rest():
            yield self._packing.pack(fact), 1

    def forget_sent(self) -> None:
        """Bodies and lists travel anew from here on: the store that answers now may not have the earlier ones."""
        self._contents.forget_all()
        self._listing.forget_all()

    def identity(self, identity: Identity) -> Identity:
        """Who emits, without secrets in what a user says about the process."""
        redaction = self._redaction
        if redaction is None:
            return identity
        try:
            return identity._replace(resource=redaction.attributes(identity.resource))
        except Exception as fault:
            self._report(fault)
            return identity._replace(resource={})

    def _sampled(self, facts: Iterable[Fact]) -> Iterator[Fact]:
        """The facts behind their bodies, as far as sampling lets them pass. One by one, for it may forget a body."""
        told, sampling = self._contents.told, self._sampling
        for fact in facts:
            for one in told(fact):
                if sampling is None:
                    yield one
                else:
                    yield from sampling.passing(one)

    def _wanted(self, facts: Iterable[Fact]) -> Iterable[Fact]:
        """What users' processors leave of the facts."""
        if not self._users:
            return facts
        return (after for fact in facts if (after := self._users.applied(fact)) is not None)

    def _with_contents(self, facts: Iterable[Fact]) -> Iterator[Packed]:
        """Bodies one by one; facts by the digests that left, behind the lists that they need."""
        run: list[Fact] = []
        for fact in facts:
            for one in self._settled(fact):
                if one[0] != PAYLOAD:
                    run.append(one)
                    continue
                yield from self._without_contents(run)
                run = []
                yield self._packing.pack(one), 1
        yield from self._without_contents(run)

    def _settled(self, fact: Fact) -> Iterable[Fact]:
        """A body as it leaves; any other fact with the digests that left, behind the lists that it needs."""
        if fact[0] == PAYLOAD:
            return (self._body(fact),)
        if not fact[-1]:
            return (fact,)
        try:
            return self._listing.listed(self._bodies.fact(fact))
        except Exception:  # what a user's processor put in place of contents
            return (fact,)

    def _without_contents(self, facts: list[Fact]) -> Iterator[Packed]:
        """Facts whose contents are settled: as they are, where a look at many of them at once finds nothing to change."""
        at = 0
        while at < len(facts):
            batch = facts[at : at + self._batch_count]
            at += len(batch)
            if self._deltas:
                yield from self._apart(batch)
            else:
                yield from self._together(batch)

    def _together(self, batch: list[Fact]) -> Iterator[Packed]:
        """A batch at once; where there is something in it, in halves, so that few facts are looked at apart for one."""
        packed = self._packing.together(batch)
        if packed is not None:
            self._batch_count = max(FEW, min(BATCH_COUNT, BATCH_BYTES * len(batch) // len(packed)))
            if self._redaction is None or not (_DELTA_PACKED in packed or self._redaction.suspects(packed)):
                yield packed, len(batch)
                return
        if len(batch) <= FEW or self._deltas or (packed is not None and _DELTA_PACKED in packed):
            yield from self._apart(batch)
            return
        half = len(batch) // 2
        yield from self._together(batch[:half])
        yield from self._without_contents(batch[half:])

    def _apart(self, batch: list[Fact]) -> Iterator[Packed]:
        for fact in batch:
            for packed in self._one(fact):
                yield packed, 1

    def _one(self, fact: Fact) -> Iterator[bytes]:
        """One fact as it leaves, behind what waited for it."""
        packed = self._packing.pack(fact)
        if fact[0] in (HEARTBEAT, GAP):
            yield packed
            return
        try:
            if self._redaction is not None and self._deltas.takes(fact):
                yield from map(self._packing.pack, self._deltas.passing(fact))
                if _is_delta(fact):
                    return
            after = self._redacted(fact, packed)
        except Exception as fault:
            self._report(fault)
            known = named(fact)
            if known is None:
                return
            after = withhold(known)
        yield packed if after is fact else self._packing.pack(after)

    def _redacted(self, fact: Fact, packed: bytes) -> Fact:
        """The fact without what has to go; the very fact where nothing changes."""
        redaction = self._redaction
        # A long one may have been cut where it was packed, perhaps in the middle of a secret.
        if redaction is None or (len(packed) <= MAX_TEXT and not redaction.suspects(packed)):
            return fact
        return redaction.fact(fact)

    def _body(self, fact: Fact) -> Fact:
        """A body as it leaves, under the digest that it has then."""
        _, digest, media_type, data = fact
        try:
            redaction = self._redaction
            redacted = redaction.data(data) if redaction is not None and redaction.suspects(data) else data
            if redacted is data and not (self._most_bytes and len(data) > self._most_bytes):
                self._bodies.forget(digest)
                return fact
            body = preview_of(media_type, redacted, self._most_bytes or len(redacted))
        except Exception as fault:
            self._report(fault)
            body = preview_of(content.TEXT, WITHHELD, len(WITHHELD))
        self._bodies.put(digest, body)
        return (PAYLOAD, body.digest, body.media_type, body.data)

    def _text(self, text: str) -> str:
        return text if self._redaction is None else self._redaction.text(text)

    def _report(self, fault: Exception) -> None:
        report("redaction", "trajectory: redaction failed, so content stays behind: %s", type(fault).__name__)


def _is_delta(fact: Fact) -> bool:
    return len(fact) > 5 and fact[5] == EVENT_DELTA
