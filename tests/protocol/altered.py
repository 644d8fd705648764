"""Valid bytes with faults in them, for Hypothesis: what a broken disk, an older peer or a hostile one sends.

Invariant: every case begins as bytes that are taken, so that it gets further than bytes drawn at random. Used by the tests
beside it and by the benchmark `fuzz`.
"""

from collections.abc import Sequence

from hypothesis import strategies as st

_HUGE = (
    b"\xdb",
    b"\xdd",
    b"\xdf",
    b"\xc6",
    b"\xc9",
)  # text, list, map, bytes, extension of a length that four bytes give
TELLING = (
    *(head + b"\xff" * 4 for head in _HUGE),
    *(
        b"\xc0",
        b"\xc1",
        b"\xc7",
        b"\xd6\xff",
        b"\xcf" + b"\xff" * 8,
        b"\xd3\x80" + b"\0" * 7,
        b"\xcb\x7f\xf8" + b"\0" * 6,
    ),
    *(b"\x91" * 600, b"\x81\xa1k" * 600, b"\x81\x90\x01", b"\xa4\xed\xa0\x80x", b"\0" * 16),
)

Alteration = tuple[str, int, bytes]


def altered(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of the samples with one to five alterations, or two of them spliced."""
    pieces = st.binary(min_size=1, max_size=8) | st.sampled_from(TELLING)
    kinds = st.sampled_from(("put over", "insert", "delete", "cut off", "repeat", "splice"))
    alteration = st.tuples(kinds, st.integers(0, 1 << 16), pieces)
    return st.builds(
        lambda sample, other, those: _altered(sample, other, those),
        st.sampled_from(samples), st.sampled_from(samples), st.lists(alteration, min_size=1, max_size=5),
    )  # fmt: skip


def _altered(sample: bytes, other: bytes, alterations: list[Alteration]) -> bytes:
    raw = sample
    for kind, place, piece in alterations:
        at = place % (len(raw) + 1)
        match kind:
            case "put over":
                raw = raw[:at] + piece + raw[at + len(piece) :]
            case "insert":
                raw = raw[:at] + piece + raw[at:]
            case "delete":
                raw = raw[:at] + raw[at + len(piece) :]
            case "cut off":
                raw = raw[:at]
            case "repeat":
                raw = raw[:at] + raw[at : at + 64] * 3 + raw[at:]
            case _:
                raw = raw[:at] + other[at % (len(other) + 1) :]
    return raw
