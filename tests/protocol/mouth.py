"""One reader of bytes from outside, bytes that it takes, and what reading may cost."""

import contextlib
import resource
import sys
import time
from collections.abc import Callable
from typing import NamedTuple


class Mouth(NamedTuple):
    """`read` returns for any bytes; `samples` are some that it takes."""

    name: str
    read: Callable[[bytes], None]
    samples: list[bytes]


def refusing(read: Callable[[bytes], None], *refusals: type[Exception]) -> Callable[[bytes], None]:
    """The same reader, which documents these refusals."""

    def reading(raw: bytes) -> None:
        with contextlib.suppress(*refusals):
            read(raw)

    return reading


MOST_S = 1.0  # of processor time for one case, under a fuzzer's instruments too: the dearest honest ones take a tenth
MOST_BYTES = 128 * 1024 * 1024  # that one case makes the process larger by
_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


class TooDearError(Exception):
    """A case took more than its bytes are worth."""


def costed(read: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """The same reader, to which a case is a fault that takes too long or too much memory. For inputs of some KB."""

    def reading(raw: bytes) -> None:
        began_s, held_bytes = time.process_time(), _peak_bytes()
        read(raw)
        spent_s, grown_bytes = time.process_time() - began_s, _peak_bytes() - held_bytes
        if spent_s > MOST_S or grown_bytes > MOST_BYTES:
            raise TooDearError(f"{len(raw)} bytes took {spent_s:.2f} s and {grown_bytes >> 20} MB")

    return reading


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT_BYTES
