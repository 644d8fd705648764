"""The messages on the wire, as plain tuples, and how an emitter packs them.

Invariant: `[PROTOCOL_VERSION, type, ...]` in every direction, so a peer of another version is told so and not guessed at.
Called by the emitter (write) and by whoever answers it; loads msgpack and the standard library, nothing else.

    emitter → collector   HELLO  [1, "hello", emitter_id, boot_id, resource, next_seq, sent_at_ns]
                          FACTS  [1, "facts", emitter_id, boot_id, first_seq, [fact, ...]]
                          BYE    [1, "bye", emitter_id, boot_id, next_seq]
    collector → emitter   ACK    [1, "ack", boot_id, next_seq, window]     everything below next_seq is stored
                          REFUSED [1, "refused", reason]
    watcher → collector   ASK    [1, "ask", request_id, since_version, query]
                          TELL   [1, "tell", request_id, marked]
    collector → watcher   ANSWER [1, "answer", request_id, view]     nil where nothing changed

A HELLO is answered by an ACK too: it says where the collector's store ends for this (emitter, boot), so a reconnecting
emitter resends exactly the rest. Its `sent_at_ns` tells how far two hosts' clocks are apart; it may be left out. A fact is an
array that starts with its tag (`trajectory.model.fact`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgpack

PROTOCOL_VERSION = 1
MAX_FACTS = 256
MAX_FRAME_BYTES = 16 * 1024 * 1024
MAX_DEPTH = (
    64  # of a value in a fact: every reader recurses, each from a depth of its own, and all must read what is stored
)
MAX_VALUES = 1 << 18  # in a fact, those that are nested counted too: a value of one byte takes sixty in memory
MAX_FACT_BYTES = 4 * 1024 * 1024  # of a fact that is no body; what an exporter of OTLP sends at once by itself
MAX_HELLO_BYTES = 1024 * 1024
WINDOW_FRAMES = 64
DEFAULT_ENDPOINT = "tcp://127.0.0.1:5570"

HELLO = "hello"
FACTS = "facts"
BYE = "bye"
ACK = "ack"
REFUSED = "refused"
ASK = "ask"
TELL = "tell"
ANSWER = "answer"

# Tags of facts, for writers that build tuples. `trajectory.model.fact` has the fields.
SPAN_STARTED, SPAN_ENDED, SPAN_EVENT, SPAN_UPDATED, SPAN_LINKED, PAYLOAD, HEARTBEAT, GAP, FOUND, MARKED = range(1, 11)
WITH_CONTENTS = frozenset(
    {SPAN_STARTED, SPAN_ENDED, SPAN_EVENT, SPAN_UPDATED}
)  # their last field, attributes before it


def pack(value: Any) -> bytes:
    """One frame or fact as msgpack; text that is not valid Unicode is mended, never refused.

    Raises TypeError or OverflowError where a value has no msgpack form: the caller quarantines that fact alone.
    """
    packed: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="replace")
    return packed


def unpack(frame: bytes) -> Any:
    """A frame as plain lists. Raises ValueError on anything that is not one msgpack value within the limits."""
    if len(frame) > MAX_FRAME_BYTES:
        raise ValueError(f"frame of {len(frame)} bytes is over the limit of {MAX_FRAME_BYTES}")
    try:
        return msgpack.unpackb(frame, raw=False, strict_map_key=False)
    except TypeError as fault:  # a map whose key is a list or a map
        raise ValueError(f"no plain value: {fault}") from None


def is_bounded(value: Any) -> bool:
    """Whether plain data is nested at most MAX_DEPTH deep and holds at most MAX_VALUES values."""
    level, count = [value], 0
    for _ in range(MAX_DEPTH + 1):
        level = [inner for held in level if type(held) in _HOLDERS for inner in _held(held)]
        count += len(level)
        if not level:
            return True
        if count > MAX_VALUES:
            return False
    return False


_HOLDERS = (dict, list, tuple)


def _held(holder: Any) -> list[Any]:
    return [*holder, *holder.values()] if type(holder) is dict else list(holder)


def hello(emitter_id: bytes, boot_id: bytes, resource: dict[str, Any], next_seq: int, sent_at_ns: int = 0) -> bytes:
    """`sent_at_ns` is what the emitter's clock reads; 0, which is left out, where nobody knows."""
    fields = (PROTOCOL_VERSION, HELLO, emitter_id, boot_id, resource, next_seq)
    return pack((*fields, sent_at_ns) if sent_at_ns else fields)


def facts_frame(
    emitter_id: bytes, boot_id: bytes, first_seq: int, packed: Sequence[bytes], count: int | None = None
) -> bytes:
    """A frame around facts that are packed already, so that one bad fact cannot spoil its neighbours.

    Each part of `packed` is one fact, or more of them one behind the other where `count` says how many there are in all.
    """
    packer = msgpack.Packer(use_bin_type=True, autoreset=False)
    packer.pack_array_header(6)
    for field in (PROTOCOL_VERSION, FACTS, emitter_id, boot_id, first_seq):
        packer.pack(field)
    packer.pack_array_header(len(packed) if count is None else count)
    head: bytes = packer.bytes()
    return b"".join([head, *packed])


def facts_in(packed: bytes, count: int) -> list[bytes]:
    """Each of so many facts that are packed one behind the other. Raises ValueError where they are fewer, or none."""
    unpacker = msgpack.Unpacker(max_buffer_size=len(packed))
    unpacker.feed(packed)
    facts = []
    begin = 0
    for _ in range(count):
        try:
            unpacker.skip()
        except msgpack.OutOfData:
            raise ValueError(f"{len(packed)} bytes are fewer than {count} facts") from None
        end = unpacker.tell()
        facts.append(packed[begin:end])
        begin = end
    return facts


def bye(emitter_id: bytes, boot_id: bytes, next_seq: int) -> bytes:
    return pack((PROTOCOL_VERSION, BYE, emitter_id, boot_id, next_seq))


def ack(boot_id: bytes, next_seq: int, window: int = WINDOW_FRAMES) -> bytes:
    return pack((PROTOCOL_VERSION, ACK, boot_id, next_seq, window))


def refused(reason: str) -> bytes:
    return pack((PROTOCOL_VERSION, REFUSED, reason))


class Ack(NamedTuple):
    """Up to which fact a collector has what a boot of an emitter sent, and how many frames may be under way to it."""

    boot_id: bytes
    next_seq: int
    window: int


def answer(frame: bytes) -> Ack | str | None:
    """What a collector answers to an emitter; in words why it takes nothing; None for what only a later one would say.

    Raises ValueError where it is no answer.
    """
    read = unpack(frame)
    if not isinstance(read, list):
        raise ValueError("no frame")
    version, kind, *rest = read
    if version != PROTOCOL_VERSION:
        return f"it speaks protocol version {str(version)[:20]}"
    if kind == REFUSED:
        return str(rest[0])[:500] if rest else "no reason given"
    if kind != ACK:
        return None
    boot_id, next_seq, window, *_ = rest
    if not (isinstance(boot_id, bytes) and isinstance(next_seq, int) and isinstance(window, int)):
        raise ValueError("no acknowledgement")
    return Ack(boot_id, next_seq, max(1, window))
