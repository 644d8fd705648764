"""How a person writes a time since the start of a run: `31s`, `1.5m`, `250ms`, `01:42.5`, and how we write it back.

Invariant: what is no such time is None, whatever the text; nothing is guessed. Called by links, by the filter language and by
the dashboard's go-to.
"""

import re

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_AMOUNT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?(ns|us|µs|ms|s|min|m|h|d)")
_CLOCK = re.compile(r"(?:([0-9]{1,4}):)?([0-9]{1,4}):([0-9]{2})(?:\.([0-9]{1,9}))?")


def offset_ns(text: str) -> int | None:
    """Nanoseconds since the start: an amount with its unit, or hours (where there are any), minutes and seconds with colons."""
    amount = _AMOUNT.fullmatch(text)
    if amount:
        unit_ns = _UNITS_NS[amount[3]]
        part = amount[2] or ""
        return int(amount[1]) * unit_ns + int(part.ljust(9, "0")) * unit_ns // 1_000_000_000
    clock = _CLOCK.fullmatch(text)
    if clock is None or int(clock[3]) > 59:
        return None
    seconds = (int(clock[1] or 0) * 60 + int(clock[2])) * 60 + int(clock[3])
    return seconds * 1_000_000_000 + int((clock[4] or "").ljust(9, "0"))


def offset_text(ns: int) -> str:
    """The same as seconds, exactly: `33.5s`. `offset_ns` reads it back."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{seconds}.{rest:09}".rstrip("0").rstrip(".") + "s"
