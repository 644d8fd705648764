"""Reads frames strictly and typed, and writes facts for the store and for watchers.

Invariant: `decode_facts(encode_facts(facts)) == facts`, and any bytes at all either decode or raise `WireError`. A frame is
decoded whole where it can be and else fact by fact, so one bad fact is reported beside its good neighbours. Called by the
collector, the store, feeds.
"""

from typing import Any, get_args

import msgspec

from trajectory.errors import WireError
from trajectory.model.content import digest
from trajectory.model.fact import Fact, Finding, Found, Marked, Payload, SpanEnded, SpanStarted
from trajectory.protocol.frames import (
    FACTS,
    HELLO,
    MAX_FACT_BYTES,
    MAX_FACTS,
    MAX_FRAME_BYTES,
    MAX_HELLO_BYTES,
    MAX_VALUES,
    PROTOCOL_VERSION,
    is_bounded,
    values_in,
)


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Any frame: its version and type, the rest undecoded."""

    version: int
    type: str


class FactsFrame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Facts as they came: an array that is whole, and of which no fact is read yet."""

    version: int
    type: str
    emitter_id: bytes
    boot_id: bytes
    first_seq: int
    facts: msgspec.Raw

    @property
    def count(self) -> int:
        """How many facts there are. Raises WireError where it is no array."""
        return count_of(self.facts)

    def each(self) -> list[msgspec.Raw]:
        """The facts one by one, each still to be read by `decode_fact`. Raises WireError."""
        return _each(self.facts)


class HelloFrame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    version: int
    type: str
    emitter_id: bytes
    boot_id: bytes
    resource: dict[str, Any]
    next_seq: int
    sent_at_ns: int = 0


class ByeFrame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    version: int
    type: str
    emitter_id: bytes
    boot_id: bytes
    next_seq: int


class AskFrame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    version: int
    type: str
    request_id: int
    since_version: int
    query: msgspec.Raw


class TellFrame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    version: int
    type: str
    request_id: int
    marked: Marked


_encoder = msgspec.msgpack.Encoder()
_frame = msgspec.msgpack.Decoder(Frame)
_facts_frame = msgspec.msgpack.Decoder(FactsFrame)
_typed: dict[str, msgspec.msgpack.Decoder[Any]] = {
    FACTS: _facts_frame,
    "hello": msgspec.msgpack.Decoder(HelloFrame),
    "bye": msgspec.msgpack.Decoder(ByeFrame),
    "ask": msgspec.msgpack.Decoder(AskFrame),
    "tell": msgspec.msgpack.Decoder(TellFrame),
}
_fact: msgspec.msgpack.Decoder[Fact] = msgspec.msgpack.Decoder(Fact)
_facts: msgspec.msgpack.Decoder[list[Fact]] = msgspec.msgpack.Decoder(list[Fact])
_raws: msgspec.msgpack.Decoder[list[msgspec.Raw]] = msgspec.msgpack.Decoder(list[msgspec.Raw])

AnyFrame = FactsFrame | HelloFrame | ByeFrame | AskFrame | TellFrame


def count_of(facts: bytes | msgspec.Raw) -> int:
    """How many facts an array says that it holds, read off its header. Raises WireError where it is no array."""
    head = bytes(memoryview(facts)[:5])
    if head and head[0] & 0xF0 == 0x90:
        return head[0] & 0x0F
    if head[:1] in (b"\xdc", b"\xdd"):
        return int.from_bytes(head[1 : 3 if head[0] == 0xDC else 5], "big")
    raise WireError("corrupt frame: its facts are no array")


def read_frame(frame: bytes) -> AnyFrame:
    """A frame that came to a collector. Raises WireError: too large, not msgpack, another version, unknown type."""
    if len(frame) > MAX_FRAME_BYTES:
        raise WireError(f"frame of {len(frame)} bytes is over the limit of {MAX_FRAME_BYTES}")
    try:  # nearly every frame is one of facts: it is read once, and any other twice
        facts = _facts_frame.decode(frame)
        if facts.version == PROTOCOL_VERSION and facts.type == FACTS and 0 <= facts.first_seq < _MAX_SEQ:
            if facts.count > MAX_FACTS:  # each takes time and memory, whatever it is
                raise WireError(f"corrupt frame: of {facts.count} facts, and {MAX_FACTS} are the most")
            return facts
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return _read_with_care(frame)


