"""The bytes of a request's body, whatever it was packed in: inflated within bounds, or refused with the right status.

Invariant: nothing is inflated beyond the limit, so a bomb costs its limit and no more. Asks nobody.
"""

import asyncio
import zlib
from concurrent.futures import ThreadPoolExecutor

MAX_BODY_BYTES = 64 * 1024 * 1024  # inflated: the Python exporter itself sends no more
MAX_RATIO = 400  # gzip reaches 1,030 on zeros; frameworks' spans measure 2 to 14, a graph that repeats its state 180
_SMALL_BYTES = 4 * 1024 * 1024  # whatever its ratio, no bomb
_STEP_BYTES = 1024 * 1024
_INLINE_BYTES = 64 * 1024  # more is inflated on a thread
_INFLATING = ThreadPoolExecutor(2, thread_name_prefix="trajectory-inflate")  # each may hold the limit twice
BODY_S = 30.0  # for a body to come in


class RefusedError(Exception):
    """A request that is not taken: `status` is HTTP's, `retry_after_s` is 0 where to repeat it helps nothing."""

    def __init__(self, status: int, reason: str, retry_after_s: int = 0) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after_s = retry_after_s

    def bare(self) -> "RefusedError":
        """The same for who keeps it: a traceback holds the body, however large, and that in a circle is found late."""
        return RefusedError(self.status, str(self), self.retry_after_s)


async def unpacked(body: bytes, encoding: str) -> bytes:
    """As `inflated`, and holds the event loop up with nothing large."""
    if encoding and len(body) > _INLINE_BYTES:
        return await asyncio.get_running_loop().run_in_executor(_INFLATING, inflated, body, encoding)
    return inflated(body, encoding)


def encoding_of(body: bytes) -> str:
    """What a gRPC message is packed in, by how it begins: its own flag is not handed on, and no request begins like that."""
    if body.startswith(b"\x1f\x8b"):
        return "gzip"
    return "deflate" if body[:1] == b"\x78" else ""


def inflated(body: bytes, encoding: str) -> bytes:
    """The body as it was before `Content-Encoding`. Raises RefusedError: 415 unknown, 400 damaged, 413 too large.

    `deflate` is zlib's format (RFC 9110, 8.4.1.2); raw deflate, which some send under that name, is read too.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return _inflated(body, 31, encoding)
        case "deflate":
            is_wrapped = len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
            return _inflated(body, 15 if is_wrapped else -15, encoding)
    raise RefusedError(415, f"Content-Encoding {encoding[:40]!r} is not known: send gzip, deflate or none")


def _inflated(body: bytes, window_bits: int, encoding: str) -> bytes:
    """The body inflated, all the members that a gzip file may have one behind the other (RFC 1952, 2.2)."""
    parts: list[bytes] = []
    size_bytes = 0
    left = body
    try:
        while left:
            inflater = zlib.decompressobj(window_bits)
            while not inflater.eof and left:
                part = inflater.decompress(left, _STEP_BYTES)
                left = inflater.unconsumed_tail
                size_bytes += len(part)
                _check(size_bytes, len(body))
                parts.append(part)
            while not inflater.eof and (part := inflater.decompress(b"", _STEP_BYTES)):
                size_bytes += len(part)
                _check(size_bytes, len(body))
                parts.append(part)
            if not inflater.eof:
                raise RefusedError(400, f"the {encoding} data is cut")
            left = inflater.unused_data
            if left and window_bits != 31:
                raise RefusedError(400, f"something stands behind the {encoding} data")
    except zlib.error as fault:
        raise RefusedError(400, f"damaged {encoding} data: {fault}") from None
    if not parts:
        raise RefusedError(400, f"the {encoding} data is cut")
    return b"".join(parts)


def _check(size_bytes: int, packed_bytes: int) -> None:
    if size_bytes > MAX_BODY_BYTES:
        raise RefusedError(413, f"the body inflates to more than {MAX_BODY_BYTES} bytes: send smaller batches")
    if size_bytes > max(_SMALL_BYTES, MAX_RATIO * packed_bytes):
        raise RefusedError(413, f"the body inflates to more than {MAX_RATIO} times its size")
