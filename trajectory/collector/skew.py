"""Clocks of hosts that differ: how far an emitter's is from ours, and its facts as our clock would have dated them.

Invariant: facts stay stored as they came; what is to be added to their times is said in the resource of their source, under one
reserved key, so that every later fold corrects them alike. Pure. The intake notes, whoever folds corrects, health says it.

A HELLO says when it was sent, and the intake knows when it came: the difference is the skew and the way, which can make a
clock look behind but never ahead. One that is only a little off is let be: the way alone would move it.
"""

from typing import Any

import msgspec

from trajectory.errors import WireError
from trajectory.model.fact import Batch, Fact, Found, Gap, Marked, Source
from trajectory.model.words import CLOCK_OFFSET
from trajectory.protocol import codec, frames
from trajectory.protocol.codec import HelloFrame

AHEAD_NS = 250_000_000
BEHIND_NS = 1_000_000_000  # a HELLO may have waited for a busy collector
STEADY_NS = 1_000_000_000  # two estimates of one clock may differ by so much
_MAX_NS = 1 << 62
_OURS = ("sequence", "journal_damaged")  # gaps that a collector found


def offset_of(resource: dict[str, Any]) -> int:
    """What is to be added to the times of a source, in nanoseconds: positive where its clock is behind ours, else 0."""
    offset_ns = resource.get(CLOCK_OFFSET, 0)
    return offset_ns if type(offset_ns) is int and abs(offset_ns) < _MAX_NS else 0


def estimate(sent_at_ns: int, received_at_ns: int, before_ns: int = 0) -> int:
    """The offset of a clock that read `sent_at_ns` when ours read `received_at_ns`, or a little before; 0 where it is right.

    An earlier estimate stands until this one says that the clock was set since: what began before must not end before it.
    """
    offset_ns = received_at_ns - sent_at_ns
    if before_ns and abs(offset_ns - before_ns) < STEADY_NS:
        return before_ns
    return offset_ns if offset_ns >= BEHIND_NS or offset_ns <= -AHEAD_NS else 0


def noted(hello: HelloFrame, body: bytes, received_at_ns: int, before: bytes = b"") -> bytes:
    """A HELLO, whose bytes are `body`, as it is kept: with the offset of its clock, where it has one, in the resource.

    `before` is the HELLO of the same boot that was kept before this one. An emitter that does not say when it sent is believed.
    """
    if not hello.sent_at_ns:
        return body
    offset_ns = estimate(hello.sent_at_ns, received_at_ns, _offset_in(before))
    resource = {key: value for key, value in hello.resource.items() if key != CLOCK_OFFSET}
    if offset_ns:
        resource[CLOCK_OFFSET] = offset_ns
    return frames.hello(hello.emitter_id, hello.boot_id, resource, hello.next_seq)


def corrected(batch: Batch) -> Batch:
    """The batch with its times as our clock would have told them; the very batch where its source's clock is right."""
    offset_ns = offset_of(batch.source.resource)
    if not offset_ns:
        return batch
    return Batch(batch.source, batch.first_seq, [_moved(fact, offset_ns) for fact in batch.facts])


def host_of(source: Source) -> str:
    """Whose clock it is."""
    return str(source.resource.get("host.name") or source.service or "an emitter")


def said(host: str, offset_ns: int) -> str:
    """One sentence for an operator."""
    amount_s = abs(offset_ns) / 1e9
    amount = (
        f"{amount_s:.1f} s" if amount_s < 10 else f"{amount_s:.0f} s" if amount_s < 600 else f"{amount_s / 60:.0f} min"
    )
    return f"clock of {host} is {amount} {'behind' if offset_ns > 0 else 'ahead'}: its times are corrected"


def _moved(fact: Fact, offset_ns: int) -> Fact:
    """A fact at its corrected time, unless it was not the emitter that dated it."""
    at_ns = getattr(fact, "at_ns", 0)
    if not at_ns or isinstance(fact, (Found, Marked)) or (isinstance(fact, Gap) and fact.reason in _OURS):
        return fact
    return msgspec.structs.replace(fact, at_ns=min(max(1, at_ns + offset_ns), _MAX_NS))


def _offset_in(hello: bytes) -> int:
    try:
        frame = codec.read_frame(hello) if hello else None
    except WireError:
        return 0
    return offset_of(frame.resource) if isinstance(frame, HelloFrame) else 0
