"""One reader of bytes from outside, and bytes that it takes."""

import contextlib
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
