"""Facts and texts as the bytes that rest in a row, and back.

Invariant: one value that cannot be encoded, or decoded, costs itself and never its neighbours: text that is no Unicode is
mended, and what has no encoding at all becomes a `Gap` of one. Called by every store.
"""

import sys
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec

from trajectory.errors import StoreError, WireError
from trajectory.model.fact import Fact, Gap
from trajectory.protocol.codec import count_of, decode_fact, decode_facts, encode_facts
from trajectory.protocol.frames import MAX_FACTS, MAX_FRAME_BYTES, MAX_FRAME_VALUES, pack, values_in

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLAIN, DEFLATED, ZSTD = 0, 1, 2  # deflated by zlib: the first format's
MAX_INTEGER = (1 << 63) - 1
MAX_INFLATED_BYTES = 64 * 1024 * 1024  # a small row cannot fill the memory
_WORTH_DEFLATING_BYTES = 64
_QUICK: dict[int, int] = {zstd.CompressionParameter.compression_level: 1, zstd.CompressionParameter.checksum_flag: 1}
_UNWRITABLE = (UnicodeEncodeError, TypeError, ValueError, OverflowError, RecursionError, NotImplementedError)

S = TypeVar("S", bound=msgspec.Struct)
_compressor = zstd.ZstdCompressor(options=_QUICK)
_encoder = msgspec.msgpack.Encoder()
_raws = msgspec.msgpack.Decoder(list[msgspec.Raw])


def shrink(body: bytes) -> tuple[int, bytes]:
    """A body as (codec, bytes): deflated at zstd's level 1 where that is smaller, else as it is, as is one beyond what a frame
    may have: `expand` inflates no more."""
    if _WORTH_DEFLATING_BYTES <= len(body) <= MAX_FRAME_BYTES:
        small = _compressor.compress(body, zstd.ZstdCompressor.FLUSH_FRAME)
        if len(small) < len(body):
            return ZSTD, small
    return PLAIN, body


def expand(codec: int, body: bytes, most_bytes: int = MAX_INFLATED_BYTES) -> bytes:
    """What `shrink` was given. Raises StoreError on bytes that are damaged, or inflate to more than `most_bytes`."""
    if codec == PLAIN:
        return body
    if codec not in (DEFLATED, ZSTD):
        raise StoreError(f"a row has the unknown codec {codec}: upgrade, or run `trajectory doctor`")
    try:
        inflater = zstd.ZstdDecompressor() if codec == ZSTD else zlib.decompressobj()
        plain: bytes = inflater.decompress(body, most_bytes + 1)
    except (zlib.error, zstd.ZstdError) as fault:
        raise StoreError(f"a row is damaged and cannot be inflated ({fault}): restore a copy of the store") from None
    if not inflater.eof or len(plain) > most_bytes:
        raise StoreError("a row is damaged, it ends early or inflates without end: restore a copy of the store")
    return plain


def expand_facts(codec: int, body: bytes) -> bytes:
    """The facts of a frame as `write_facts` wrote them. Raises StoreError on bytes that are damaged, and before they are read
    where they are more than a frame holds: what is read takes far more memory than its bytes."""
    plain = expand(codec, body, MAX_FRAME_BYTES)
    try:
        if count_of(plain) > MAX_FACTS:
            raise StoreError("a frame is damaged, it holds more facts than a frame may: restore a copy of the store")
        if _holds_too_much(plain):
            raise StoreError("a frame is damaged, it holds more values than a frame may: restore a copy of the store")
        return plain
    except WireError as fault:
        raise StoreError(f"a frame is damaged ({fault}): restore a copy of the store") from None


def write_facts(facts: list[Fact]) -> tuple[list[Fact], bytes]:
    """Facts as (those that can be kept, their msgpack); one for one, in order."""
    try:
        return facts, encode_facts(facts)
    except _UNWRITABLE:
        kept = [_mended(fact) for fact in facts]
        return kept, encode_facts(kept)


def read_facts(body: bytes) -> list[Fact]:
    """What `write_facts` kept; a fact that cannot be read is a `Gap` of one. Raises StoreError where the whole is damaged."""
    try:
        return decode_facts(body)
    except WireError:
        return [_read_one(raw) for raw in split(body)]


def mended(text: str) -> str:
    """A text with a question mark for each half of a character."""
    return text.encode("utf-8", "replace").decode()


def time_span_ns(facts: Sequence[Fact]) -> tuple[int, int]:
    """The earliest and the latest instant of facts, inside the range of SQLite's integers."""
    times = [getattr(fact, "at_ns", 0) for fact in facts]
    return max(0, min(*times, MAX_INTEGER)), max(0, min(max(times), MAX_INTEGER))


def unreadable_count(body: bytes) -> int:
    """How many facts of a body cannot be read. Raises StoreError where the whole is damaged."""
    try:
        decode_facts(body)
        return 0
    except WireError:
        return sum(decoded(raw) is None for raw in split(body))


def write_struct(value: msgspec.Struct | dict[str, Any]) -> bytes:
    """A struct, or a resource, as msgpack; text that is no Unicode is mended. Raises StoreError where it has no encoding."""
    try:
        return _encoder.encode(value)
    except _UNWRITABLE:
        try:
            return pack(msgspec.to_builtins(value, builtin_types=(bytes,)))
        except _UNWRITABLE as fault:
            raise StoreError(f"cannot store a {type(value).__name__}: {fault}") from None


def read_struct(body: bytes, kind: type[S]) -> S:
    """A struct from msgpack. Raises StoreError on bytes that are damaged."""
    if _holds_too_much(body):
        raise StoreError(f"a {kind.__name__} is damaged, it holds too many values: restore a copy of the store")
    try:
        read: S = _decoder_of(kind).decode(body)
        return read
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise StoreError(f"a {kind.__name__} is damaged ({fault}): restore a copy of the store") from None


@cache
def _decoder_of(kind: type[msgspec.Struct]) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


def read_resource(body: bytes) -> dict[str, Any]:
    """An emitter's resource; empty where the bytes are damaged, because the facts matter more."""
    if _holds_too_much(body):
        return {}
    try:
        return msgspec.msgpack.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _holds_too_much(packed: bytes) -> bool:
    """Whether to read it would take far more memory than its bytes; told before it is."""
    return len(packed) > MAX_FRAME_VALUES and values_in(packed, MAX_FRAME_VALUES) > MAX_FRAME_VALUES


def _mended(fact: Fact) -> Fact:
    try:
        _encoder.encode(fact)
        return fact
    except _UNWRITABLE:
        try:
            return decode_fact(pack(msgspec.to_builtins(fact, builtin_types=(bytes,))))
        except (*_UNWRITABLE, WireError):
            return Gap(time_span_ns([fact])[0], 1, "quarantined")


def split(body: bytes) -> Sequence[msgspec.Raw]:
    """The facts of a body, each as its bytes. Raises StoreError where the whole is damaged."""
    try:
        return _raws.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise StoreError(f"a frame is damaged ({fault}): restore a copy of the store") from None


def _read_one(raw: msgspec.Raw) -> Fact:
    return decoded(raw) or Gap(0, 1, "quarantined")


def decoded(raw: msgspec.Raw) -> Fact | None:
    """One fact of a body; None where it cannot be read."""
    try:
        return decode_facts(b"\x91" + bytes(raw))[0]  # an array of one
    except WireError:
        return None
