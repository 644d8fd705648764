"""What counts as a match, the same in every store: prefixes of trace ids, severities, instants, digests.

Invariant: pure, and strict about what a person typed: it matches or raises StoreError with what would have.
"""

from collections.abc import Sequence

from trajectory.errors import StoreError
from trajectory.model.fact import Batch, Fact
from trajectory.model.words import Severity
from trajectory.store.bodies import MAX_INTEGER

_SHOWN_CANDIDATES = 5
MAX_CANDIDATES = _SHOWN_CANDIDATES + 1  # as many as `the_one` needs to see
_TRACE_ID_DIGITS = 32


def prefix_range(prefix: str) -> tuple[bytes, bytes]:
    """The lowest and the highest trace id that start with a hexadecimal prefix. Raises StoreError where it is none."""
    digits = prefix.strip().lower()
    if len(digits) > _TRACE_ID_DIGITS or not set(digits) <= set("0123456789abcdef"):
        raise StoreError(
            f"{prefix[:80]!r} is no trace id: give the first hexadecimal digits of one, see `trajectory traces`"
        )
    return bytes.fromhex(digits.ljust(_TRACE_ID_DIGITS, "0")), bytes.fromhex(digits.ljust(_TRACE_ID_DIGITS, "f"))


def the_one(candidates: Sequence[bytes], prefix: str) -> bytes:
    """The only candidate. Raises StoreError, with some of them, where there are none or several."""
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise StoreError(f"no trace starts with {prefix[:80]!r}: `trajectory traces` lists them")
    shown = ", ".join(trace_id.hex() for trace_id in candidates[:_SHOWN_CANDIDATES])
    more = ", ..." if len(candidates) > _SHOWN_CANDIDATES else ""
    raise StoreError(f"several traces start with {prefix[:80]!r}: {shown}{more}: give more digits")


def is_later(fact: Fact, until_ns: int | None) -> bool:
    """Whether a fact happened after an instant; never where there is none."""
    return until_ns is not None and getattr(fact, "at_ns", 0) > until_ns


def severity_floor(severity: str) -> int:
    """The rank of a severity that someone asks for. Raises StoreError where it is unknown."""
    try:
        return Severity(severity).rank
    except ValueError:
        raise StoreError(f"{severity[:40]!r} is no severity: use one of {', '.join(Severity)}") from None


def severity_rank(severity: str) -> int:
    """The rank of a finding's severity; an unknown one, from a newer writer, counts as a warning."""
    return Severity(severity).rank if severity in set(Severity) else Severity.WARNING.rank


def digests_of(fact: Fact) -> set[bytes]:
    """The payloads that a fact names."""
    contents: dict[str, list[bytes]] = getattr(fact, "contents", {})
    return {digest for digests in contents.values() for digest in digests}


def check_positions(batches: Sequence[Batch]) -> None:
    """Raises StoreError where a batch's positions are out of the range that a store can count."""
    for batch in batches:
        if not 0 <= batch.first_seq <= MAX_INTEGER - len(batch.facts):
            raise StoreError(f"a batch starts at position {batch.first_seq}, out of range: its emitter is broken")
