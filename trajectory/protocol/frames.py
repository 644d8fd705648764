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
MAX_FRAME_VALUES = 8 * MAX_VALUES  # in a frame: a store's may be of 256 spans with a vector each
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
    if len(frame) > MAX_FRAME_VALUES and values_in(frame, MAX_FRAME_VALUES) > MAX_FRAME_VALUES:
        raise ValueError(f"no plain value: it holds more than {MAX_FRAME_VALUES} values")
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


def values_in(packed: bytes | memoryview, most: int) -> int:
    """How many values msgpack holds, those that are nested counted too, told without making any of them; more than `most` where
    they are more, and as far as there are any where it is cut. Each takes a step, so it is for what is long."""
    data, end, at, count, left = memoryview(packed), len(packed), 0, 0, 1
    while left and at < end and count + left <= most:
        width, fixed_bytes, held, bytes_each = _SHAPES[data[at]]
        said = int.from_bytes(data[at + 1 : at + 1 + width], "big") if width else 1
        at += 1 + width + fixed_bytes + said * bytes_each
        count += 1
        left += said * held - 1
    return count + left if left and at < end else count


def _shapes() -> list[tuple[int, int, int, int]]:
    """For each first byte: how many bytes say a length, how many follow in any case, and what one of the length is worth in
    values and in bytes. Where the first byte says the length itself, it counts once."""
    shapes = [(0, 0, 0, 0)] * 256
    for few in range(16):
        shapes[0x80 + few], shapes[0x90 + few] = (0, 0, 2 * few, 0), (0, 0, few, 0)
    shapes[0xA0:0xC0] = [(0, few, 0, 0) for few in range(32)]
    for size, width in enumerate((1, 2, 4)):
        shapes[0xC4 + size] = shapes[0xD9 + size] = (width, 0, 0, 1)
        shapes[0xC7 + size] = (width, 1, 0, 1)
    shapes[0xCA:0xD4] = [(0, size, 0, 0) for size in (4, 8, 1, 2, 4, 8, 1, 2, 4, 8)]
    shapes[0xD4:0xD9] = [(0, size, 0, 0) for size in (2, 3, 5, 9, 17)]
    shapes[0xDC:0xE0] = [(2, 0, 1, 0), (4, 0, 1, 0), (2, 0, 2, 0), (4, 0, 2, 0)]
    return shapes


_SHAPES = _shapes()
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
