"""The bytes of a request's body, whatever it was packed in: inflated within bounds, or refused with the right status.

Invariant: nothing is inflated beyond the limit, so a bomb costs its limit and no more. Pure.
"""

import zlib
from typing import Protocol

MAX_BODY_BYTES = 64 * 1024 * 1024  # inflated: the Python exporter itself sends no more
MAX_RATIO = 400  # gzip reaches 1,030 on zeros; spans that repeat their state measure 10 to 60
_SMALL_BYTES = 4 * 1024 * 1024  # whatever its ratio, no bomb
_STEP_BYTES = 1024 * 1024


class RefusedError(Exception):
    """A request that is not taken: `status` is HTTP's, `retry_after_s` is 0 where to repeat it helps nothing."""

    def __init__(self, status: int, reason: str, retry_after_s: int = 0) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after_s = retry_after_s


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unconsumed_tail(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes: ...


def inflated(body: bytes, encoding: str) -> bytes:
    """The body as it was before `Content-Encoding`. Raises RefusedError: 415 unknown, 400 damaged, 413 too large.

    `deflate` is zlib's format (RFC 9110, 8.4.1.2); raw deflate, which some send under that name, is read too.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return _inflated(body, zlib.decompressobj(31), encoding)
        case "deflate":
            is_wrapped = len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
            return _inflated(body, zlib.decompressobj(15 if is_wrapped else -15), encoding)
    raise RefusedError(415, f"Content-Encoding {encoding[:40]!r} is not known: send gzip, deflate or none")


def _inflated(body: bytes, inflater: _Inflater, encoding: str) -> bytes:
    parts: list[bytes] = []
    size_bytes = 0
    left = body
    try:
        while left and not inflater.eof:
            part = inflater.decompress(left, _STEP_BYTES)
            size_bytes += len(part)
            if size_bytes > MAX_BODY_BYTES:
                raise RefusedError(413, f"the body inflates to more than {MAX_BODY_BYTES} bytes: send smaller batches")
            if size_bytes > max(_SMALL_BYTES, MAX_RATIO * len(body)):
                raise RefusedError(413, f"the body inflates to more than {MAX_RATIO} times its size")
            parts.append(part)
            left = inflater.unconsumed_tail
        parts.append(inflater.decompress(left, _STEP_BYTES) if not inflater.eof else b"")
    except zlib.error as fault:
        raise RefusedError(400, f"damaged {encoding} data: {fault}") from None
    if not inflater.eof:
        raise RefusedError(400, f"the {encoding} data is cut")
    return b"".join(parts)