def _read_with_care(frame: bytes) -> AnyFrame:
    try:
        head = _frame.decode(frame)
        if head.version != PROTOCOL_VERSION:
            raise WireError(
                f"frame speaks protocol version {head.version}, this collector speaks {PROTOCOL_VERSION}: "
                "use the same trajectory-tracing release on both sides"
            )
        decoder = _typed.get(head.type)
        if decoder is None:
            raise WireError(f"frame of unknown type {head.type[:40]!r}")
        if len(frame) > MAX_HELLO_BYTES and head.type == HELLO:
            raise WireError(f"hello of {len(frame)} bytes is over the limit of {MAX_HELLO_BYTES}")
        read: AnyFrame = decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise WireError(f"corrupt frame: {fault}") from None
    if isinstance(read, HelloFrame) and not is_bounded(read.resource):
        raise WireError("corrupt frame: the resource is nested too deeply, or holds too many values")
    for name in ("first_seq", "next_seq", "sent_at_ns"):
        if not 0 <= getattr(read, name, 0) < _MAX_SEQ:
            raise WireError(f"corrupt frame: {name} out of range")
    return read


def tag_of(fact: bytes | msgspec.Raw) -> int:
    """The number of a fact's kind, read off its head however that is written; -1 where it is no fact."""
    view = memoryview(fact)
    if len(view) > 1 and view[0] & 0xF0 == 0x90 and view[1] < 0x80:  # as we and everybody write it: asked of each fact
        return view[1]
    head = bytes(view[:14])
    first = head[0] if head else 0
    at = 1 if first & 0xF0 == 0x90 else {0xDC: 3, 0xDD: 5}.get(first, len(head))
    said = head[at : at + 1]
    if not said or said[0] < 0x80:
        return said[0] if said else -1
    size = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}.get(said[0], 0)
    return int.from_bytes(head[at + 1 : at + 1 + size], "big") if size else -1


def _each(facts: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    try:
        return _raws.decode(facts)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise WireError(f"corrupt frame: {fault}") from None


def decode_fact(raw: bytes | msgspec.Raw) -> Fact:
    """One fact. Raises WireError on bytes that are none, on ids of a wrong length or times out of range, and before they are read
    on more values than a fact may have, and more bytes where it is no body."""
    size = memoryview(raw).nbytes
    if size > MAX_FACT_BYTES and tag_of(raw) != _BODY_TAG:
        raise WireError(f"fact of {size} bytes is over the limit of {MAX_FACT_BYTES}")
    if size > MAX_VALUES and values_in(memoryview(raw), MAX_VALUES) > MAX_VALUES:
        raise WireError(f"corrupt fact: it holds more than {MAX_VALUES} values")
    try:
        fact = _fact.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise WireError(f"corrupt fact: {fault}") from None
    if not _is_sound(fact):
        _check(fact)
    return fact


def read_facts(raw: bytes | msgspec.Raw) -> list[Fact | WireError]:
    """The facts of a frame, given as one msgpack array; at the place of what is none stands why, as `decode_fact` says it.

    Raises WireError on what is no array.
    """
    if memoryview(raw).nbytes > MAX_VALUES:
        return _read_each(raw)
    try:
        facts = _facts.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_each(raw)
    return [fact if _is_sound(fact) else _checked(fact) for fact in facts]


def _checked(fact: Fact) -> Fact | WireError:
    try:
        _check(fact)
    except WireError as fault:
        return fault
    return fact


def _read_each(raw: bytes | msgspec.Raw) -> list[Fact | WireError]:
    """The slow way, for a frame that holds a bad fact, which costs nothing but itself, or that is long: such a one could hold so
    many values that they would take a gigabyte."""
    facts: list[Fact | WireError] = []
    left = _MOST_VALUES
    for part in _each(raw):
        try:
            count = values_in(memoryview(part), left)
            if count > left:
                raise WireError(f"corrupt fact: its frame holds more than {_MOST_VALUES} values")
            left -= count
            facts.append(decode_fact(part))
        except WireError as fault:
            facts.append(fault.with_traceback(None))  # it would hold these facts, and the whole frame with them
    return facts


def encode_facts(facts: list[Fact]) -> bytes:
    """Facts as one msgpack array."""
    return _encoder.encode(facts)


def decode_facts(body: bytes) -> list[Fact]:
    """Facts from one msgpack array. Raises WireError."""
    try:
        return _facts.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise WireError(f"corrupt facts: {fault}") from None


def encode(value: Any) -> bytes:
    """Any of our structs as msgpack."""
    return _encoder.encode(value)


def finding_json(finding: Finding) -> dict[str, Any]:
    """A finding in the fixed JSON form of `trajectory findings --json`."""
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "confidence": round(finding.confidence, 4),
        "trace_id": finding.trace_id.hex(),
        "span_id": finding.span_id.hex(),
        "root_span_id": finding.root_span_id.hex() or None,
        "path": [span_id.hex() for span_id in finding.path],
        "agent": finding.agent,
        "peer_agent": finding.peer_agent,
        "value": finding.value,
        "message": finding.message,
        "evidence": [{"span_id": e.span_id.hex(), "text": e.text} for e in finding.evidence],
        "time_unix_nano": finding.at_ns,
        "grade": finding.grade,
        **({"attributes": finding.attributes} if finding.attributes else {}),
    }


