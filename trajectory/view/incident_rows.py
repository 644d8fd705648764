"""Alerts over all runs as rows: what goes wrong, whom it was told, and how the channels do.

Invariant: as in `rows`: finished values, ids in hexadecimal, times in UTC nanoseconds, texts untrusted. A part of `rows`.
"""

import msgspec


class IncidentRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One thing that goes wrong. `state`: open, acknowledged, muted or closed. `places` are (run, key of its alert there), the
    newest last; `told` the channels that know of it, `untold` (channel, why) where a message was given up."""

    id: str
    state: str
    severity: str
    kind: str
    title: str
    text: str  # the evidence in a sentence
    link: str
    agent: str
    peer_agent: str
    service: str
    rule: str
    count: int
    trace_count: int
    trace_id: str
    opened_ns: int
    last_ns: int
    closed_ns: int = 0
    muted_until_ns: int = 0
    places: list[tuple[str, str]] = []
    told: list[str] = []
    untold: list[tuple[str, str]] = []


class ChannelRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How a channel does: how many messages it took, how many wait, how many were given up, and why, or why they wait."""

    name: str
    sent: int
    waiting: int
    dead: int
    trouble: str = ""
    failures: int = 0  # in a row, just now
