"""The way of facts from the queue to the outbox: what may leave the process, packed.

Invariant: nothing comes out that did not go through every step, and where redaction fails the content stays behind. Whole batches
without a suspicion are packed and looked at once, which is what makes this cheap. Called by the sender, on its thread.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

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
from trajectory.emitter.queue import FlushMark
from trajectory.model import content
from trajectory.model.words import EVENT_DELTA
from trajectory.protocol.frames import GAP, HEARTBEAT, PAYLOAD

BATCH_COUNT = 64
BATCH_BYTES = 1024 * 1024
WITHHELD = b"[withheld: redaction failed]"

Fact = tuple[Any, ...]
_DELTA_PACKED = bytes([0xA0 + len(EVENT_DELTA)]) + EVENT_DELTA.encode()


class Processing:
    """Processes and packs the facts of one process, as its plan says."""

    def __init__(
        self,
        plan: Plan,
        now_ns: Callable[[], int],
        forget: Callable[[bytes], None] | None = None,
        queued: Callable[[], int] = lambda: 0,
    ) -> None:
        """`forget` makes the tracer send a body anew, `queued` is the length of the queue: sampling needs both."""
        self._packing = Packing(now_ns)
        self._sampling = (
            None if plan.sample_ratio >= 1 or forget is None else Sampling(plan.sample_ratio, forget, queued)
        )
        self._users = Users(plan.processors)
        self._redaction = None if plan.redact == "off" else Redaction(plan.redact == "personal")
        self._most_bytes = plan.max_body_bytes
        self._bodies = Rewrites()
        self._deltas = Deltas(self._text)
        self.failed_count = 0  # facts whose content was withheld because redaction failed

    @property
    def held_count(self) -> int:
        """The facts that have come and will leave later, whatever comes. Those that sampling holds may never leave."""
        return len(self._deltas)

    def packed(self, items: Iterable[Fact | FlushMark]) -> Iterator[bytes | FlushMark]:
        """The facts as they leave, in their order; a mark comes out behind everything that came before it."""
        run: list[Fact] = []
        for item in items:
            if isinstance(item, FlushMark):
                yield from self._processed(self._sampled(run))
                yield item
                run = []
            else:
                run.append(item)
        yield from self._processed(self._sampled(run))

    def _sampled(self, facts: list[Fact]) -> Iterable[Fact]:
        sampling = self._sampling
        return facts if sampling is None else (one for fact in facts for one in sampling.passing(fact))

    def _processed(self, facts: Iterable[Fact]) -> Iterator[bytes]:
        wanted, pack = iter(self._wanted(facts)), self._packing.pack
        while batch := list(islice(wanted, BATCH_COUNT)):
            yield from self._checked(batch, [pack(fact) for fact in batch])

    def rest(self) -> Iterator[bytes]:
        """What waited for more to come: asked for at the end of the process."""
        if self._sampling is not None:
            yield from self._processed(self._sampling.rest())
        yield from map(self._packing.pack, self._deltas.rest())

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

    def _wanted(self, facts: Iterable[Fact]) -> Iterable[Fact]:
        """What users' processors leave of the facts."""
        if not self._users:
            return facts
        return (after for fact in facts if (after := self._users.applied(fact)) is not None)

    def _checked(self, facts: list[Fact], packed: list[bytes]) -> Iterable[bytes]:
        """A batch as it leaves: as it was packed, where a look at all of it at once finds nothing to change."""
        size_bytes = sum(map(len, packed))
        suspicious = self._redaction is not None and self._is_suspicious(facts, packed, size_bytes)
        long = self._most_bytes and size_bytes > self._most_bytes
        if not (suspicious or long or self._bodies or self._deltas):
            return packed
        each = zip(facts, packed, strict=True)
        return (after for fact, before in each for after in self._one(fact, before, suspicious))

    def _is_suspicious(self, facts: list[Fact], packed: list[bytes], size_bytes: int) -> bool:
        """Whether one of the facts may hold something that has to go."""
        if size_bytes > BATCH_BYTES:
            return True  # each is looked at apart: together they would be a copy of much
        if size_bytes > MAX_TEXT and any(
            len(one) > MAX_TEXT and fact[0] != PAYLOAD for fact, one in zip(facts, packed, strict=True)
        ):
            return True  # packing has cut a text, perhaps in the middle of a secret
        together = b"".join(packed)
        return _DELTA_PACKED in together or (self._redaction is not None and self._redaction.suspects(together))

    def _one(self, fact: Fact, packed: bytes, suspicious: bool) -> Iterator[bytes]:
        """One fact as it leaves, behind what waited for it."""
        if fact[0] in (HEARTBEAT, GAP):
            yield packed
            return
        try:
            if self._redaction is not None and self._deltas.takes(fact):
                yield from map(self._packing.pack, self._deltas.passing(fact))
                if _is_delta(fact):
                    return
            after = self._after(fact, packed, suspicious)
        except Exception as fault:
            self._report(fault)
            after = self._withheld(fact)
        if after is fact:
            yield packed
        elif after is not None:
            yield self._packing.pack(after)

    def _after(self, fact: Fact, packed: bytes, suspicious: bool) -> Fact | None:
        """The fact as it may leave; the very fact where nothing changes."""
        if fact[0] == PAYLOAD:
            return self._body(fact, suspicious)
        return self._bodies.fact(self._redacted(fact, packed, suspicious))

    def _redacted(self, fact: Fact, packed: bytes, suspicious: bool) -> Fact:
        redaction = self._redaction
        if redaction is None or not suspicious or (len(packed) <= MAX_TEXT and not redaction.suspects(packed)):
            return fact
        return redaction.fact(fact)

    def _body(self, fact: Fact, suspicious: bool) -> Fact:
        _, digest, media_type, data = fact
        redacted = self._redaction.data(data) if self._redaction is not None and suspicious else data
        if redacted is data and not (self._most_bytes and len(data) > self._most_bytes):
            self._bodies.forget(digest)
            return fact
        body = preview_of(media_type, redacted, self._most_bytes or len(redacted))
        self._bodies.put(digest, body)
        return (PAYLOAD, body.digest, body.media_type, body.data)

    def _text(self, text: str) -> str:
        return text if self._redaction is None else self._redaction.text(text)

    def _withheld(self, fact: Fact) -> Fact | None:
        if fact[0] == PAYLOAD:
            body = preview_of(content.TEXT, WITHHELD, len(WITHHELD))
            self._bodies.put(fact[1], body)
            return (PAYLOAD, body.digest, body.media_type, body.data)
        known = named(fact)
        return None if known is None else self._bodies.fact(withhold(known))

    def _report(self, fault: Exception) -> None:
        self.failed_count += 1
        report("redaction", "trajectory: redaction failed, so content stays behind: %s", type(fault).__name__)


def _is_delta(fact: Fact) -> bool:
    return len(fact) > 5 and fact[5] == EVENT_DELTA