_MAX_NS = 1 << 63
_MAX_SEQ = 1 << 62
_ID_BYTES = {"trace_id": 16, "span_id": 8, "parent_id": 8, "digest": 16, "to_trace_id": 16, "to_span_id": 8}
_ids_of: dict[type, list[tuple[str, int]]] = {
    kind: [(name, _ID_BYTES[name]) for name in kind.__struct_fields__ if name in _ID_BYTES] for kind in get_args(Fact)
}
_MANY = 1000
_MOST_VALUES = 2 * MAX_VALUES  # in all facts of a frame: emitters fill one with what is small, and one that is large
_BODY_TAG = Payload.__struct_config__.tag
_HOLDERS = frozenset((dict, list))  # what a value may be nested with


def _is_sound(fact: Fact) -> bool:
    """Whether a fact passes at a glance: what `_check` would find nothing wrong with. Nearly all are of three types."""
    if type(fact) is Payload:
        return digest(fact.media_type, fact.body) == fact.digest
    if type(fact) is SpanStarted:
        if len(fact.parent_id) not in (0, 8):
            return False
    elif type(fact) is not SpanEnded:
        return False
    return (
        len(fact.trace_id) == 16
        and len(fact.span_id) == 8
        and 0 <= fact.at_ns < _MAX_NS
        and len(fact.attributes) < _MANY
        and _HOLDERS.isdisjoint(map(type, fact.attributes.values()))
    )


def _check(fact: Fact) -> None:
    for name, length in _ids_of[type(fact)]:
        size = len(getattr(fact, name))
        if size != length and (size or name != "parent_id"):
            raise WireError(f"corrupt fact: {name} has {size} bytes and not {length}")
    if not 0 <= getattr(fact, "at_ns", 0) < _MAX_NS:
        raise WireError("corrupt fact: time out of range")
    if isinstance(fact, Found) and not 0 <= fact.finding.at_ns < _MAX_NS:
        raise WireError("corrupt fact: time out of range")
    if isinstance(fact, Found) and not 0 <= fact.finding.confidence <= 1:
        raise WireError("corrupt fact: a confidence is from 0 to 1")
    if not is_bounded(getattr(fact, "attributes", None)):
        raise WireError("corrupt fact: its attributes are nested too deeply, or hold too many values")
    if isinstance(fact, Payload) and digest(fact.media_type, fact.body) != fact.digest:
        raise WireError("corrupt fact: a payload's digest is that of another body")  # else it could stand in for one
