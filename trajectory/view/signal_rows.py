"""Rows of work in numbers over time: what a plot, and a table of figures, is drawn from.

Invariant: as in `rows`; what is not known is None or counted beside, and never nothing. Made by `collector.signal_rows`.
"""

import msgspec


class SignalPoint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The work that ended in one window. Seconds, tokens, US dollars; `cost_usd` is of the calls whose cost is known.

    `p50_s`, `p95_s` and `first_s` (the middle time to the first piece of an answer) lie between the bounds of a histogram.
    """

    at_ns: int = 0  # when the window begins
    calls: int = 0
    errors: int = 0
    retries: int = 0
    p50_s: float | None = None
    p95_s: float | None = None
    first_s: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float = 0.0
    cost_unknown: int = 0  # model calls without a known cost
    output_chars: int = 0
    needed: int = 0  # items that delegations were to carry, and that arrived, as far as that is known
    arrived: int = 0
    tokens_known: int = 0  # calls that say how many tokens they used
    chars_known: int = 0  # calls whose answers are known
    crossings_known: int = 0  # delegations of which it is known what was needed and arrived


class SignalSeries(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One group's work of one kind. `points` are in order of time; windows in which nothing ended have none."""

    name: str  # research, gpt-4o, planner → research, ...
    kind: str  # model, tool, retrieval, agent (its runs), delegation, finding
    total: SignalPoint
    points: list[SignalPoint] = []
    trace_id: str = ""  # of a trace in which work of it was counted lately, where one is known
    seconds: list[
        int
    ] = []  # of all of it, how many calls took up to each of the view's `bounds_s`, and longer than the last
    first_chunks: list[int] = []  # so too, to the first piece of an answer


class SignalMark(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Findings of one kind in one window, about one agent. Of an anomaly `of` and `name` say the series: what kind of work, and
    of which model, tool or agent. `state` is of its incident, where alerts are told: open, acknowledged, muted, closed."""

    at_ns: int  # when the window begins
    kind: str  # anomaly.latency, cascade, ...
    severity: str
    count: int = 1
    agent: str = ""
    service: str = ""
    of: str = ""
    name: str = ""
    state: str = ""
